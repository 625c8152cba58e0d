"""Chameleon and Anole: pictures are ids of the text vocabulary, a fixed number each.

    bos  prompt text and pictures  sep  answer text and pictures  eos          a picture: boi, image_seq_length ids, eoi

The stock `labels` path gives an infinite loss on pictures, because the model forbids its own image logits: use
`vocabulary_losses`.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from toolkit.collate.chameleon_decoder import load_decoder
from toolkit.collate.common import Collator, Columns, Sample, pad_id_of, splice
from toolkit.collate.template import ChatEncoder, token_id
from toolkit.collate.tokenizers import fixed_size
from toolkit.collate.tokens import ImageTokenizer, StoredTokens, VQTokenizer, image_ids
from toolkit.errors import ImageTokenMismatch

# The turn separator ends a prompt, eos an answer; parts follow one another without a blank.
# Source: facebookresearch/chameleon, chameleon/inference/chameleon.py, TokenManager.tokens_from_ui ("<END-OF-TURN>"),
# and the sep_token that transformers' ChameleonProcessor adds to a prompt. A system text, which they do not have,
# stands before the prompt.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif "
    "%}{% endfor %}"
    "{% if message['role'] == 'system' %}{{ '\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ eos_token }}"
    "{% else %}{{ sep_token }}{% endif %}"
    "{% endfor %}"
)


class ChameleonCollator(Collator):
    """Batches for `ChameleonForConditionalGeneration` and Anole, all quadrants.

    Rows in, tensors out, for a prompt "Draw a cat" and an answer "Here:" with one picture of 3 ids (real: 1024):

        input_ids   <s> D r a w   a   c a t <sep> H e r e : <boi> i1 i2 i3 <eoi> </s>
        labels       -  - - - - - - - - - -   -   H e r e : <boi> i1 i2 i3 <eoi> </s>

    Args:
        processor: ChameleonProcessor.
        image_tokens: `chameleon_tokenizer(model, processor)`, or `StoredTokens` of it.
        chat_template: another template; must write the processor's image token once per picture.
        max_length: tokens; longer rows are bad rows, never cut.
        on_bad_row: "raise", or "skip" and count under `skipped`.

    Returns:
        input_ids: int64 (B, L), L = longest row, tokens; pictures as ids of the text vocabulary.
        attention_mask: int64 (B, L).
        labels: int64 (B, L); answer text, answer pictures with boi and eoi, and eos; IGNORE_INDEX on prompts and
            padding.

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
        self.image_tokens = image_tokens
        self.num_ids: int = processor.image_seq_length
        self.boi = token_id(processor.tokenizer, processor.image_start_token)
        self.eoi = token_id(processor.tokenizer, processor.image_end_token)

    def encode(self, row: Mapping[str, Any]) -> Sample:
        encoded = self.encoder.encode(row)
        pictures = [
            self._picture(ids.tolist(), row["id"])
            for ids in image_ids(row["images"] or (), self.image_tokens, row_id=row["id"])
        ]
        return Sample(columns=splice(encoded, self.encoder.image_id, pictures, row_id=row["id"]))

    def _picture(self, ids: list[int], row_id: str) -> Columns:
        if len(ids) != self.num_ids:
            raise ImageTokenMismatch(
                f"row {row_id!r}: a picture has {len(ids)} ids; expected {self.num_ids}, the processor's "
                "image_seq_length",
                kind="image_token_mismatch",
            )
        framed = [self.boi, *ids, self.eoi]
        return {"input_ids": framed, "labels": framed}


def chameleon_tokenizer(
    model: Any, processor: Any, *, image_size: int | None = None, decoder: str | Path | torch.nn.Module | None = None
) -> VQTokenizer:
    """The model's own VQ encoder: a picture -> int64 (image_seq_length,), ids of the text vocabulary.

    Args:
        decoder: turns ids into pictures, which transformers leaves out: `vqgan.ckpt` of the Chameleon or Anole
            release, a folder or a Hub model whose weights hold one (leloy/Anole-7b-v0.1-hf), or a module that turns
            latents, float (B, C, h, w), into pixels.

    Raises:
        UsageError: an `image_size` is given. SourceError: there is no decoder where `decoder` says.
    """
    fixed_size("chameleon", image_size)
    inner, image_processor = model.model, processor.image_processor
    vqmodel = inner.vqmodel
    if isinstance(decoder, str | Path):
        decoder = load_decoder(decoder, vqmodel)
    pixels_from = None
    if decoder is not None:
        codes = torch.zeros(model.lm_head.out_features, dtype=torch.int64)
        for token, code in inner.vocabulary_mapping.bpe2img.items():
            codes[token] = code
        pixels_from = partial(_pixels_from, vqmodel, decoder.eval().requires_grad_(False), codes)

    def pixels_of(image: Any) -> Any:
        return image_processor(image, return_tensors="pt")["pixel_values"]

    return VQTokenizer(
        vqmodel, pixels_of, inner.get_image_tokens, image_processor=image_processor, pixels_from=pixels_from
    )


def _pixels_from(vqmodel: Any, decoder: torch.nn.Module, codes: Tensor, ids: Tensor) -> Tensor:
    latents = vqmodel.quantize.embedding(codes.to(ids.device)[ids])  # (N, C)
    side = math.isqrt(len(ids))
    grid = latents.T.reshape(1, -1, side, len(ids) // side)
    pixels: Tensor = decoder.to(grid.device, grid.dtype)(vqmodel.post_quant_conv(grid))[0]
    return pixels
