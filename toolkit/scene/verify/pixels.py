"""Picture -> things, from pixels alone: hue bands name colours, connected regions find things, hand-drawn silhouettes
name shapes.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.verify.regions import Mask, Piece, eroded, filled, pieces
from toolkit.scene.verify.silhouettes import shape_of
from toolkit.scene.verify.text import ReadScene, ReadThing

Pixels: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]

COLOURS = ("", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
# Typical ground of each style, 8-bit sRGB: read off pictures.
GROUNDS = {
    "storybook": (250, 242, 222),
    "comic": (255, 255, 255),
    "pastel": (252, 247, 245),
    "chalkboard": (46, 67, 59),
    "neon": (22, 20, 38),
    "blueprint": (36, 66, 110),
    "sticker": (184, 216, 231),
}
_RING = 15 / 512  # the edge that every scene leaves free
_LEAST = 200 / 512**2  # smaller regions are dust
_LINE = 9 / 512  # no outline is wider
_DIAGONAL = 6 / 512  # a step along which stripes, which fall to the right, stay what they are
_SMALL, _MEDIUM = 0.137, 0.215  # longer side, outline included: up to which a thing is small, or medium
_NEVER_MARKED = ("house", "crown", "flower", "boat", "tree", "moon")  # inner lines or thin parts, but no pattern


class Found(NamedTuple):
    """A thing in a picture, and its box in pixels."""

    thing: ReadThing
    box: tuple[int, int, int, int]


def read_picture(pixels: Pixels) -> ReadScene:
    """What a scene picture shows, in the words of captions."""
    things = sorted(found.thing for found in find_things(pixels))
    return ReadScene(tuple(things), read_background(pixels), read_style(pixels))


def find_things(pixels: Pixels) -> list[Found]:
    """Every thing in the picture; what lies inside another follows it."""
    found: list[Found] = []
    side = pixels.shape[0]
    for piece in pieces(filled(~_looks_like_edge(pixels)), int(_LEAST * side**2)):
        labels = colour_labels(pixels[piece.y0 : piece.y1, piece.x0 : piece.x1]) * piece.mask
        body = int(np.bincount(labels.ravel(), minlength=9)[1:].argmax()) + 1
        inside = _inner(piece, labels, body, side)
        outer = _thing(piece, labels, body, side, "", holds=bool(inside))
        found.append(outer)
        for inner in inside:
            inner_labels = labels[inner.y0 : inner.y1, inner.x0 : inner.x1] * inner.mask
            counts = np.bincount(inner_labels.ravel(), minlength=9)
            counts[[0, body]] = 0
            moved = inner._replace(
                x0=inner.x0 + piece.x0, x1=inner.x1 + piece.x0, y0=inner.y0 + piece.y0, y1=inner.y1 + piece.y0
            )
            found.append(
                _thing(moved, inner_labels, int(counts.argmax()), side, f"{outer.thing.colour} {outer.thing.shape}")
            )
    return found


def _looks_like_edge(pixels: Pixels) -> Mask:
    """Pixels of a colour that also occurs along the picture's edge, where nothing but background may be."""
    codes = (pixels >> 3).astype(np.int64)
    ring = round(_RING * pixels.shape[0])
    free = np.zeros(pixels.shape[:2], dtype=bool)
    free[:ring] = free[-ring:] = free[:, :ring] = free[:, -ring:] = True
    seen = np.zeros((34, 34, 34), dtype=bool)
    packed = np.unique(codes[free] @ np.array([1024, 32, 1]))
    for red, green, blue in zip(packed >> 10, packed >> 5 & 31, packed & 31, strict=True):
        seen[red : red + 3, green : green + 3, blue : blue + 3] = True  # one step of 8 either way
    looks: Mask = seen[codes[..., 0] + 1, codes[..., 1] + 1, codes[..., 2] + 1]
    return looks


def colour_labels(pixels: Pixels) -> Labels:
    """Number of the colour name (index of `COLOURS`) of each pixel; 0 = white, grey or dark. Bands of hue, saturation
    and value.
    """
    rgb = pixels.astype(np.float64)
    high, low = rgb.max(axis=2), rgb.min(axis=2)
    spread = np.maximum(high - low, 1e-9)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = (
        np.where(
            high == red,
            (green - blue) / spread % 6,
            np.where(high == green, (blue - red) / spread + 2, (red - green) / spread + 4),
        )
        * 60
    )
    value, saturation = high / 255, (high - low) / np.maximum(high, 1)
    hue = np.where(hue >= 345, hue - 360, hue)
    names = np.select(
        [(hue < 14) & (value > 0.62), (hue < 66) & (value < 0.68), hue < 38, hue < 66, hue < 170, hue < 248, hue < 294],
        [1, 8, 2, 3, 4, 5, 6],
        7,
    )
    names = np.where((names == 1) & (saturation < 0.5), 7, names)
    return np.where((saturation < 0.22) | (value < 0.36), 0, names)


def _inner(piece: Piece, labels: Labels, body: int, side: int) -> list[Piece]:
    """Regions of another colour that the body's colour surrounds."""
    other = piece.mask & (labels != body)
    found = []
    for region in pieces(filled_from(other, piece.mask), int(_LEAST * side**2)):
        box = labels[region.y0 : region.y1, region.x0 : region.x1] * region.mask
        if (
            eroded((box != body) & (box != 0), 1).sum() >= 0.04 * region.area
        ):  # thicker than the blend of two colours along an edge
            found.append(region)
    return found


def filled_from(other: Mask, whole: Mask) -> Mask:
    """Of `other`, the regions that do not reach the rim of `whole`, holes filled."""
    rim = whole & ~eroded(whole, 1)
    keep = np.zeros_like(other)
    for region in pieces(other, 40):
        view = (slice(region.y0, region.y1), slice(region.x0, region.x1))
        if not (rim[view] & region.mask).any():
            keep[view] |= region.mask
    return filled(keep)


def _thing(piece: Piece, labels: Labels, body: int, side: int, inside: str, *, holds: bool = False) -> Found:
    shape, _ = shape_of(filled(piece.mask))
    longer = max(piece.x1 - piece.x0, piece.y1 - piece.y0) / side
    size = "small" if longer < _SMALL else "medium" if longer < _MEDIUM else "large"
    pattern = "plain" if size == "small" or holds or shape in _NEVER_MARKED else _pattern(piece, labels, side)
    x, y = (piece.x0 + piece.x1) / 2 / side, (piece.y0 + piece.y1) / 2 / side
    return Found(
        ReadThing(size, pattern, COLOURS[body], shape, place_at(x, y), inside), (piece.x0, piece.y0, piece.x1, piece.y1)
    )


def _pattern(piece: Piece, labels: Labels, side: int) -> str:
    """By the colourless pixels well inside the outline: none; alike along the falling diagonal, as stripes are; or not,
    as dots are.
    """
    core = eroded(filled(piece.mask), round(_LINE * side))
    marks = labels == 0
    if not core.any() or marks[core].mean() < 0.07:
        return "plain"
    step = round(_DIAGONAL * side)
    both = core[step:, step:] & core[:-step, :-step]
    alike = (marks[step:, step:] == marks[:-step, :-step])[both]
    return "striped" if alike.mean() > 0.82 else "spotted"


def place_at(x: float, y: float) -> str:
    """The ninth of the picture that a point lies in, in words."""
    row, column = min(int(y * 3), 2), min(int(x * 3), 2)
    names = (("top left", "top", "top right"), ("left", "centre", "right"), ("bottom left", "bottom", "bottom right"))
    return names[row][column]


def read_style(pixels: Pixels) -> str:
    """The style whose ground is nearest to the median colour of the top edge (where a shaded ground begins)."""
    ring = round(_RING * pixels.shape[0])
    edge = np.median(pixels[:ring].reshape(-1, 3), axis=0)
    return min(GROUNDS, key=lambda name: float(np.abs(edge - GROUNDS[name]).sum()))


def read_background(pixels: Pixels) -> str:
    """What varies along the free edge: nothing, only from row to row, smoothly or by jumps, along both, or here and
    there.
    """
    ring = round(_RING * pixels.shape[0])
    left, top = pixels[:, :ring].astype(np.int64), pixels[:ring].astype(np.int64)
    if np.ptp(left, axis=(0, 1)).max() <= 2:
        return "plain"
    if np.ptp(left, axis=1).max() <= 1:
        jump = np.abs(np.diff(left[:, 0], axis=0)).max()
        return "lined" if jump > 2 else "shaded"
    plain_rows = np.ptp(top, axis=1).max(axis=1) <= 1
    columns_at_top = np.ptp(top[:4], axis=(0, 1)).max()
    return "dotted" if columns_at_top <= 1 and not plain_rows.all() else "grid"
