"""Streams -> scenes. What a question or an edit needs is given as `Fixed` things; the rest is drawn around them and
must not fit `avoid`.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from toolkit.scene.colours import Rgb
from toolkit.scene.gates import EDGE, GAP, OFF_CENTRE, SIZE_JITTER, clear_colour, flaws, may_have
from toolkit.scene.graph import (
    BACKGROUNDS,
    PATTERNS,
    PITCH,
    PLACES,
    RADIUS,
    SIZES,
    SQUARE,
    Canvas,
    Kind,
    Scene,
    Thing,
    centre_of,
    sides_of,
)
from toolkit.scene.shapes import CONTAINERS, SHAPES, half_extent
from toolkit.scene.streams import Stream
from toolkit.scene.styles import Style, style_named, styles_with

TRIES = 200  # redraws before a request counts as impossible


class Fixed(NamedTuple):
    """A thing that must be there; `holds` lies inside it, and `front` hides a part of it. If `number` is 2 to 4, a
    cluster of small ones.
    """

    kind: Kind
    holds: Kind | None = None
    number: int = 1
    front: Kind | None = None


class Look(NamedTuple):
    """What pictures of a task are like in general; `extra` is how many more of the nine places are taken than usual."""

    extra: int = 0
    canvas: Canvas = SQUARE


PLAIN = Look()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a scene must be like; everything left empty is drawn.

    Attributes:
        fixed: things that must be there, one place each.
        avoid: descriptions that no other thing may fit.
        num_places: how many of the nine places are taken; 0 = drawn from 3 to 6.
        style: name of a style; "" = drawn.
        background: one of `BACKGROUNDS`; "" = drawn.
        clusters: whether groups of equal small things may be drawn.
        insets: whether things inside others may be drawn.
        look: what is wished of all pictures of the task.
    """

    fixed: tuple[Fixed, ...] = ()
    avoid: tuple[Kind, ...] = ()
    num_places: int = 0
    style: str = ""
    background: str = ""
    clusters: bool = True
    insets: bool = True
    look: Look = PLAIN


ANY = Wish()


def sample_scene(stream: Stream, wish: Wish = ANY) -> Scene:
    """A scene that grants the wish and passes every gate.

    Raises:
        RuntimeError: the wish cannot be granted, which is a mistake of the caller (two fixed things in one place, say).
    """
    for attempt in range(TRIES):
        scene = _draw(stream.child("try", attempt), wish)
        if scene is not None and not any(flaws(scene)):
            return scene
    raise RuntimeError(f"no scene in {TRIES} tries grants {wish}; loosen it")


def _draw(stream: Stream, wish: Wish) -> Scene | None:
    kinds = (kind for fixed in wish.fixed for kind in (fixed.kind, fixed.holds, fixed.front))
    needed = {kind.colour for kind in kinds if kind and kind.colour}
    style = style_named(wish.style or stream.pick(styles_with(*needed)))
    background = wish.background or stream.pick(BACKGROUNDS)
    count = max((wish.num_places or 3 + stream.below(4)) + wish.look.extra, len(wish.fixed), 1)
    free = stream.shuffled([place for place in PLACES if all(fixed.kind.place != place for fixed in wish.fixed)])
    sheet, things = _Sheet(style, wish.look.canvas), list[Thing]()
    for fixed in wish.fixed:
        place, first = fixed.kind.place or free.pop(), len(things) + 1
        if fixed.number > 1:
            things += _cluster(stream, sheet, place, first=first, kind=fixed.kind, number=fixed.number)
        else:
            things += _one(stream, sheet, fixed.kind, place, holds=fixed.holds, first=first)
        if fixed.front:
            things[-1:] = _overlapping(stream, sheet, things[-1], fixed.front)
    for place in free[: count - len(wish.fixed)]:
        things += _extra(stream, sheet, wish, place, first=len(things) + 1)
    return Scene(things=tuple(things), background=background, style=style.name, canvas=wish.look.canvas)


class _Sheet(NamedTuple):
    """What all things of a scene are drawn on."""

    style: Style
    canvas: Canvas


def _extra(stream: Stream, sheet: _Sheet, wish: Wish, place: str, *, first: int) -> list[Thing]:
    """Something unasked for: one thing, a thing inside another, or a cluster; empty if all that was drawn had to be
    avoided.
    """
    for _ in range(20):
        dice = stream.below(10)
        if dice < 2 and wish.clusters:
            drawn = _cluster(stream, sheet, place, first=first)
        elif dice < 4 and wish.insets:
            holder = Kind(shape=stream.pick(CONTAINERS), size="large", pattern="plain")
            drawn = _one(stream, sheet, holder, place, holds=Kind(size="small"), first=first)
        else:
            drawn = _one(stream, sheet, Kind(), place, holds=None, first=first)
        if not any(kind.fits(thing) for kind in wish.avoid for thing in drawn):
            return drawn
    return []


def _one(stream: Stream, sheet: _Sheet, kind: Kind, place: str, *, holds: Kind | None, first: int) -> list[Thing]:
    style = sheet.style
    if holds is not None:
        kind = Kind(size="large", pattern="plain", shape=kind.shape or stream.pick(CONTAINERS), colour=kind.colour)
    shape = kind.shape or stream.pick([shape for shape in SHAPES if may_have(shape, "large", kind.pattern or "plain")])
    pattern = kind.pattern or ("plain" if stream.chance(0.5) else stream.pick(PATTERNS[1:]))
    if not kind.pattern and not may_have(shape, kind.size or "large", pattern):
        pattern = "plain"
    size = kind.size or stream.pick([size for size in SIZES if may_have(shape, size, pattern)] or SIZES)
    colour, rgb = draw_colour(stream, style, kind.colour, style.ground)
    r = radius(stream, size)
    x, y = _position(stream, sheet, place, shape, r)
    thing = Thing(
        id=f"t{first}",
        shape=shape,
        colour=colour,
        size=size,
        pattern=pattern,
        place=place,
        x=x,
        y=y,
        r=r,
        rgb=rgb,
        text=kind.text,
    )
    return [thing] if holds is None else [thing, _inset(stream, style, thing, holds)]


def _overlapping(stream: Stream, sheet: _Sheet, behind: Thing, kind: Kind) -> list[Thing]:
    """The thing and another over it, on either side of the middle of their place."""
    x, y = centre_of(behind.place, sheet.canvas)
    colour, rgb = draw_colour(stream, sheet.style, kind.colour, sheet.style.ground, other_than=behind.colour)
    r, turn = radius(stream, "medium"), stream.below(16) * math.pi / 8
    far = stream.between(0.75, 1.0) * (r + behind.r) * 0.75
    share = (far + r - behind.r) / (2 * far)  # so that both reach equally far from the middle
    across, down = far * math.cos(turn), far * math.sin(turn)
    front = replace(
        behind,
        id=f"t{int(behind.id[1:]) + 1}",
        shape=kind.shape or stream.pick(SHAPES),
        colour=colour,
        size="medium",
        x=round(x + (1 - share) * across, 4),
        y=round(y + (1 - share) * down, 4),
        r=r,
        rgb=rgb,
        over=behind.id,
    )
    return [replace(behind, x=round(x - share * across, 4), y=round(y - share * down, 4)), front]


def _inset(stream: Stream, style: Style, holder: Thing, kind: Kind) -> Thing:
    colour, rgb = draw_colour(stream, style, kind.colour, holder.rgb, other_than=holder.colour)
    return Thing(
        id=f"t{int(holder.id[1:]) + 1}",
        shape=kind.shape or stream.pick(SHAPES),
        colour=colour,
        size="small",
        pattern="plain",
        place=holder.place,
        inside=holder.id,
        x=round(holder.x + stream.between(-0.006, 0.006), 4),
        y=round(holder.y + stream.between(-0.006, 0.006), 4),
        r=radius(stream, "small"),
        rgb=rgb,
    )


_LAYOUTS = (((-1, 0), (1, 0)), ((0, -1), (-1, 1), (1, 1)), ((-1, -1), (1, -1), (-1, 1), (1, 1)))


def _cluster(
    stream: Stream, sheet: _Sheet, place: str, *, first: int, kind: Kind | None = None, number: int = 0
) -> list[Thing]:
    """Two to four equal small things side by side, in the attributes that are not given as drawn."""
    layout = _LAYOUTS[number - 2] if number else stream.pick(_LAYOUTS)
    shape = (kind and kind.shape) or stream.pick(SHAPES)
    colour, rgb = draw_colour(stream, sheet.style, kind.colour if kind else "", sheet.style.ground)
    r, (x, y) = radius(stream, "small"), centre_of(place, sheet.canvas)
    return [
        Thing(
            id=f"t{first + k}",
            shape=shape,
            colour=colour,
            size="small",
            pattern="plain",
            place=place,
            x=round(x + 0.076 * column + stream.between(-0.006, 0.006), 4),
            y=round(y + 0.07 * row + stream.between(-0.006, 0.006), 4),
            r=r,
            rgb=rgb,
        )
        for k, (column, row) in enumerate(layout)
    ]


def radius(stream: Stream, size: str) -> float:
    return round(RADIUS[size] * stream.between(1 - SIZE_JITTER, 1 + SIZE_JITTER), 4)


def _position(stream: Stream, sheet: _Sheet, place: str, shape: str, r: float) -> tuple[float, float]:
    """A point in the place's cell where the thing keeps its distance from all neighbours, and from the edge."""
    middle, half, sides = centre_of(place, sheet.canvas), half_extent(shape), sides_of(sheet.canvas)
    point = []
    for axis in (0, 1):
        reach = half[axis] * r + sheet.style.line_width
        room = min(max(PITCH * sides[axis] / 2 - reach - GAP / 2, 0.0), OFF_CENTRE * 0.75)
        low, high = max(middle[axis] - room, EDGE + reach), min(middle[axis] + room, sides[axis] - EDGE - reach)
        point.append(stream.between(low, max(low, high)))
    return point[0], point[1]


def draw_colour(stream: Stream, style: Style, name: str, behind: Rgb, *, other_than: str = "") -> tuple[str, Rgb]:
    """A colour name and a slightly varied fill that is clearly of that name and stands out from `behind`.

    Raises:
        RuntimeError: the style cannot show that colour there.
    """
    for attempt in range(TRIES):
        colour = name or stream.pick([known for known in style.fills if known != other_than])
        spread = 10 if attempt < TRIES // 2 else 0
        rgb = Rgb(*(min(max(value + stream.below(2 * spread + 1) - spread, 0), 255) for value in style.fills[colour]))
        if clear_colour(rgb, colour, behind):
            return colour, rgb
    raise RuntimeError(f"style {style.name!r} cannot show {name or 'any colour'} on {behind}")
