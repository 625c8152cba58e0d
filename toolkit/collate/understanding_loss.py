"""The loss of models that write text only, where the stock one does not do: accumulation over batches of unlike length,
FSDP over batches with and without pictures, and rows of Llama 3.2 Vision with unlike numbers of pictures.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

from toolkit.collate.common import IGNORE_INDEX
from toolkit.collate.cross_attention import MASK, blank_picture, cross_attended
from toolkit.collate.loss import Losses, TokenLosses, every_part_counts, unwrapped
from toolkit.collate.understanding import UnderstandingCollator
from toolkit.errors import UsageError

PICTURE_ROW: Mapping[str, Any] = {
    "id": "picture",
    "messages": [
        {"role": "user", "content": [{"type": "image", "text": ""}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
    ],
    "images": [Image.new("RGB", (28, 28), "white")],  # Idefics takes pictures of zeros for padding
}


def understanding_losses(collate: UnderstandingCollator) -> Losses:
    """For models that write text only: the losses of `model(**batch).loss`, token by token, for a `LossModel`.

    A batch without pictures shows the vision tower a white one, whose part in the loss is nothing: so each rank of a
    distributed run has gradients of the same parameters, as FSDP needs. For Llama 3.2 Vision (Mllama), `collate` from
    now on makes batches of rows with any number of pictures, and each row is computed as alone.

    Args:
        collate: that of the batches; before its loader starts workers.

    Raises:
        UsageError: a collator of another family.
    """
    if not isinstance(collate, UnderstandingCollator):
        raise UsageError(
            f"{type(collate).__name__}: understanding_losses is for collators of models that write text only"
        )
    tensors = collate.encode(PICTURE_ROW).tensors
    if MASK in tensors:
        collate.blank = blank_picture(tensors)
        return _with_cross_attention
    return partial(_with_picture, picture=tensors)


def _with_picture(model: Any, batch: Mapping[str, Tensor], *, picture: Mapping[str, Tensor]) -> TokenLosses:
    model = unwrapped(model)
    labels = batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    features: list[Tensor] = []
    if "pixel_values" not in batch and every_part_counts():
        features = list(_features(model.model, picture))  # before the language model: FSDP gathers in this order
    logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits[:, :-1]
    text = cross_entropy(logits[supervised].float(), labels[supervised], reduction="none")
    nothing = [text.new_zeros(0), *(each.flatten()[:0].to(text.dtype) for each in features)]
    return TokenLosses(text, torch.cat(nothing))


def _with_cross_attention(model: Any, batch: Mapping[str, Tensor]) -> TokenLosses:
    model = unwrapped(model)
    if MASK not in batch:
        raise UsageError("this batch is of a collator that understanding_losses was not called with, or made before it")
    labels = batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    logits = model.lm_head(cross_attended(model.model, batch)[:, :-1][supervised]).float()
    text = cross_entropy(logits, labels[supervised], reduction="none")
    return TokenLosses(text, text.new_zeros(0))


def _features(model: Any, picture: Mapping[str, Tensor]) -> Iterator[Tensor]:
    """All that a model makes of a picture, with gradients of its whole vision tower."""
    like = next(each for each in model.parameters() if each.is_floating_point())
    tensors = {name: value.to(like.device) for name, value in picture.items()}
    tensors = {name: value.to(like.dtype) if value.is_floating_point() else value for name, value in tensors.items()}
    waiting: list[Any] = list(model.get_image_features(**tensors, return_dict=True).values())
    while waiting:
        each = waiting.pop()
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list | tuple):
            waiting += each
