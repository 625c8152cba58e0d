"""Colour names, and how sure a name is.

A colour may be painted only if its name is the nearest one in CIELAB by a margin, so that nobody has to guess whether a
thing is red or orange.
"""

import math
from functools import cache, lru_cache
from typing import NamedTuple

MIN_MARGIN = 9.0  # CIE76 dE between the right name and the next one
MIN_CONTRAST = 25.0  # CIE76 dE between a fill and whatever lies behind it


class Rgb(NamedTuple):
    """8-bit sRGB."""

    red: int
    green: int
    blue: int


# Focal colours per name: a strong, a dark or light, and a chalky one, so that a name keeps its hue over all styles.
FOCAL: dict[str, tuple[Rgb, ...]] = {
    "red": (Rgb(210, 45, 45), Rgb(225, 85, 78), Rgb(250, 50, 60)),
    "orange": (Rgb(245, 138, 30), Rgb(242, 155, 80), Rgb(248, 176, 104)),
    "yellow": (Rgb(250, 214, 50), Rgb(242, 216, 110), Rgb(250, 226, 130)),
    "green": (Rgb(60, 158, 80), Rgb(125, 198, 122), Rgb(70, 228, 110)),
    "blue": (Rgb(50, 105, 205), Rgb(112, 170, 230), Rgb(145, 188, 242)),
    "purple": (Rgb(132, 72, 172), Rgb(178, 138, 216), Rgb(168, 82, 250)),
    "pink": (Rgb(242, 140, 180), Rgb(250, 110, 196), Rgb(248, 170, 198)),
    "brown": (Rgb(130, 86, 52),),
}
COLOURS = tuple(FOCAL)


@lru_cache(maxsize=65536)
def lab(rgb: Rgb) -> tuple[float, float, float]:
    """sRGB to CIELAB under D65 (CIE 15:2004)."""
    red, green, blue = (_linear(value / 255) for value in rgb)
    x = 0.4124564 * red + 0.3575761 * green + 0.1804375 * blue
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = 0.0193339 * red + 0.1191920 * green + 0.9503041 * blue
    fx, fy, fz = (_cube_root(value) for value in (x / 0.95047, y, z / 1.08883))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _cube_root(value: float) -> float:
    return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116


def difference(one: Rgb, other: Rgb) -> float:
    """CIE76 dE."""
    return math.dist(lab(one), lab(other))


@lru_cache(maxsize=65536)
def margin(rgb: Rgb, name: str) -> float:
    """How much nearer `rgb` is to `name` than to any other name, in dE; negative if another name is nearer."""
    mine, focal = lab(rgb), _focal_labs()
    nearest = {other: min([math.dist(mine, each) for each in focal[other]]) for other in COLOURS}
    return min([distance for other, distance in nearest.items() if other != name]) - nearest[name]


@cache
def _focal_labs() -> dict[str, list[tuple[float, float, float]]]:
    return {name: [lab(rgb) for rgb in focals] for name, focals in FOCAL.items()}
