"""Where two pictures differ, and whether a mask or boxes admit it."""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]


class Change(NamedTuple):
    """How many pixels differ, and how many of those lie where nothing may."""

    inside: int
    outside: int


def change(before: Pixels, after: Pixels, allowed: npt.NDArray[np.bool_]) -> Change:
    """Counts of differing pixels inside and outside `allowed`, bool (height, width)."""
    differs = (before != after).any(axis=2)
    return Change(int((differs & allowed).sum()), int((differs & ~allowed).sum()))
