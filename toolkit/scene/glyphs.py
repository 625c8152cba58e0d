"""Own stroke letters, so that text in pictures depends on no font of any system. Capitals, digits and a few signs;
small letters are drawn as capitals.
"""

from functools import cache

import numpy as np

from toolkit.scene.colours import Rgb
from toolkit.scene.raster import Pixels, Points, Polygons, paint, stroke

# Strokes on a grid 4 wide and 6 high, y down: "x y x y ...", strokes divided by "/".
_STROKES = {
    "A": "0 6 2 0 4 6/0.8 4 3.2 4",
    "B": "0 0 0 6 2.8 6 4 5 4 4 2.8 3 0 3/2.8 3 3.7 2.2 3.7 0.8 2.8 0 0 0",
    "C": "4 1 3 0 1 0 0 1 0 5 1 6 3 6 4 5",
    "D": "0 0 0 6 2.4 6 4 4.6 4 1.4 2.4 0 0 0",
    "E": "4 0 0 0 0 6 4 6/0 3 3 3",
    "F": "4 0 0 0 0 6/0 3 3 3",
    "G": "4 1 3 0 1 0 0 1 0 5 1 6 3 6 4 5 4 3.2 2.4 3.2",
    "H": "0 0 0 6/4 0 4 6/0 3 4 3",
    "I": "2 0 2 6/1 0 3 0/1 6 3 6",
    "J": "3.4 0 3.4 5 2.4 6 1 6 0 5",
    "K": "0 0 0 6/4 0 0 3.4/1.4 2.4 4 6",
    "L": "0 0 0 6 3.8 6",
    "M": "0 6 0 0 2 3 4 0 4 6",
    "N": "0 6 0 0 4 6 4 0",
    "O": "1 0 3 0 4 1 4 5 3 6 1 6 0 5 0 1 1 0",
    "P": "0 6 0 0 3 0 4 0.9 4 2.3 3 3.2 0 3.2",
    "Q": "1 0 3 0 4 1 4 5 3 6 1 6 0 5 0 1 1 0/2.6 4.4 4.2 6.4",
    "R": "0 6 0 0 3 0 4 0.9 4 2.3 3 3.2 0 3.2/2 3.2 4 6",
    "S": "4 1 3 0 1 0 0 0.9 0 2.1 1 3 3 3 4 3.9 4 5.1 3 6 1 6 0 5",
    "T": "0 0 4 0/2 0 2 6",
    "U": "0 0 0 5 1 6 3 6 4 5 4 0",
    "V": "0 0 2 6 4 0",
    "W": "0 0 1 6 2 2.6 3 6 4 0",
    "X": "0 0 4 6/4 0 0 6",
    "Y": "0 0 2 3 4 0/2 3 2 6",
    "Z": "0 0 4 0 0 6 4 6",
    "0": "1 0 3 0 4 1 4 5 3 6 1 6 0 5 0 1 1 0/3.3 1.4 0.7 4.6",
    "1": "0.8 1.2 2 0 2 6/0.8 6 3.2 6",
    "2": "0 1 1 0 3 0 4 1 4 2.2 0 6 4 6",
    "3": "0 0.9 1 0 3 0 4 0.9 4 2.1 3 3 1.4 3/3 3 4 3.9 4 5.1 3 6 1 6 0 5.1",
    "4": "3 6 3 0 0 4.2 4 4.2",
    "5": "3.8 0 0.4 0 0.2 2.6 2.8 2.6 4 3.6 4 5 3 6 1 6 0 5.2",
    "6": "3.6 0.6 2.8 0 1.4 0 0 1.6 0 5 1 6 3 6 4 5 4 3.8 3 2.8 1 2.8 0 3.8",
    "7": "0 0 4 0 1.6 6",
    "8": "1 0 3 0 3.8 0.8 3.8 2.2 3 3 1 3 0.2 2.2 0.2 0.8 1 0/1 3 0 4 0 5 1 6 3 6 4 5 4 4 3 3",
    "9": "4 2.2 3 3.2 1 3.2 0 2.2 0 1 1 0 3 0 4 1 4 4.4 2.6 6 1 6 0.3 5.4",
    "?": "0 1 1 0 3 0 4 1 4 2 2 3.4 2 4.2/2 5.9 2 6",
    "!": "2 0 2 4/2 5.9 2 6",
    ".": "2 5.9 2 6",
    ",": "2 5.6 1.6 6.8",
    ":": "2 1.7 2 1.8/2 4.6 2 4.7",
    "-": "0.8 3.2 3.2 3.2",
    "+": "0.4 3.2 3.6 3.2/2 1.6 2 4.8",
    "'": "2 0 2 1.2",
    " ": "",
}
_ADVANCE = 5.6  # grid units from one letter to the next
_HEIGHT = 6


@cache
def _letter(sign: str) -> tuple[Points, ...]:
    strokes = (np.array(path.split(), dtype=np.float64).reshape(-1, 2) for path in _STROKES[sign].split("/") if path)
    return tuple(strokes)


def text_width(text: str, height: float) -> float:
    """Width of a line of text of that letter height, in the same unit."""
    return (len(text) * _ADVANCE - (_ADVANCE - 4)) * height / _HEIGHT


def write(pixels: Pixels, text: str, x: float, y: float, height: float, colour: Rgb, *, weight: float = 0.13) -> None:
    """Draw a line of text centred on (x, y), in place; pixels, `weight` is the stroke's share of the height.

    Raises:
        KeyError: a sign there is no letter for.
    """
    scale = height / _HEIGHT
    left, top = x - text_width(text, height) / 2, y - height / 2
    strokes: list[Polygons] = []
    for number, sign in enumerate(text.upper()):
        for points in _letter(sign):
            strokes += stroke(points * scale + (left + number * _ADVANCE * scale, top), height * weight)
    if strokes:
        paint(pixels, strokes, colour)
