"""Own rasteriser: polygons -> coverage -> pixels, in integers, so that pixels are equal wherever numpy runs.

Corners are rounded to 1/64 pixel; each pixel row is cut by four scan lines; along a scan line coverage is exact to 1/16
pixel. So an edge has 64 levels. Fonts, strokes and shapes all come down to `paint`.
"""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.colours import Rgb

Pixels: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3)
Points: TypeAlias = npt.NDArray[np.float64]  # (n, 2): x, y in pixels
Polygons: TypeAlias = npt.NDArray[np.float64]  # (count, corners, 2), each simple
Coverage: TypeAlias = npt.NDArray[np.int64]  # (height, width), 0..FULL

FULL = 64
_UNIT = 64  # corners per pixel
_LINES = 4  # scan lines per pixel row
_CORNERS = 8  # of the disc that rounds a joint
_TURNS = 2 * np.pi * (np.arange(_CORNERS) + 0.5) / _CORNERS
_DISC = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=1)


def blank(width: int, height: int, colour: Rgb) -> Pixels:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def polygon(points: Points | Sequence[tuple[float, float]]) -> Polygons:
    return np.asarray(points, dtype=np.float64)[None]


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Polygons:
    return polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def disc(x: float, y: float, radius: float, corners: int = 48) -> Polygons:
    turns = 2 * np.pi * np.arange(corners) / corners
    return polygon(np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], axis=1))


def stroke(points: Points | Sequence[tuple[float, float]], width: float, *, closed: bool = False) -> list[Polygons]:
    """A line of even width with round joints and ends, as polygons that overlap."""
    corners = np.asarray(points, dtype=np.float64)
    ends = np.roll(corners, -1, axis=0) if closed else corners[1:]
    starts = corners if closed else corners[:-1]
    along = ends - starts
    length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) / length * (width / 2)
    return [
        np.stack([starts + side, ends + side, ends - side, starts - side], axis=1),
        corners[:, None] + _DISC[None] * (width / 2),
    ]


def coverage(shapes: Iterable[Polygons], width: int, height: int) -> Coverage:
    """How much of each pixel the union of the polygons covers, 0..FULL."""
    edges = np.concatenate([_edges(shape) for shape in shapes])
    x0, y0, x1, y1 = edges.T
    first, last = _lines_crossed(np.minimum(y0, y1), np.maximum(y0, y1), height)
    counts = np.maximum(last - first, 0)
    edge = np.repeat(np.arange(len(edges)), counts)
    line = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    step = _UNIT // _LINES
    y = line * step + step // 2
    x = x0[edge] + (y - y0[edge]) * (x1 - x0)[edge] // (y1 - y0)[edge]
    x = np.clip(x * 16 // _UNIT, 0, width * 16)
    sign = np.where(y1 > y0, -1, 1)[edge]
    cell = (line // _LINES) * (width + 2) + x // 16
    size = height * (width + 2)
    part = (
        np.bincount(cell, weights=sign * (16 - x % 16), minlength=size)
        + np.bincount(cell + 1, weights=sign * (x % 16), minlength=size + 1)[:size]
    )
    sums = np.cumsum(part.reshape(height, width + 2), axis=1)[:, :width]
    return np.clip(np.rint(sums).astype(np.int64), 0, FULL)


def _edges(shapes: Polygons) -> npt.NDArray[np.int64]:
    """Edges x0 y0 x1 y1 of polygons, all turned the same way round, so that overlaps add up."""
    corners = np.rint(shapes * _UNIT).astype(np.int64)
    following = np.roll(corners, -1, axis=1)
    area = (corners[..., 0] * following[..., 1] - following[..., 0] * corners[..., 1]).sum(axis=1)
    corners[area < 0] = corners[area < 0][:, ::-1]
    return np.concatenate([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 4)


def _lines_crossed(
    top: npt.NDArray[np.int64], bottom: npt.NDArray[np.int64], height: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First scan line at or below `top`, and first at or below `bottom`, cut to the picture."""
    step = _UNIT // _LINES
    limit = height * _LINES
    return np.clip(-((step // 2 - top) // step), 0, limit), np.clip(-((step // 2 - bottom) // step), 0, limit)


def paint(pixels: Pixels, shapes: Sequence[Polygons], colour: Rgb, *, clip: Sequence[Polygons] = ()) -> None:
    """Fill the union of polygons in place; with `clip`, only where those cover too."""
    limits = clip or shapes
    low = np.floor(np.min([shape.min(axis=(0, 1)) for shape in limits], axis=0)).astype(int) - 1
    high = np.ceil(np.max([shape.max(axis=(0, 1)) for shape in limits], axis=0)).astype(int) + 1
    x0, y0 = (max(int(value), 0) for value in low)
    x1, y1 = min(int(high[0]), pixels.shape[1]), min(int(high[1]), pixels.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    cover = coverage([shape - (x0, y0) for shape in shapes], x1 - x0, y1 - y0)
    if clip:
        cover = cover * coverage([shape - (x0, y0) for shape in clip], x1 - x0, y1 - y0) // FULL
    tile = pixels[y0:y1, x0:x1].astype(np.int16)  # holds 255 * FULL
    share = cover.astype(np.int16)[..., None]
    pixels[y0:y1, x0:x1] = tile + ((np.array(colour, np.int16) - tile) * share + FULL // 2 >> 6)
