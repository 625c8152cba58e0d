"""Drawings of told problems -> what they show: bars measured, hands of clocks, squares on a way, shapes in a row.
Layout read off pictures, 512 x 512.
"""

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from toolkit.scene.verify.colours import COLOURS, colour_labels
from toolkit.scene.verify.regions import eroded, filled, pieces
from toolkit.scene.verify.silhouettes import shape_of

Pixels: TypeAlias = npt.NDArray[np.uint8]
_ORANGE, _GREEN = COLOURS.index("orange"), COLOURS.index("green")
_SIDE = 512  # pixels
_BAR_UNIT, _BAR_LINE = 28, 3.5  # pixels: one step of a bar, and the part of it that outlines cover
_BOARD, _SQUARE, _MIDDLE = 62, 84, 256
_FRAMES, _FRAME_Y, _FRAME_HALF = (76, 196, 316, 436), 262, 48


def read_chart(pixels: Pixels) -> tuple[list[int], int] | None:
    """Amounts from left to right, and the number of the bar that stands out (-1 = none); None where a bar ends between
    two amounts, or there is none.
    """
    labels = colour_labels(_sheet(pixels))
    bars = [
        (piece, label)
        for label in (_ORANGE, _GREEN)
        for piece in pieces(labels == label, 400)
        if piece.x1 - piece.x0 > 40
    ]
    bars.sort(key=lambda bar: bar[0].x0)
    marked = [number for number, (_, label) in enumerate(bars) if label == _ORANGE]
    amounts = [(piece.y1 - piece.y0 + _BAR_LINE) / _BAR_UNIT for piece, _ in bars]
    if not bars or len(marked) > 1 or any(abs(amount - round(amount)) > 0.3 for amount in amounts):
        return None
    return [round(amount) for amount in amounts], marked[0] if marked else -1


def read_clock(pixels: Pixels) -> int | None:
    """Minutes after twelve: the green hand tells the minutes, the orange one to which hour they belong; None where
    there are no two hands, or they do not go together.
    """
    labels = colour_labels(_sheet(pixels))
    turns = _turn(labels == _GREEN), _turn(labels == _ORANGE)
    if turns[0] is None or turns[1] is None:
        return None
    minute = round(turns[0] * 60) % 60
    hours = turns[1] * 12 - minute / 60
    return None if abs(hours - round(hours)) > 0.25 else 60 * (round(hours) % 12) + minute


def _sheet(pixels: Pixels) -> Pixels:
    """The picture at the size that lengths here are measured in."""
    if pixels.shape[:2] == (_SIDE, _SIDE):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))


def _turn(mask: npt.NDArray[np.bool_]) -> float | None:
    """Where a hand points, in turns from twelve, clockwise; None if there is none."""
    rows, columns = np.nonzero(mask)
    x, y = columns + 0.5 - _MIDDLE, rows + 0.5 - _MIDDLE
    far = x * x + y * y > 36**2
    if np.count_nonzero(far) < 100:
        return None
    return math.atan2(float(x[far].mean()), -float(y[far].mean())) / (2 * math.pi) % 1


def read_board(pixels: Pixels) -> tuple[str, set[str]] | None:
    """The square with the mark, and all squares whose middle the way covers (the start's is under the mark); None if
    not exactly one square has the mark.
    """
    labels = colour_labels(_sheet(pixels))
    middles = {
        f"{'ABCDE'[c]}{r + 1}": (_BOARD + _SQUARE * r + _SQUARE // 2, _BOARD + _SQUARE * c + _SQUARE // 2)
        for r in range(5)
        for c in range(5)
    }
    start = [name for name, (y, x) in middles.items() if labels[y, x] == _GREEN]
    return (
        (start[0], {name for name, (y, x) in middles.items() if labels[y, x] == _ORANGE}) if len(start) == 1 else None
    )


def read_row(pixels: Pixels) -> list[str]:
    """The shape in each of four frames; "" where there is only a question mark, or nothing."""
    pixels = _sheet(pixels)
    return [
        _framed(pixels[_FRAME_Y - _FRAME_HALF : _FRAME_Y + _FRAME_HALF, x - _FRAME_HALF : x + _FRAME_HALF])
        for x in _FRAMES
    ]


def _framed(pixels: Pixels) -> str:
    apart = np.abs(pixels.astype(np.int64) - pixels[0, 0].astype(np.int64)).max(axis=2) > 40
    largest = max(pieces(filled(apart), 1), key=lambda piece: piece.area, default=None)
    if largest is None or largest.mask.shape == apart.shape:
        return ""
    core = eroded(largest.mask, 3)  # a question mark is all outline
    inside = colour_labels(pixels[largest.y0 : largest.y1, largest.x0 : largest.x1])[core]
    return shape_of(largest.mask)[0] if np.count_nonzero(inside) > 0.1 * largest.area else ""
