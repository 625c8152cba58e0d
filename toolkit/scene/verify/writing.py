"""A word in capital letters, or a number -> what it says. Letters and digits as they are commonly drawn, by hand on 5 x
7 cells; not the engine's strokes.
"""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.verify.ground import normalised, stands_out
from toolkit.scene.verify.regions import Mask, Piece, pieces

Pixels: TypeAlias = npt.NDArray[np.uint8]

_LEAST = 100 / 512**2  # smaller regions are dust
_ROOM = 0.015  # by how much the best letter beats the next
_APART = 0.005  # by how much a line is nearer to letters than to digits, or the other way round, as a mean of its signs
_LETTERS = """
A      B      C      D      E      F      G      H      I      J      K      L      M
..#..  ####.  .###.  ####.  #####  #####  .###.  #...#  .###.  ....#  #...#  #....  #...#
..#..  #...#  #...#  #..##  #....  #....  #...#  #...#  ..#..  ....#  #..#.  #....  ##.##
.#.#.  #...#  #....  #...#  #....  #....  #....  #...#  ..#..  ....#  #.#..  #....  #.#.#
.#.#.  ####.  #....  #...#  ####.  ####.  #..##  #####  ..#..  ....#  ##...  #....  #.#.#
#####  #...#  #....  #...#  #....  #....  #...#  #...#  ..#..  ....#  #.#..  #....  #...#
#...#  #...#  #...#  #..##  #....  #....  #...#  #...#  ..#..  #...#  #..#.  #....  #...#
#...#  ####.  .###.  ####.  #####  #....  .###.  #...#  .###.  .###.  #...#  #####  #...#

N      O      P      Q      R      S      T      U      V      W      X      Y      Z
#...#  .###.  ####.  .###.  ####.  .###.  #####  #...#  #...#  #...#  #...#  #...#  #####
##..#  #...#  #...#  #...#  #...#  #...#  ..#..  #...#  #...#  #...#  #...#  #...#  ....#
##..#  #...#  #...#  #...#  #...#  #....  ..#..  #...#  .#.#.  #.#.#  .#.#.  .#.#.  ...#.
#.#.#  #...#  ####.  #...#  ####.  .###.  ..#..  #...#  .#.#.  #.#.#  ..#..  ..#..  ..#..
#..##  #...#  #....  #...#  #.#..  ....#  ..#..  #...#  .#.#.  #.#.#  .#.#.  ..#..  .#...
#..##  #...#  #....  #..##  #..#.  #...#  ..#..  #...#  ..#..  .#.#.  #...#  ..#..  #....
#...#  .###.  #....  .####  #...#  .###.  ..#..  .###.  ..#..  .#.#.  #...#  ..#..  #####
"""
_DIGITS = """
0      1      2      3      4      5      6      7      8      9
.###.  ..#..  .###.  .###.  ...#.  #####  ..##.  #####  .###.  .###.
#...#  .##..  #...#  #...#  ..##.  #....  .#...  ....#  #...#  #...#
#..##  ..#..  ....#  ....#  .#.#.  ####.  #....  ...#.  #...#  #...#
#.#.#  ..#..  ...#.  ..##.  #..#.  ....#  ####.  ..#..  .###.  .####
##..#  ..#..  ..#..  ....#  #####  ....#  #...#  ..#..  #...#  ....#
#...#  ..#..  .#...  #...#  ...#.  #...#  #...#  .#...  #...#  ...#.
.###.  .###.  #####  .###.  ...#.  .###.  .###.  .#...  .###.  .##..
"""


class Word(NamedTuple):
    """A word as read; `unsure` if one of its letters is nearly another."""

    text: str
    unsure: bool


class _Line(NamedTuple):
    """A line as read in one alphabet: how far its signs are from those drawn, on average, and the least lead of one."""

    text: str
    cost: float
    lead: float


@lru_cache(maxsize=2)
def _drawings(alphabet: str) -> dict[str, npt.NDArray[np.float64]]:
    drawn: dict[str, npt.NDArray[np.float64]] = {}
    for band in alphabet.strip().split("\n\n"):
        names, *lines = [line.split() for line in band.splitlines()]
        for column, name in enumerate(names):
            cells = np.array([[float(mark == "#") for mark in line[column]] for line in lines])
            rows, columns = cells.any(axis=1), cells.any(axis=0)
            drawn[name] = _spread(cells[np.ix_(rows, columns)].astype(bool))
    return drawn


def _spread(mask: Mask) -> npt.NDArray[np.float64]:
    """A mask stretched to 14 x 10 cells: the share of each that lies near something drawn."""
    (tops, bottoms), (lefts, rights) = _bands(mask.shape[0], 14), _bands(mask.shape[1], 10)
    counts = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows = counts[bottoms] - counts[tops]
    cells: npt.NDArray[np.float64] = (rows[:, rights] - rows[:, lefts]) / np.outer(bottoms - tops, rights - lefts)
    padded = np.pad(cells, 1, mode="edge")
    soft = cells * 0.5
    for i, j in ((0, 1), (2, 1), (1, 0), (1, 2)):
        soft += padded[i : i + 14, j : j + 10] / 8
    return soft


def _bands(length: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and last + 1 of the pixels that each of so many equal bands touches, at least one."""
    edges = np.linspace(0, length, count + 1)
    first = edges[:-1].astype(np.int64)
    return first, np.maximum(np.ceil(edges[1:]).astype(np.int64), first + 1)


def read_word(pixels: Pixels) -> Word:
    """The one line of capital letters that a picture shows, from left to right; "" if there is none."""
    pixels = normalised(pixels)
    letters = _merged(pieces(stands_out(pixels), int(_LEAST * min(pixels.shape[:2]) ** 2)))
    line = _line(letters, _LETTERS)
    return Word(line.text, line.lead < _ROOM)


def read_marks(marks: Mask, least: int) -> Word:
    """The one word or number that a mask shows; "" if there is none.

    Args:
        least: pixels of a stroke that stands alone.
    """
    signs = _merged(pieces(marks, least))
    best, other = sorted((_line(signs, each) for each in (_LETTERS, _DIGITS)), key=lambda line: line.cost)
    return Word(best.text, best.lead < _ROOM or other.cost - best.cost < _APART)


def _merged(found: list[Piece]) -> list[Mask]:
    """A mask a letter: regions above one another belong together."""
    groups: list[list[Piece]] = []
    for piece in sorted(found, key=lambda each: each.x0):
        if groups and piece.x0 < max(each.x1 for each in groups[-1]):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    masks = []
    for group in groups:
        x0, y0 = min(each.x0 for each in group), min(each.y0 for each in group)
        mask = np.zeros((max(each.y1 for each in group) - y0, max(each.x1 for each in group) - x0), dtype=bool)
        for each in group:
            mask[each.y0 - y0 : each.y1 - y0, each.x0 - x0 : each.x1 - x0] |= each.mask
        masks.append(mask)
    return masks


def _line(signs: list[Mask], alphabet: str) -> _Line:
    read = [_sign(mask, alphabet) for mask in signs]
    cost = sum(each.cost for each in read) / max(len(read), 1)
    return _Line("".join(each.text for each in read), cost, min((each.lead for each in read), default=1.0))


def _sign(mask: Mask, alphabet: str) -> _Line:
    cells = _spread(mask)
    scores = sorted((float(np.abs(cells - drawn).mean()), name) for name, drawn in _drawings(alphabet).items())
    return _Line(scores[0][1], scores[0][0], scores[1][0] - scores[0][0])
