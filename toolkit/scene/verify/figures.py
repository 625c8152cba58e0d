"""Drawings of told problems -> what they show: bars measured, hands of clocks, squares on a way, shapes in a row.
Layout read off pictures, 512 x 512.
"""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.verify.pixels import COLOURS, colour_labels
from toolkit.scene.verify.regions import filled, pieces
from toolkit.scene.verify.silhouettes import shape_of

Pixels: TypeAlias = npt.NDArray[np.uint8]
_ORANGE, _GREEN = COLOURS.index("orange"), COLOURS.index("green")
_BAR_UNIT, _BAR_LINE = 28, 3.5  # pixels: one step of a bar, and the part of it that outlines cover
_BOARD, _SQUARE, _MIDDLE = 62, 84, 256
_FRAMES, _FRAME_Y, _FRAME_HALF = (76, 196, 316, 436), 262, 48


def read_chart(pixels: Pixels) -> tuple[list[int], int]:
    """Amounts from left to right, and the number of the bar that stands out (-1 = none)."""
    labels = colour_labels(pixels)
    bars = [
        (piece, label)
        for label in (_ORANGE, _GREEN)
        for piece in pieces(labels == label, 400)
        if piece.x1 - piece.x0 > 40
    ]
    bars.sort(key=lambda bar: bar[0].x0)
    marked = [number for number, (_, label) in enumerate(bars) if label == _ORANGE]
    return [round((piece.y1 - piece.y0 + _BAR_LINE) / _BAR_UNIT) for piece, _ in bars], marked[0] if marked else -1


def read_clock(pixels: Pixels) -> int:
    """Minutes after twelve: the green hand tells the minutes, the orange one to which hour they belong."""
    labels = colour_labels(pixels)
    minute = round(_turn(labels == _GREEN) * 60) % 60
    hours = _turn(labels == _ORANGE) * 12
    hour = round(hours - minute / 60) % 12
    return 60 * hour + minute


def _turn(mask: npt.NDArray[np.bool_]) -> float:
    """Where a hand points, in turns from twelve, clockwise."""
    rows, columns = np.nonzero(mask)
    x, y = columns + 0.5 - _MIDDLE, rows + 0.5 - _MIDDLE
    far = x * x + y * y > 36**2
    return math.atan2(float(x[far].mean()), -float(y[far].mean())) / (2 * math.pi) % 1


def read_board(pixels: Pixels) -> tuple[str, set[str]]:
    """The square with the mark, and all squares whose middle the way covers (the start's is under the mark)."""
    labels = colour_labels(pixels)
    middles = {
        f"{'ABCDE'[c]}{r + 1}": (_BOARD + _SQUARE * r + _SQUARE // 2, _BOARD + _SQUARE * c + _SQUARE // 2)
        for r in range(5)
        for c in range(5)
    }
    start = next(name for name, (y, x) in middles.items() if labels[y, x] == _GREEN)
    return start, {name for name, (y, x) in middles.items() if labels[y, x] == _ORANGE}


def read_row(pixels: Pixels) -> list[str]:
    """The shape in each of four frames; "" where there is only a question mark."""
    return [
        _framed(pixels[_FRAME_Y - _FRAME_HALF : _FRAME_Y + _FRAME_HALF, x - _FRAME_HALF : x + _FRAME_HALF])
        for x in _FRAMES
    ]


def _framed(pixels: Pixels) -> str:
    apart = np.abs(pixels.astype(np.int64) - pixels[0, 0].astype(np.int64)).max(axis=2) > 12
    largest = max(pieces(filled(apart), 1), key=lambda piece: piece.area)
    inside = colour_labels(pixels[largest.y0 : largest.y1, largest.x0 : largest.x1])[largest.mask]
    return shape_of(largest.mask)[0] if np.count_nonzero(inside) > 0.15 * largest.area else ""
