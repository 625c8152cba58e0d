"""Amounts told by comparison ("three more than on Monday"), worked out and drawn as bars."""

from functools import partial
from itertools import pairwise

from toolkit.scene.difficulty import Level
from toolkit.scene.glyphs import write
from toolkit.scene.graph import Box
from toolkit.scene.language import NUMBERS
from toolkit.scene.raster import Pixels, paint, rectangle, stroke
from toolkit.scene.render import SIDE
from toolkit.scene.streams import Stream
from toolkit.scene.styles import style_named
from toolkit.scene.told.figure import Drawing, Problem, Thought, outlined, sheet, style_for, text_colour

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
_TALES = (
    "A stall sold {} kites",
    "A baker made {} pies",
    "A library lent {} atlases",
    "A gallery showed {} paintings",
    "A child found {} shells",
)
MOST = 12
_BASE, _UNIT = 430, 28  # pixels: the line the bars stand on, and the height of one
_FIRST, _STEP, _HALF = 106, 86, 28  # pixels: middle of the first bar, from one to the next, half of one's width


def chart_problem(stream: Stream, level: Level) -> Problem:
    highest, winner = stream.chance(0.5), stream.below(len(DAYS))
    amounts = amounts_with(winner, highest, stream)
    style, tale = style_for(stream), stream.pick(_TALES)
    told = [_told(number, amounts, stream) for number in range(1, len(DAYS))]
    first = tale.format(NUMBERS[amounts[0]])
    ask = f"On which day was the number {'highest' if highest else 'lowest'}?"
    thoughts = [Thought(text=f"On Monday there were {amounts[0]}. I work out the other days one after another.")]
    thoughts += [Thought(text=reason) for _, reason in told]
    thoughts.append(
        Thought(text="As bars the five days look like this.", drawing=chart_drawing(amounts, -1, style.name))
    )
    word = "tallest" if highest else "shortest"
    thoughts.append(
        Thought(
            text=f"The {word} bar stands on {DAYS[winner]}, with {amounts[winner]}.",
            drawing=chart_drawing(amounts, winner, style.name),
        )
    )
    return Problem(
        kind="chart",
        question=f"{first} on Monday. {' '.join(text for text, _ in told)} {ask}",
        thoughts=tuple(thoughts),
        answer=DAYS[winner],
        num_choices=len(DAYS),
        facts={"amounts": list(amounts), "style": style.name},
    )


def amounts_with(winner: int, highest: bool, stream: Stream) -> tuple[int, ...]:
    """Five amounts from 2 to 12, neighbours different, of which the winner's alone is the highest or lowest."""
    while True:
        amounts = tuple(2 + stream.below(MOST - 1) for _ in DAYS)
        best = (max if highest else min)(amounts)
        if amounts[winner] == best and amounts.count(best) == 1 and all(a != b for a, b in pairwise(amounts)):
            return amounts


def _told(number: int, amounts: tuple[int, ...], stream: Stream) -> tuple[str, str]:
    """How a day is told by another that is known, and how it is worked out."""
    other = number - 1 - (stream.below(2) if number > 1 and amounts[number - 2] != amounts[number] else 0)
    day, known, amount, base = DAYS[number], DAYS[other], amounts[number], amounts[other]
    if amount == 2 * base:
        return f"On {day} there were twice as many as on {known}.", f"{day}: 2 x {base} = {amount}."
    if base == 2 * amount:
        return f"On {day} there were half as many as on {known}.", f"{day}: {base} / 2 = {amount}."
    word, sign = ("more", "+") if amount > base else ("fewer", "-")
    gap = abs(amount - base)
    be = "was" if gap == 1 else "were"
    return f"On {day} there {be} {NUMBERS[gap]} {word} than on {known}.", f"{day}: {base} {sign} {gap} = {amount}."


def chart_drawing(amounts: tuple[int, ...], marked: int, style: str) -> Drawing:
    values = ", ".join(f"{day} {amount}" for day, amount in zip(DAYS, amounts, strict=True))
    end = f"; the bar of {DAYS[marked]} stands out in another colour" if marked >= 0 else ""
    return Drawing(caption=f"A bar chart: {values}{end}.", draw=partial(draw_chart, amounts, marked, style))


def bar_box(number: int, amount: int) -> Box:
    """A bar with its amount and its day, as fractions of the picture."""
    x, top = _FIRST + _STEP * number, _BASE - amount * _UNIT - 40
    return (x - 42) / SIDE, top / SIDE, (x + 42) / SIDE, (_BASE + 48) / SIDE


def draw_chart(amounts: tuple[int, ...], marked: int, style_name: str) -> Pixels:
    """Five bars over a line, each with its amount above and its day below; the marked one in another colour."""
    style = style_named(style_name)
    pixels, ink = sheet(style), text_colour(style)
    for level in range(2, MOST + 1, 2):
        y = _BASE - level * _UNIT
        paint(pixels, stroke([(56, y), (SIDE - 30, y)], 2), style.tint)
        write(pixels, str(level), 34, y, 15, ink)
    for number, amount in enumerate(amounts):
        x = _FIRST + _STEP * number
        fill = style.fills["orange"] if number == marked else style.fills["green"]
        outlined(pixels, rectangle(x - _HALF, _BASE - amount * _UNIT, x + _HALF, _BASE), fill, style_name)
        write(pixels, str(amount), x, _BASE - amount * _UNIT - 22, 20, ink)
        write(pixels, DAYS[number][:3], x, _BASE + 30, 19, ink)
    paint(pixels, stroke([(56, _BASE), (SIDE - 30, _BASE)], 4), ink)
    return pixels
