"""Times and durations; clock faces show where the hands start and where they end."""

import math
from functools import partial

from toolkit.scene.difficulty import Level
from toolkit.scene.glyphs import write
from toolkit.scene.raster import Pixels, disc, paint, stroke
from toolkit.scene.render import SIDE
from toolkit.scene.streams import Stream
from toolkit.scene.styles import style_named
from toolkit.scene.told.figure import Drawing, Problem, Thought, sheet, style_for, text_colour

HALF_DAY = 720  # minutes
_TALES = (
    (
        "A train leaves at {start} and takes {long}. Changing to the bus takes another {short}.",
        "At what time does the bus leave?",
    ),
    (
        "Dough is mixed at {start} and rises for {long}. Shaping it takes {short}.",
        "At what time can it go into the oven?",
    ),
    (
        "A film starts at {start} and lasts {long}. Afterwards the director answers questions for {short}.",
        "When does the evening end?",
    ),
    ("Hikers set out at {start} and walk for {long}. Then they rest for {short}.", "At what time do they walk on?"),
)


def clock_problem(stream: Stream, level: Level) -> Problem:
    end = 5 * stream.below(HALF_DAY // 5)
    long, short = 65 + 5 * stream.below(24), 10 + 5 * stream.below(10)
    start = (end - long - short) % HALF_DAY
    middle = (start + long) % HALF_DAY
    style, (tale, ask) = style_for(stream), stream.pick(_TALES)
    thoughts = (
        Thought(text=f"I put the hands at {at(start)}.", drawing=clock_drawing(start, style.name)),
        Thought(
            text=f"{duration(long)[0].upper()}{duration(long)[1:]} later the clock shows {at(middle)}.",
            drawing=clock_drawing(middle, style.name),
        ),
        Thought(
            text=f"Another {duration(short)} takes the hands to {at(end)}.", drawing=clock_drawing(end, style.name)
        ),
    )
    return Problem(
        kind="clock",
        question=(
            f"{tale.format(start=at(start), long=duration(long), short=duration(short))} {ask} (Answer as on "
            "a clock with twelve hours.)"
        ),
        thoughts=thoughts,
        answer=at(end),
        num_choices=HALF_DAY // 5,
        facts={"minutes": [start, middle, end], "style": style.name},
    )


def at(minutes: int) -> str:
    """Minutes after twelve as on a clock: "9:05"."""
    return f"{minutes // 60 or 12}:{minutes % 60:02d}"


def duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} hour{'s' if hours > 1 else ''}"] if hours else []
    return " and ".join([*parts, f"{rest} minutes"] if rest else parts)


def clock_drawing(minutes: int, style: str) -> Drawing:
    return Drawing(caption=f"A clock face that shows {at(minutes)}.", draw=partial(draw_clock, minutes, style))


def draw_clock(minutes: int, style_name: str) -> Pixels:
    """A round face with twelve numbers, a short hand for hours and a long one for minutes."""
    style = style_named(style_name)
    pixels, ink, middle = sheet(style), text_colour(style), SIDE / 2
    paint(pixels, [disc(middle, middle, 214, 120)], style.tint)
    paint(pixels, stroke(disc(middle, middle, 214, 120)[0], 7, closed=True), ink)
    for mark in range(60):
        inner = 190 if mark % 5 == 0 else 200
        paint(pixels, stroke([_hand(mark / 60, inner), _hand(mark / 60, 206)], 4 if mark % 5 == 0 else 2), ink)
    for hour in range(1, 13):
        x, y = _hand(hour / 12, 160)
        write(pixels, str(hour), x, y, 28, ink)
    paint(
        pixels,
        stroke([_hand(minutes / HALF_DAY + 0.5, 22), _hand(minutes / HALF_DAY, 88)], 14),
        style.fills["orange"],
    )
    paint(pixels, stroke([_hand(minutes % 60 / 60 + 0.5, 26), _hand(minutes % 60 / 60, 134)], 8), style.fills["green"])
    paint(pixels, [disc(middle, middle, 11)], ink)
    return pixels


def _hand(turn: float, length: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn
    return SIDE / 2 + length * math.sin(angle), SIDE / 2 - length * math.cos(angle)
