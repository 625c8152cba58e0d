"""Four things hang in a row; clues tell the order. The drawing fills up as the clues narrow it down."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations

from toolkit.scene.colours import Rgb
from toolkit.scene.difficulty import Level
from toolkit.scene.glyphs import write
from toolkit.scene.graph import Thing
from toolkit.scene.language import NUMBERS, listed, with_article
from toolkit.scene.raster import Pixels, paint, rectangle, stroke
from toolkit.scene.render import SIDE, draw_thing
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES, style_named
from toolkit.scene.told.figure import Drawing, Problem, Thought, sheet, text_colour

SEATS = ("first from the left", "second from the left", "third from the left", "last on the right")
_SETTINGS = (
    "Four magnets hang in a row on a fridge",
    "Four badges are pinned in a row on a bag",
    "Four pictures hang side by side on a wall",
    "Four stamps stick in a row in an album",
)
_NUMBER = 4


@dataclass(frozen=True, slots=True)
class _Clue:
    text: str
    fits: frozenset[tuple[int, ...]]  # orders (thing numbers from left to right) that agree


def row_problem(stream: Stream, level: Level) -> Problem:
    style = STYLES[stream.pick(tuple(STYLES))]
    shapes, colours = stream.sample(SHAPES, _NUMBER), stream.sample(list(style.fills), _NUMBER)
    names = [f"{colour} {shape}" for colour, shape in zip(colours, shapes, strict=True)]
    order = tuple(stream.shuffled(range(_NUMBER)))
    clues = _clues(order, shapes, stream)
    seat = stream.below(_NUMBER)
    things = tuple(hung(shape, colour, style.fills[colour]) for shape, colour in zip(shapes, colours, strict=True))
    told = " ".join(clue.text for clue in clues)
    ask = stream.pick(("Which of them is {}?", "Which one hangs {}?")).format(SEATS[seat])
    question = f"{stream.pick(_SETTINGS)}: {listed([with_article(name) for name in names])}. {told} {ask}"
    return Problem(
        kind="row",
        question=question,
        thoughts=_thoughts(clues, shapes, things, style.name, order),
        answer=f"the {shapes[order[seat]]}",
        num_choices=_NUMBER,
        facts={
            "order": [shapes[number] for number in order],
            "colours": [colours[number] for number in order],
            "style": style.name,
        },
    )


def _clues(order: tuple[int, ...], shapes: list[str], stream: Stream) -> list[_Clue]:
    """True clues, each of which rules something out, until one order is left."""
    left = frozenset(permutations(range(_NUMBER)))
    chosen: list[_Clue] = []
    for clue in stream.shuffled(_true_clues(order, shapes)):
        if len(left & clue.fits) < len(left):
            chosen.append(clue)
            left &= clue.fits
        if len(left) == 1:
            break
    return chosen


def _true_clues(order: tuple[int, ...], shapes: list[str]) -> list[_Clue]:
    found = []
    for one, other in permutations(range(_NUMBER), 2):
        gap = order.index(other) - order.index(one)
        if gap == 1:
            found.append(
                _clue(
                    f"The {shapes[one]} is directly to the left of the {shapes[other]}.",
                    partial(_gap_is, one, other, 1, 1),
                )
            )
        if gap > 1:
            found.append(
                _clue(
                    f"The {shapes[one]} is somewhere to the left of the {shapes[other]}.",
                    partial(_gap_is, one, other, 1, _NUMBER),
                )
            )
        if abs(gap) > 1 and one < other:
            found.append(
                _clue(
                    f"The {shapes[one]} and the {shapes[other]} are not next to each other.",
                    partial(_are_apart, one, other),
                )
            )
    at_ends = [number for number in range(_NUMBER) if order.index(number) in (0, _NUMBER - 1)]
    return found + [
        _clue(f"The {shapes[number]} is at one of the two ends.", partial(_is_at_end, number)) for number in at_ends
    ]


def _gap_is(one: int, other: int, low: int, high: int, order: tuple[int, ...]) -> bool:
    return low <= order.index(other) - order.index(one) <= high


def _are_apart(one: int, other: int, order: tuple[int, ...]) -> bool:
    return abs(order.index(other) - order.index(one)) > 1


def _is_at_end(one: int, order: tuple[int, ...]) -> bool:
    return order.index(one) in (0, _NUMBER - 1)


def _clue(text: str, fits: Callable[[tuple[int, ...]], bool]) -> _Clue:
    return _Clue(text, frozenset(order for order in permutations(range(_NUMBER)) if fits(order)))


def _thoughts(
    clues: list[_Clue], shapes: list[str], things: tuple[Thing, ...], style: str, order: tuple[int, ...]
) -> tuple[Thought, ...]:
    left = frozenset(permutations(range(_NUMBER)))
    thoughts = [
        Thought(text=f"Four things can hang in {len(left)} orders. I draw four empty places and go through the clues.")
    ]
    shown: tuple[int | None, ...] = (None,) * _NUMBER
    for clue in clues:
        left &= clue.fits
        sure = tuple(next(iter(seat)) if len(seat := {o[k] for o in left}) == 1 else None for k in range(_NUMBER))
        count = (
            f"{NUMBERS[len(left)] if len(left) < len(NUMBERS) else len(left)} "
            f"order{'s are' if len(left) > 1 else ' is'} left."
        )
        drawing = row_drawing(sure, shapes, things, style) if sure != shown else None
        thoughts.append(Thought(text=f"{clue.text} {count[0].upper()}{count[1:]}", drawing=drawing))
        shown = sure
    thoughts.append(
        Thought(text=f"From left to right they hang like this: {listed([shapes[number] for number in order])}.")
    )
    return tuple(thoughts)


def row_drawing(seats: tuple[int | None, ...], shapes: list[str], things: tuple[Thing, ...], style: str) -> Drawing:
    words = ["an empty place" if seat is None else with_article(shapes[seat]) for seat in seats]
    return Drawing(
        caption=f"A row of four places, from left to right: {listed(words)}.",
        draw=partial(draw_row, tuple(None if s is None else things[s] for s in seats), style),
    )


def hung(shape: str, colour: str, rgb: Rgb) -> Thing:
    return Thing(
        id="t1",
        shape=shape,
        colour=colour,
        size="medium",
        pattern="plain",
        place="centre",
        x=0.5,
        y=0.5,
        r=0.08,
        rgb=rgb,
    )


def draw_row(seats: tuple[Thing | None, ...], style_name: str) -> Pixels:
    """Four frames under a line; an unknown place shows a question mark."""
    style = style_named(style_name)
    pixels, ink = sheet(style), text_colour(style)
    paint(pixels, stroke([(30, 160), (SIDE - 30, 160)], 5), ink)
    for number, thing in enumerate(seats):
        x, y = 76 + 120 * number, 262
        paint(pixels, stroke([(x, 160), (x, y - 54)], 3), ink)
        paint(pixels, [rectangle(x - 54, y - 54, x + 54, y + 54)], style.tint)
        paint(
            pixels,
            stroke([(x - 54, y - 54), (x + 54, y - 54), (x + 54, y + 54), (x - 54, y + 54)], 3, closed=True),
            ink,
        )
        write(pixels, str(number + 1), x, y + 84, 24, ink)
        if thing is None:
            write(pixels, "?", x, y, 44, ink)
        else:
            draw_thing(pixels, replace(thing, x=x / SIDE, y=y / SIDE), style, SIDE)
    return pixels
