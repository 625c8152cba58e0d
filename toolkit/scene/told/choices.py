"""Told problems as multiple choice: answers to choose from, and for each a drawing and what it shows.

Wrong answers are of the kind of the right one, and drawn around it so that nobody finds it by its place among them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from toolkit.scene.language import listed
from toolkit.scene.streams import Stream
from toolkit.scene.styles import style_named
from toolkit.scene.told.chart import DAYS, chart_drawing
from toolkit.scene.told.clock import HALF_DAY, at, clock_drawing, duration
from toolkit.scene.told.figure import Drawing, Problem
from toolkit.scene.told.path import CELLS, name_of, path_drawing, square_named
from toolkit.scene.told.row import SEATS, hung, row_drawing


class Choice(NamedTuple):
    """An answer, the drawing by which it is judged, and what is said of it."""

    drawing: Drawing
    text: str


class Choices(NamedTuple):
    """
    Attributes:
        opening: what leads to the answers.
        by_answer: three to five, the right one among them.
    """

    opening: str
    by_answer: dict[str, Choice]


def choices_of(problem: Problem, stream: Stream) -> Choices:
    return _CHOICES[problem.kind](problem, stream)


def _chart(problem: Problem, stream: Stream) -> Choices:
    """A bar chart for each day, in which its bar stands out."""
    facts: dict[str, Any] = problem.facts
    amounts, style = tuple(facts["amounts"]), facts["style"]
    best = amounts[DAYS.index(problem.answer)]
    found = {}
    for number, (day, amount) in enumerate(zip(DAYS, amounts, strict=True)):
        than = f"{abs(best - amount)} {'fewer' if best > amount else 'more'} than on {problem.answer}"
        only = f"and no other bar is as {'high' if best == max(amounts) else 'low'}"
        said = only if day == problem.answer else f"{than}, so this is not the day"
        found[day] = Choice(chart_drawing(amounts, number, style), f"its bar stands for {amount}, {said}.")
    reasons = " ".join(thought.text for thought in problem.thoughts if not thought.drawing)
    return Choices(f"{reasons} I draw the five days as bars and look at each of them.", found)


def _clock(problem: Problem, stream: Stream) -> Choices:
    """Four times at equal steps; the right one is any of them."""
    facts: dict[str, Any] = problem.facts
    start, middle, end = facts["minutes"]
    step, first, style = stream.pick((5, 10, 15, 30, 60)), -stream.below(4), facts["style"]
    found = {}
    for away in (step * number for number in range(first, first + 4)):
        wrong = f"the hands stand {duration(abs(away))} too {'early' if away < 0 else 'late'}."
        said = wrong if away else "this is where the hands end."
        time = (end + away) % HALF_DAY
        found[at(time)] = Choice(clock_drawing(time, style), said)
    long, short = ((two - one) % HALF_DAY for one, two in ((start, middle), (middle, end)))
    way = f"{duration(long)} later the clock shows {at(middle)}, and another {duration(short)} later {at(end)}"
    return Choices(f"I put the hands at {at(start)}: {way}. I draw a clock for each of the times.", found)


def _path(problem: Problem, stream: Stream) -> Choices:
    """Four squares at the corners of a rectangle; the right one is any of them."""
    facts: dict[str, Any] = problem.facts
    stops = [square_named(name) for name in facts["stops"]]
    style, (column, row) = facts["style"], stops[-1]
    columns, rows = ([own, stream.pick([k for k in range(CELLS) if k != own])] for own in (column, row))
    found = {}
    for square in ((each, other) for each in columns for other in rows):
        is_right = square == stops[-1]
        drawing = path_drawing(stops if is_right else [square], style)
        over = f" over {listed([name_of(stop) for stop in stops[1:-1]])}" if len(stops) > 2 else ""
        right = f"the whole way, from {name_of(stops[0])}{over}, ends here."
        found[name_of(square)] = Choice(drawing, right if is_right else f"the way ends on {problem.answer}, not here.")
    moves = " ".join(thought.text for thought in problem.thoughts[1:-1])
    return Choices(f"I follow the moves on a board. {moves} I draw each of the squares.", found)


def _row(problem: Problem, stream: Stream) -> Choices:
    """The four things, each drawn where it hangs."""
    facts: dict[str, Any] = problem.facts
    shapes, colours = facts["order"], facts["colours"]
    style = style_named(facts["style"])
    things = tuple(hung(shape, colour, style.fills[colour]) for shape, colour in zip(shapes, colours, strict=True))
    found = {}
    for number, (shape, seat) in enumerate(zip(shapes, SEATS, strict=True)):
        seats = tuple(number if each == number else None for each in range(len(shapes)))
        answer = f"the {shape}"
        verdict = "and that is the place asked for" if answer == problem.answer else "which is not the place asked for"
        found[answer] = Choice(row_drawing(seats, shapes, things, style.name), f"it hangs {seat}, {verdict}.")
    clues = " ".join(thought.text for thought in problem.thoughts[1:])
    return Choices(f"I go through the clues and draw where each of the four hangs. {clues}", found)


_CHOICES: dict[str, Callable[[Problem, Stream], Choices]] = {
    "row": _row,
    "path": _path,
    "chart": _chart,
    "clock": _clock,
}
