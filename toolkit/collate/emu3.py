"""Emu3: pictures are ids of the text vocabulary, as many as their size asks for.

    bos  "USER: " prompt " ASSISTANT:" answer eos       a picture: boi "H*W" <|image token|> H rows of W ids and an
         end-of-line eof eoi

The stock loss works on these batches, `model(**batch).loss`; `vocabulary_losses` gives the same for text and pictures
apart.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch

from toolkit.collate.common import Collator, Columns, Sample, pad_id_of, splice
from toolkit.collate.template import ChatEncoder, token_id
from toolkit.collate.tokens import ImageTokenizer, StoredTokens, VQTokenizer, image_ids
from toolkit.errors import ImageTokenMismatch

# Ends each row of a picture.
# Source: transformers 5.23, models/emu3/modeling_emu3.py, Emu3ImageVocabularyMapping
END_OF_LINE = "<|extra_200|>"

# Prompts as the published template writes them: pictures first, then text. Answers in reading order, which that
# template loses, and with
# Source: huggingface/transformers, src/transformers/models/emu3/convert_emu3_weights_to_hf.py, CHAT_TEMPLATE no blank
# before a picture that opens an answer, because generation puts boi right behind "ASSISTANT:".
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}ASSISTANT:{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{% if loop.first %}{{ ' ' }}{% endif %}{{ part['text'] + ' ' "
    "}}{% endif %}{% endfor %}"
    "{% else %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


class Emu3Collator(Collator):
    """Batches for `Emu3ForConditionalGeneration`, all quadrants.

    Rows in, tensors out, for a prompt "Draw" and an answer of one picture of 1 x 2 ids:

        input_ids   <bos> USER: Draw ASSISTANT: <boi> 1 * 2 <img> v1 v2 <eol> <eof> <eoi>   <eos>
        labels        -     -     -      -      <boi> 1 * 2 <img> v1 v2 <eol> <eof> <eoi>   <eos>

    Args:
        processor: Emu3Processor.
        image_tokens: `emu3_tokenizer(model, processor)`, or `StoredTokens` of it.
        chat_template: another template; must write the processor's image token once per picture.
        max_length: tokens; longer rows are bad rows, never cut.
        on_bad_row: "raise", or "skip" and count under `skipped`.

    Returns:
        input_ids: int64 (B, L), L = longest row, tokens; pictures as ids of the text vocabulary.
        attention_mask: int64 (B, L).
        labels: int64 (B, L); answer text, all tokens of answer pictures (the size text too: the model has to choose
            it), and eos; IGNORE_INDEX on prompts and padding.

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
        tokenizer = processor.tokenizer
        super().__init__(pad_id=pad_id_of(tokenizer), max_length=max_length, on_bad_row=on_bad_row)
        template = chat_template or CHAT_TEMPLATE.replace("<image>", processor.image_token)
        # The processor writes bos in front of the text; its tokenizer adds none.
        bos = [token_id(tokenizer, processor.bos_token)]
        self.encoder = ChatEncoder(
            processor, image_token=processor.image_token, chat_template=template, leading_ids=bos
        )
        self.tokenizer, self.image_tokens = tokenizer, image_tokens
        self.end_of_line = token_id(tokenizer, END_OF_LINE)
        self.opening = [token_id(tokenizer, processor.image_start_token)]
        self.wrapper = [token_id(tokenizer, processor.fake_token_around_image)]
        self.closing = [token_id(tokenizer, processor.eof_token), token_id(tokenizer, processor.image_end_token)]

    def encode(self, row: Mapping[str, Any]) -> Sample:
        encoded = self.encoder.encode(row)
        pictures = [
            self._picture(ids.tolist(), row["id"])
            for ids in image_ids(row["images"] or (), self.image_tokens, row_id=row["id"])
        ]
        return Sample(columns=splice(encoded, self.encoder.image_id, pictures, row_id=row["id"]))

    def _picture(self, ids: list[int], row_id: str) -> Columns:
        height = ids.count(self.end_of_line)
        width = len(ids) // height - 1 if height else 0
        if (
            width < 1
            or any(ids[n] != self.end_of_line for n in range(width, len(ids), width + 1))
            or len(ids) != height * (width + 1)
        ):
            raise ImageTokenMismatch(
                f"row {row_id!r}: a picture has {len(ids)} ids and {height} ends of line; expected H rows of W ids "
                "and an end of line",
                kind="image_token_mismatch",
            )
        size: list[int] = self.tokenizer.encode(f"{height}*{width}", add_special_tokens=False)
        framed = [*self.opening, *size, *self.wrapper, *ids, *self.closing]
        return {"input_ids": framed, "labels": framed}


def emu3_tokenizer(model: Any, processor: Any, *, image_size: int | None = None) -> VQTokenizer:
    """The model's own VQ encoder: a picture -> int64 (H * (W + 1),), ids of the text vocabulary with an end of line
    after each row.

    Args:
        image_size: sets the processor's limits, so that pictures are at most `image_size` x `image_size` pixels.
    """
    inner, image_processor = model.model, processor.image_processor
    if image_size is not None:
        image_processor.max_pixels = image_size**2
        image_processor.min_pixels = min(image_processor.min_pixels, image_size**2)

    def pixels_of(image: Any) -> Any:
        # Said, or a picture one pixel wide would be taken for one of another number of channels.
        return image_processor(image, return_tensors="pt", input_data_format="channels_last")["pixel_values"]

    def ids_of(pixels: Any) -> Any:
        return inner.get_image_tokens(pixels, torch.tensor([pixels.shape[-2:]] * len(pixels)))

    def pixels_from(ids: Any) -> Any:
        mapping = inner.vocabulary_mapping
        width = ids.tolist().index(mapping.eol_token_id)
        return inner.vqmodel.decode(mapping.convert_bpe2img(ids.reshape(1, -1, width + 1)))[0]

    return VQTokenizer(inner.vqmodel, pixels_of, ids_of, image_processor=image_processor, pixels_from=pixels_from)
