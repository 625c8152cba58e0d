"""Pictures from ids of the tiny random models, whose own VQ decoders make nothing of them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from toolkit.collate.common import open_image
from toolkit.collate.tokens import VQTokenizer

GREY = 128


class PatchDecoder:
    """Shows each id as the mean of the patches that were given this id: enough to see which colour goes where.

    Args:
        tokenizer: of a tiny model.
        images: of rows, from which the patches are learned; ids of none of them are grey.
        end_of_line: the id that ends a row, where a family has one; else pictures are squares.
    """

    can_decode = True

    def __init__(self, tokenizer: VQTokenizer, images: Sequence[Any], *, end_of_line: int | None = None) -> None:
        self._end_of_line = end_of_line
        found: dict[int, list[Any]] = {}
        opened = [open_image(image) for image in images]
        for image, ids in zip(opened, tokenizer.encode(opened), strict=True):
            pixels, rows = np.asarray(tokenizer.as_seen(image), dtype=float), self._rows(ids.tolist())
            side = self._side = len(pixels) // len(rows)
            for y, row in enumerate(rows):
                for x, each in enumerate(row):
                    patch = pixels[y * side : (y + 1) * side, x * side : (x + 1) * side]
                    found.setdefault(each, []).append(patch)
        self._patches = {each: np.mean(patches, axis=0) for each, patches in found.items()}

    def _rows(self, ids: list[int]) -> list[list[int]]:
        width = math.isqrt(len(ids)) if self._end_of_line is None else ids.index(self._end_of_line)
        step = width + (self._end_of_line is not None)
        return [ids[at : at + width] for at in range(0, len(ids), step)]

    def decode(self, ids: Sequence[Tensor]) -> list[Image.Image]:
        """Per picture an RGB picture, 8 x 8 pixels an id."""
        return [self._image(each.tolist()) for each in ids]

    def _image(self, ids: list[int]) -> Image.Image:
        grey = np.full((self._side, self._side, 3), GREY, dtype=float)
        rows = [np.concatenate([self._patches.get(each, grey) for each in row], axis=1) for row in self._rows(ids)]
        return Image.fromarray(np.concatenate(rows).round().astype(np.uint8))
