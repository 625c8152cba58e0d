"""Models that write text only: LLaVA, Qwen-VL, InternVL, Idefics and whatever else has a processor with a chat
template.

    row -> text ids (template.py)  +  what the processor makes of the row's pictures  ->  tokens with placeholders,
    pixel values

The processor never sees a user's text, only its own image tokens: so text cannot become a placeholder, and one code
path serves every way of expanding a picture (fixed counts, grids, tiles).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from toolkit.collate.common import IGNORE_INDEX, Collator, Columns, Sample, open_image, pad_id_of, splice
from toolkit.collate.cross_attention import MASK, check_alike, filled, with_mask
from toolkit.collate.pixels import refusals
from toolkit.collate.template import ChatEncoder, Encoded
from toolkit.errors import ImageTokenMismatch, UsageError

# Processors of models that keep packed rows apart, by test. Not so: M-RoPE, whose positions the model makes itself
# (Qwen-VL), attention both ways over a picture (Gemma), cross-attention (Mllama), convolutions (LFM2).
PACKS = {"LlavaProcessor"}


class UnderstandingCollator(Collator):
    """Batches for models that read pictures and write text; `model(**batch).loss` is right as it is.

    Pictures in an answer are context: the model sees them and is never asked to write them. Text-only rows may stand
        beside others; a batch of only such rows has no picture tensors (DDP then needs find_unused_parameters=True).

    Rows in, tensors out, for a prompt with a picture of 2 placeholders (#) and an answer "Yes":

        input_ids   <s> U S E R :   # # \\n I s   i t ?   A S S I S T A N T :   Y e s   </s>
        labels       -  everything up to the colon is masked                -   Y e s   </s>

    Args:
        processor: any transformers processor with a chat template and a fast tokenizer.
        chat_template: Jinja text used instead of the processor's own.
        processor_kwargs: passed to the processor with the pictures ({"size": ...}).
        thoughts: write the rationale of a row, between <think> and </think>, before the answer of its last turn, as
            models that think do. Their templates write an empty thought for rows without a rationale, and none in
            earlier turns.
        max_length: tokens, placeholders included; longer rows are bad rows, never cut.
        on_bad_row: "raise", or "skip" and count under `skipped`.

    Attributes:
        keeps_answer_images: whether the template renders pictures in assistant turns; where it does not, rows with such
            pictures are bad rows.

    Returns:
        input_ids, attention_mask: int64 (B, L), L = longest row, tokens.
        labels: int64 (B, L); answer text and what closes it; IGNORE_INDEX on prompts, padding, pictures and the tokens
            that frame pictures.
        per-token values of the processor (mm_token_type_ids, token_type_ids): int64 (B, L), 0 on text.
        picture tensors of the processor (pixel_values, image_grid_thw, ...): rows in sequence, in reading order.

    Raises:
        UsageError: the processor names no image token, or its template does not write it.
        ImageTokenMismatch: image parts, pictures and placeholders differ; names the row and the counts.
        RowError: a row is bad or too long, with on_bad_row="raise".
    """

    def __init__(
        self,
        processor: Any,
        *,
        chat_template: str | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        thoughts: bool = False,
        max_length: int | None = None,
        on_bad_row: Literal["raise", "skip"] = "raise",
    ) -> None:
        super().__init__(pad_id=pad_id_of(processor.tokenizer), max_length=max_length, on_bad_row=on_bad_row)
        if not getattr(processor, "image_token", None):
            raise UsageError(
                f"{type(processor).__name__} has no image_token; this collator serves processors that name theirs"
            )
        self.processor, self.processor_kwargs = processor, dict(processor_kwargs or {})
        self.encoder = ChatEncoder(
            processor, image_token=processor.image_token, chat_template=chat_template, thoughts=thoughts
        )
        self.separator: str = processor.tokenizer.eos_token or processor.tokenizer.pad_token
        self.packs = type(processor).__name__ in PACKS
        self.blank: dict[str, Tensor] | None = None  # of Mllama, where rows may have unlike numbers of pictures
        self.keeps_answer_images = self.encoder.keeps_answer_images()

    def encode(self, row: Mapping[str, Any]) -> Sample:
        encoded = self._unframed(self.encoder.encode(row))
        images = [open_image(image, row_id=row["id"]) for image in row["images"] or ()]
        pictures, tensors = self._pictures(images, row["id"]) if images else ([], {})
        columns = splice(encoded, self.encoder.image_id, pictures, row_id=row["id"])
        sample = Sample(columns=columns, tensors=tensors)
        return with_mask(sample, self.encoder.image_id) if MASK in tensors else sample

    def batch(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        if self.blank is not None:
            samples = [filled(sample, self.blank) for sample in samples]
        elif any(MASK in sample.tensors for sample in samples):
            check_alike(samples)
        return super().batch(samples)

    def _pictures(self, images: list[Any], row_id: str) -> tuple[list[Columns], dict[str, Tensor]]:
        """What the processor makes of a row's pictures: one text of image tokens with a separator between, taken apart
        again.
        """
        skeleton = self.separator.join([self.processor.image_token] * len(images))
        with refusals(images, where=f"row {row_id!r}: "):
            inputs = self.processor(
                text=[skeleton], images=[images], add_special_tokens=False, return_tensors="pt", **self.processor_kwargs
            )
        ids, tokenizer = inputs["input_ids"][0], self.processor.tokenizer
        separator = tokenizer.convert_tokens_to_ids(self.separator)
        kept = torch.ones_like(ids, dtype=torch.bool)
        if tokenizer.bos_token_id not in (None, separator):  # Mllama's adds it, whatever it is told
            kept = ids != tokenizer.bos_token_id
        per_token = {
            name: value[0, kept].tolist()
            for name, value in inputs.items()
            if value.shape == (1, len(ids)) and name != "attention_mask"
        }
        cuts = [n for n, token_id in enumerate(per_token["input_ids"]) if token_id == separator]
        if len(cuts) != len(images) - 1:
            raise ImageTokenMismatch(
                f"row {row_id!r}: {type(self.processor).__name__} made {len(cuts) + 1} runs of tokens of "
                f"{len(images)} images; expected equal",
                kind="image_token_mismatch",
            )
        bounds = zip([0, *[cut + 1 for cut in cuts]], [*cuts, len(per_token["input_ids"])], strict=True)
        pictures = [{name: values[start:end] for name, values in per_token.items()} for start, end in bounds]
        for picture in pictures:
            picture["labels"] = [IGNORE_INDEX] * len(picture["input_ids"])
        return pictures, {
            name: value for name, value in inputs.items() if name not in per_token and name != "attention_mask"
        }

    def _unframed(self, encoded: Encoded) -> Encoded:
        """Masks the control tokens that frame a picture inside an answer: a model that cannot draw must not learn to
        open a frame.
        """
        is_answer = list(encoded.is_answer)
        for at in (n for n, token_id in enumerate(encoded.ids) if token_id == self.encoder.image_id and is_answer[n]):
            for step in (-1, 1):
                n = at + step
                while (
                    0 <= n < len(is_answer)
                    and is_answer[n]
                    and encoded.ids[n] in self.encoder.control_ids
                    and not self._closes(encoded, n)
                ):
                    is_answer[n] = False
                    n += step
        return Encoded(encoded.ids, is_answer)

    @staticmethod
    def _closes(encoded: Encoded, at: int) -> bool:
        """Whether a token is the last of its answer."""
        return at + 1 == len(encoded.is_answer) or not encoded.is_answer[at + 1]
