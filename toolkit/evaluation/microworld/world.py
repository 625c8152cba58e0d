"""Pictures of four cells, each empty or with one coloured shape, as 16 codes and as pixels; and what pixels show.

A cell is 2 x 2 patches, a patch is empty, full, or cut along a diagonal. All shapes share these few patches, so a pair
of colour and shape that was never seen has no code that was never seen.
"""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels: TypeAlias = npt.NDArray[np.uint8]

PLACES = ("top left", "top right", "bottom left", "bottom right")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (247, 140, 20),
    "yellow": (252, 220, 60),
    "green": (50, 160, 70),
    "blue": (40, 90, 210),
    "purple": (130, 60, 180),
    "pink": (250, 150, 190),
    "brown": (120, 75, 40),
}
# Patches of a shape in reading order: "." empty, "F" full, and filled on one side of a diagonal: "a" lower right,
# "b" lower left, "c" upper right, "d" upper left.
SHAPES: dict[str, str] = {
    "square": "FFFF",
    "bar": "FF..",
    "post": "F.F.",
    "corner": "F.FF",
    "diamond": "abcd",
    "tent": "abFF",
    "funnel": "FFcd",
    "flag": "FFF.",
    "arrow": "FbFd",
    "hill": "..ab",
    "bolt": "F..F",
    "bowl": "..cd",
}
PATCHES = "Fabcd"
NUM_CODES = 1 + len(COLOURS) * len(PATCHES)  # 0 is the ground
SIDE, PATCH = 32, 8  # pixels
GROUND = (250, 248, 242)


class Thing(NamedTuple):
    colour: str
    shape: str


Picture: TypeAlias = tuple[Thing | None, Thing | None, Thing | None, Thing | None]
EMPTY: Picture = (None, None, None, None)


def codes_of(picture: Picture) -> list[int]:
    """16 codes, patch by patch in reading order."""
    grid = np.zeros((4, 4), dtype=np.int64)
    for place, thing in enumerate(picture):
        if thing is not None:
            for patch, mark in enumerate(SHAPES[thing.shape]):
                row, column = 2 * (place // 2) + patch // 2, 2 * (place % 2) + patch % 2
                grid[row, column] = _code(thing.colour, mark)
    return [int(code) for code in grid.ravel()]


def _code(colour: str, mark: str) -> int:
    return 0 if mark == "." else 1 + len(PATCHES) * list(COLOURS).index(colour) + PATCHES.index(mark)


def paint(codes: list[int]) -> Image.Image:
    """The picture of 16 codes, 32 x 32 pixels."""
    pixels = np.empty((SIDE, SIDE, 3), dtype=np.uint8)
    for number, code in enumerate(codes):
        row, column = PATCH * (number // 4), PATCH * (number % 4)
        pixels[row : row + PATCH, column : column + PATCH] = _patches()[code]
    return Image.fromarray(pixels)


@lru_cache(maxsize=1)
def _patches() -> npt.NDArray[np.int64]:
    """(NUM_CODES, PATCH, PATCH, 3)."""
    return np.stack([_patch(code) for code in range(NUM_CODES)]).astype(np.int64)


def _patch(code: int) -> Pixels:
    patch = np.full((PATCH, PATCH, 3), GROUND, dtype=np.uint8)
    if code:
        colour, mark = divmod(code - 1, len(PATCHES))
        y, x = np.mgrid[:PATCH, :PATCH]
        filled = {
            "F": np.ones((PATCH, PATCH), dtype=bool),
            "a": x + y >= PATCH - 1,
            "b": x <= y,
            "c": x >= y,
            "d": x + y <= PATCH - 1,
        }[PATCHES[mark]]
        patch[filled] = list(COLOURS.values())[colour]
    return patch


def encode(image: Image.Image) -> list[int]:
    """The codes of a picture painted here: patch by patch, the one that differs least."""
    pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.int64)
    patches = pixels.reshape(4, PATCH, 4, PATCH, 3).swapaxes(1, 2).reshape(16, -1)
    return [int(each) for each in np.abs(patches[:, None] - _patches().reshape(1, NUM_CODES, -1)).sum(axis=2).argmin(1)]


# How each shape looks in a cell of 4 x 4 blocks: "#" filled, "+" half, "." empty. Drawn by hand, not from patches.
_LOOKS = {
    "square": "#### #### #### ####",
    "bar": "#### #### .... ....",
    "post": "##.. ##.. ##.. ##..",
    "corner": "##.. ##.. #### ####",
    "diamond": ".++. +##+ +##+ .++.",
    "tent": ".++. +##+ #### ####",
    "funnel": "#### #### +##+ .++.",
    "flag": "#### #### ##.. ##..",
    "arrow": "##+. ###+ ###+ ##+.",
    "hill": ".... .... .++. +##+",
    "bolt": "##.. ##.. ..## ..##",
    "bowl": ".... .... +##+ .++.",
}
_CLEAR = 0.12  # mean difference of a cell from how its shape looks, at most
_PURE = 0.9  # share of a cell's pixels that have its colour, at least


def read(image: Image.Image) -> list[Thing | None]:
    """What each cell of a picture shows, by colour and silhouette; Thing("?", "?") where that is nothing known."""
    pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.int64)
    half = SIDE // 2
    return [_cell(pixels[y : y + half, x : x + half]) for y in (0, half) for x in (0, half)]


def _cell(pixels: npt.NDArray[np.int64]) -> Thing | None:
    shown = np.abs(pixels - GROUND).max(axis=2) > 60
    if shown.mean() < 0.02:
        return None
    palette = np.array(list(COLOURS.values()))
    names = np.abs(pixels[shown][:, None] - palette[None]).sum(axis=2).argmin(axis=1)
    colour = int(np.bincount(names, minlength=len(palette)).argmax())
    blocks = shown.reshape(4, 4, 4, 4).mean(axis=(1, 3))
    off = {shape: float(np.abs(blocks - look).mean()) for shape, look in _looks().items()}
    shape = min(off, key=lambda name: off[name])
    if off[shape] > _CLEAR or (names == colour).mean() < _PURE:
        return Thing("?", "?")
    return Thing(list(COLOURS)[colour], shape)


@lru_cache(maxsize=1)
def _looks() -> dict[str, npt.NDArray[np.float64]]:
    value = {"#": 1.0, "+": 0.55, ".": 0.0}
    return {shape: np.array([[value[mark] for mark in row] for row in look.split()]) for shape, look in _LOOKS.items()}
