"""Janus: pictures in prompts go through SigLIP, pictures in answers are ids of a codebook of their own, with a head of
their own.

    bos  "<|User|>: " prompt "\\n\\n<|Assistant|>:" answer eos                  a picture: boi, num_image_tokens
         placeholders, eoi

The stock forward can neither embed nor score answer pictures: use `janus_losses`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from PIL import ImageOps
from torch import Tensor

from toolkit.collate.common import (
    Collator,
    Columns,
    Sample,
    image_flags,
    open_image,
    pad_id_of,
    splice,
    without_answer,
)
from toolkit.collate.template import ChatEncoder, token_id
from toolkit.collate.tokenizers import fixed_size
from toolkit.collate.tokens import ImageTokenizer, StoredTokens, VQTokenizer, image_ids
from toolkit.errors import ImageTokenMismatch

# Parts are joined by a line break. An answer that opens with a picture has no blank before it, because the processor's
# image mode
# Source: deepseek-ai/Janus, janus/utils/conversation.py (style DeepSeek), and the strings that transformers'
# tests/models/janus/test_processing_janus.py expects of the published template. puts boi right behind "<|Assistant|>:".
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|User|>: ' }}{% elif message['role'] == 'assistant' %}{{ '<|Assistant|>:' "
    "}}"
    "{% if message['content'] and message['content'][0]['type'] == 'text' %}{{ ' ' }}{% endif %}{% endif %}"
    "{% for part in message['content'] %}{% if not loop.first %}{{ '\n' }}{% endif %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}{{ '\n\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|>:' }}{% endif %}"
)

# Source: transformers 5.23, models/janus/processing_janus.py, DEFAULT_SYSTEM_PROMPT (without the line breaks the
# template adds)
SYSTEM_PROMPT = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, "
    "and assist the user with a variety of tasks using natural language."
)


class JanusCollator(Collator):
    """Batches for `JanusForConditionalGeneration` and `janus_losses`, all quadrants.

    Rows in, tensors out, for a prompt "Draw" and an answer of one picture of 2 ids (real: 576); # is the image
    placeholder:

        input_ids       <s> <|User|>: Draw \\n\\n <|Assistant|>: <boi> # # <eoi> </s>
        labels           -      -      -    -         -        <boi> # # <eoi> </s>
        gen_image_mask   0      0      0    0         0          0   1 1   0     0          gen_image_ids [[c1, c2]]

    Args:
        processor: JanusProcessor. Its `use_default_system_prompt` is followed as the processor does in text mode; in
            image mode, so in rows that answer with a picture, there is no such prompt.
        image_tokens: `janus_tokenizer(model, processor)`, or `StoredTokens` of it; asked for answer pictures only.
        chat_template: another template; must write the processor's image token once per picture.
        max_length: tokens; longer rows are bad rows, never cut.
        on_bad_row: "raise", or "skip" and count under `skipped`.

    Returns:
        input_ids: int64 (B, L), L = longest row, tokens; placeholders where pictures stand.
        attention_mask: int64 (B, L).
        labels: int64 (B, L); answer text, answer pictures with boi and eoi, and eos; IGNORE_INDEX on prompts and
            padding. Inside pictures the placeholder, which says that there is a target: it stands in `gen_image_ids`.
        gen_image_ids: int64 (M, N), codebook ids of the M answer pictures in reading order, N = num_image_tokens.
        gen_image_mask: bool (B, L); True on the M * N positions that `gen_image_ids` fills.
        pixel_values: float32 (K, 3, S, S), the K prompt pictures in reading order; left out when K = 0.

    Raises:
        ImageTokenMismatch: image parts, pictures or ids per picture are not what is expected; names the row and the
            counts.
        RowError: a row is bad or too long, with on_bad_row="raise".
    """

    packs = True

    def __init__(
        self,
        processor: Any,
        *,
        image_tokens: ImageTokenizer | StoredTokens,
        chat_template: str | None = None,
        max_length: int | None = None,
        on_bad_row: Literal["raise", "skip"] = "raise",
    ) -> None:
        super().__init__(pad_id=pad_id_of(processor.tokenizer), max_length=max_length, on_bad_row=on_bad_row)
        template = chat_template or CHAT_TEMPLATE.replace("<image>", processor.image_token)
        self.encoder = ChatEncoder(processor, image_token=processor.image_token, chat_template=template)
        self.image_processor, self.image_tokens = processor.image_processor, image_tokens
        self.num_ids: int = processor.num_image_tokens
        self.system_prompt = bool(processor.use_default_system_prompt)
        self.boi = token_id(processor.tokenizer, processor.image_start_token)
        self.eoi = token_id(processor.tokenizer, processor.image_end_token)

    def encode(self, row: Mapping[str, Any]) -> Sample:
        return self._sample(self._with_system_prompt(row))

    def encode_prompt(self, row: Mapping[str, Any]) -> Sample:
        """As `Collator.encode_prompt`; the answer that is left out says whether there is a system prompt."""
        return self._sample(without_answer(self._with_system_prompt(row)))

    def _sample(self, row: Mapping[str, Any]) -> Sample:
        encoded = self.encoder.encode(row)
        images = list(zip(row["images"] or (), image_flags(encoded, self.encoder.image_id), strict=True))
        generated = image_ids([image for image, is_answer in images if is_answer], self.image_tokens, row_id=row["id"])
        self._check(generated, row["id"])
        pictures = [self._picture(is_answer=is_answer) for _, is_answer in images]
        columns = splice(encoded, self.encoder.image_id, pictures, row_id=row["id"])
        columns.setdefault("gen_image_mask", [0] * len(columns["input_ids"]))
        tensors = {
            "gen_image_ids": torch.stack(generated) if generated else torch.zeros(0, self.num_ids, dtype=torch.int64)
        }
        shown = [open_image(image, row_id=row["id"]) for image, is_answer in images if not is_answer]
        if shown:
            tensors["pixel_values"] = torch.cat(
                [self.image_processor(image, return_tensors="pt")["pixel_values"] for image in shown]
            )
        return Sample(columns=columns, tensors=tensors)

    def batch(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        batch = super().batch(samples)
        return {**batch, "gen_image_mask": batch["gen_image_mask"].bool()}

    def _with_system_prompt(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        messages = row["messages"]
        draws = any(
            part["type"] == "image"
            for message in messages
            if message["role"] == "assistant"
            for part in message["content"]
        )
        if not self.system_prompt or draws or messages[0]["role"] == "system":
            return row
        return {
            **row,
            "messages": [{"role": "system", "content": [{"type": "text", "text": SYSTEM_PROMPT}]}, *messages],
        }

    def _check(self, generated: list[Tensor], row_id: str) -> None:
        for ids in generated:
            if len(ids) != self.num_ids:
                raise ImageTokenMismatch(
                    f"row {row_id!r}: a picture has {len(ids)} ids; expected {self.num_ids}, the processor's "
                    "num_image_tokens",
                    kind="image_token_mismatch",
                )

    def _picture(self, *, is_answer: bool) -> Columns:
        return {
            "input_ids": [self.boi, *[self.encoder.image_id] * self.num_ids, self.eoi],
            "labels": [self.boi, *[self.encoder.image_id] * self.num_ids, self.eoi],
            "gen_image_mask": [0, *[int(is_answer)] * self.num_ids, 0],
        }


def janus_tokenizer(model: Any, processor: Any, *, image_size: int | None = None) -> VQTokenizer:
    """The model's own VQ encoder: a picture -> int64 (num_image_tokens,), ids of the generation codebook.

    Pictures are cropped to their middle square first: the image processor would put grey bars beside them, and a model
        that is taught on those learns to draw bars.

    Raises:
        UsageError: an `image_size` is given.
    """
    fixed_size("janus", image_size)
    vqmodel, image_processor = model.model.vqmodel, processor.image_processor

    def pixels_of(image: Any) -> Any:
        square = ImageOps.fit(image, (min(image.size), min(image.size)))
        return image_processor(square, return_tensors="pt")["pixel_values"]

    def ids_of(pixels: Any) -> Any:
        return vqmodel.encode(pixels, return_dict=True).image_tokens

    def pixels_from(ids: Any) -> Any:
        return vqmodel.decode(ids[None])[0]

    return VQTokenizer(
        vqmodel,
        pixels_of,
        ids_of,
        image_processor=image_processor,
        pixels_from=pixels_from,
        cropped="middle square",
        answers_only=True,
    )
