"""Silhouettes: closed outlines in a box whose longer side runs from -1 to 1, y down, and the few inner lines that make
a house a house.
"""

import math
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.errors import UnknownName

Points: TypeAlias = npt.NDArray[np.float64]  # (n, 2): x, y
Path: TypeAlias = tuple[tuple[float, float], ...]

_TURN = 2 * math.pi


def _ring(
    count: int, radius: float = 1.0, *, start: float = -0.25, x: float = 0.0, y: float = 0.0, squash: float = 1.0
) -> list[tuple[float, float]]:
    angles = [_TURN * (start + k / count) for k in range(count)]
    return [(x + radius * math.cos(a), y + radius * squash * math.sin(a)) for a in angles]


def _arc(x: float, y: float, radius: float, first: float, last: float, steps: int) -> list[tuple[float, float]]:
    """Points on a circle; angles in turns, clockwise from the right."""
    angles = [_TURN * (first + (last - first) * k / steps) for k in range(steps + 1)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _star() -> list[tuple[float, float]]:
    outer, inner = _ring(5), _ring(5, 0.46, start=-0.15)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def _heart() -> list[tuple[float, float]]:
    angles = [_TURN * k / 56 for k in range(56)]
    return [
        (
            16 * math.sin(a) ** 3 / 16,
            -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)) / 16,
        )
        for a in angles
    ]


def _flower() -> list[tuple[float, float]]:
    angles = [_TURN * k / 80 for k in range(80)]
    return [
        ((0.78 + 0.22 * math.cos(6 * a)) * math.sin(a), -(0.78 + 0.22 * math.cos(6 * a)) * math.cos(a)) for a in angles
    ]


def _fish() -> list[tuple[float, float]]:
    upper = [(-0.2 + 0.8 * math.cos(a), -0.52 * math.sin(a)) for a in (math.pi - 2.62 * k / 18 for k in range(19))]
    lower = [(x, -y) for x, y in reversed(upper[1:])]
    return [*upper, (1.0, -0.52), (0.84, 0.0), (1.0, 0.52), *lower]


def _moon() -> list[tuple[float, float]]:
    return [*_arc(0, 0, 1, 0.14, 0.86, 36), *_arc(0.62, 0, 0.776, 0.7225, 0.2775, 26)[1:-1]]


def _mushroom() -> list[tuple[float, float]]:
    stem = [(0.34, 0.1), (0.3, 0.62), (0.42, 0.9), (-0.42, 0.9), (-0.3, 0.62), (-0.34, 0.1)]
    return [*_arc(0, 0.06, 1, 0.5, 1.0, 26), (0.97, 0.16), *stem, (-0.97, 0.16)]


def _boat() -> list[tuple[float, float]]:
    return [
        (0.0, -1.0),
        (0.66, 0.28),
        (0.06, 0.28),
        (0.06, 0.44),
        (1.0, 0.44),
        (0.68, 0.94),
        (-0.68, 0.94),
        (-1.0, 0.44),
        (-0.06, 0.44),
        (-0.06, -1.0),
    ]


def _tree() -> list[tuple[float, float]]:
    half = [(0.0, -1.0), (0.42, -0.42), (0.24, -0.42), (0.6, 0.14), (0.38, 0.14), (0.78, 0.7), (0.14, 0.7), (0.14, 1.0)]
    return [*half, *((-x, y) for x, y in reversed(half[1:]))]


_OUTLINES: dict[str, list[tuple[float, float]]] = {
    "circle": _ring(48),
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -0.9), (1, 0.85), (-1, 0.85)],
    "diamond": [(0, -1), (0.72, 0), (0, 1), (-0.72, 0)],
    "star": _star(),
    "heart": _heart(),
    "cross": [
        (-0.36, -1),
        (0.36, -1),
        (0.36, -0.36),
        (1, -0.36),
        (1, 0.36),
        (0.36, 0.36),
        (0.36, 1),
        (-0.36, 1),
        (-0.36, 0.36),
        (-1, 0.36),
        (-1, -0.36),
        (-0.36, -0.36),
    ],
    "moon": _moon(),
    "flower": _flower(),
    "crown": [(-1, -0.62), (-0.48, 0.0), (0, -0.78), (0.48, 0.0), (1, -0.62), (0.8, 0.72), (-0.8, 0.72)],
    "house": [(0, -1), (0.98, -0.12), (0.74, -0.12), (0.74, 0.9), (-0.74, 0.9), (-0.74, -0.12), (-0.98, -0.12)],
    "fish": _fish(),
    "boat": _boat(),
    "tree": _tree(),
    "mushroom": _mushroom(),
}
SHAPES = tuple(_OUTLINES)
# Without these lines the silhouettes read as blobs. Each is an open or closed path in the outline's own coordinates.
_DETAILS: dict[str, tuple[Path, ...]] = {
    "house": (((-0.2, 0.9), (-0.2, 0.3), (0.2, 0.3), (0.2, 0.9)), ((-0.74, -0.12), (0.74, -0.12))),
    "fish": (((-0.66, -0.13), (-0.64, -0.13)),),
    "mushroom": (((-0.34, 0.16), (0.34, 0.16)),),
    "flower": ((*_ring(14, 0.26), _ring(14, 0.26)[0]),),
    "crown": (((-0.83, 0.46), (0.83, 0.46)),),
}
PLAIN_ONLY = frozenset(
    ("moon", "house", "boat", "tree", "flower", "crown")
)  # marks would fight with thin parts or inner lines
CONTAINERS = ("circle", "square")  # large ones have room for a small thing


def _centred(name: str) -> tuple[tuple[float, float], float]:
    """Middle of the outline's box, and what scales its longer side to 2."""
    xs, ys = zip(*_OUTLINES[name], strict=True)
    middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    return middle, 2 / max(max(xs) - min(xs), max(ys) - min(ys))


def _fit(name: str, path: list[tuple[float, float]] | Path) -> Points:
    (x, y), scale = _centred(name)
    return (np.array(path, dtype=np.float64) - (x, y)) * scale


@cache
def outline(shape: str) -> Points:
    """The silhouette, centred, longer side 2.

    Raises:
        UnknownName: no such shape; lists the known ones.
    """
    if shape not in _OUTLINES:
        raise UnknownName("shape", shape, SHAPES)
    return _fit(shape, _OUTLINES[shape])


@cache
def details(shape: str) -> tuple[Points, ...]:
    """Inner lines, in the coordinates of `outline`."""
    return tuple(_fit(shape, path) for path in _DETAILS.get(shape, ()))


@cache
def half_extent(shape: str) -> tuple[float, float]:
    """Half width and half height of `outline`; the larger is 1."""
    reach = np.abs(outline(shape)).max(axis=0)
    return float(reach[0]), float(reach[1])
