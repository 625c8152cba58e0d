"""The scene engine as a judge: what it says is read off the pictures and texts it is sent, by the verifier, which
shares no code with what drew them.
"""

import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.generation.core.protocol import Request
from toolkit.images import decode_image
from toolkit.scene.verify.figures import read_board, read_chart, read_clock, read_row
from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import read_caption


def pixels(image: bytes) -> npt.NDArray[np.uint8]:
    """uint8 (H, W, 3)."""
    return np.asarray(decode_image(image, "picture"))


def picture_matches(request: Request) -> dict[str, Any]:
    """Whether a picture shows what its caption says, and nothing else."""
    text, seen = read_caption(request.origin.values["caption"]), read_picture(pixels(request.images[0]))
    told, shown = Counter(text.things), Counter(seen.things)
    missing, surplus = list(told - shown), list(shown - told)
    problem = f"missing {missing[:2]}, not told {surplus[:2]}" if missing or surplus else ""
    if (text.background, text.style) != (seen.background, seen.style):
        problem = problem or f"drawn {seen.style} on {seen.background}"
    return {"problem": problem, "matches": not problem}


def figure_matches(request: Request) -> dict[str, Any]:
    """Whether a drawing of a told problem shows what its caption says."""
    told, drawn = str(request.origin.values["caption"]), pixels(request.images[0])
    kind = next(kind for kind in _FIGURES if told.startswith(kind))
    wanted, seen = _FIGURES[kind](told.removeprefix(kind).rstrip("."), drawn)
    return {"problem": "" if wanted == seen else f"it shows {seen}; told {wanted}", "matches": wanted == seen}


def _chart(told: str, drawn: npt.NDArray[np.uint8]) -> tuple[object, object]:
    bars, _, marked = told.partition(";")
    amounts = [int(amount) for amount in re.findall(r"\d+", bars)]
    days = re.findall(r"[A-Z]\w+", bars)
    wanted = (amounts, next((number for number, day in enumerate(days) if f" {day} " in marked), -1))
    return wanted, read_chart(drawn)


def _board(told: str, drawn: npt.NDArray[np.uint8]) -> tuple[object, object]:
    stops = [("ABCDE".index(name[0]), int(name[1]) - 1) for name in re.findall(r"\b[A-E][1-5]\b", told)]
    way = {square for start, end in pairwise(stops) for square in _between(start, end)}
    start, seen = read_board(drawn) or ("", set())
    names = {f"{'ABCDE'[column]}{row + 1}" for column, row in way | {stops[0]}}
    return (f"{'ABCDE'[stops[0][0]]}{stops[0][1] + 1}", names), (start, seen | {start})


def _between(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """Squares of a straight way, both ends among them."""
    (x0, y0), (x1, y1) = sorted((start, end))
    rows = range(min(y0, y1), max(y0, y1) + 1)
    return [(column, row) for column in range(x0, x1 + 1) for row in rows]


def _row(told: str, drawn: npt.NDArray[np.uint8]) -> tuple[object, object]:
    places = re.split(r", | and ", told)
    shapes = ["" if place == "an empty place" else place.split()[-1] for place in places]
    return shapes, read_row(drawn)


def _clock(told: str, drawn: npt.NDArray[np.uint8]) -> tuple[object, object]:
    hours, minutes = map(int, told.split(":"))
    return hours % 12 * 60 + minutes, read_clock(drawn)


_FIGURES = {
    "A bar chart: ": _chart,
    "A board of five by five squares ": _board,
    "A row of four places, from left to right: ": _row,
    "A clock face that shows ": _clock,
}
