"""What every scene must keep, so that a person, a verifier and a question all see the same thing.

`flaws` checks finished scenes, however they were made: sampled, edited or spoilt on purpose.
"""

from collections.abc import Iterator
from itertools import combinations

from toolkit.scene.colours import MIN_CONTRAST, MIN_MARGIN, Rgb, difference, margin
from toolkit.scene.graph import RADIUS, Scene, Thing, apart, centre_of, extent, within
from toolkit.scene.raster import Polygons, coverage, polygon
from toolkit.scene.shapes import CONTAINERS, PLAIN_ONLY, outline
from toolkit.scene.styles import style_named

GAP = 0.012  # between things that lie beside each other, fraction of the shorter side
EDGE = 0.03  # between a thing and the picture's edge
SIZE_JITTER = 0.05  # a radius stays within this share of its name's radius
HIDDEN = (0.1, 0.35)  # share of a thing that may be hidden by another
HIDING = (0.3, 0.6)  # share of that other that lies over it; a small one need not hide so much
_GRID = 128
OFF_CENTRE = 0.12  # how far, along each axis, a thing may lie from the middle of its place


def clear_colour(rgb: Rgb, name: str, behind: Rgb) -> bool:
    """Whether a fill is surely `name`, and stands out from what lies behind it."""
    return margin(rgb, name) >= MIN_MARGIN and difference(rgb, behind) >= MIN_CONTRAST


def may_have(shape: str, size: str, pattern: str) -> bool:
    """Whether a pattern can be seen on that shape at that size."""
    return pattern == "plain" or (shape not in PLAIN_ONLY and size != "small")


def flaws(scene: Scene) -> Iterator[str]:
    """Every rule the scene breaks, in words."""
    for thing in scene.things:
        yield from _thing_flaws(scene, thing)
    for one, other in combinations(scene.things, 2):
        if not {one.id, other.id} & {one.inside, one.over, other.inside, other.over} and not apart(
            extent(one, scene.style), extent(other, scene.style), GAP
        ):
            yield f"{one.id} and {other.id} touch or hide each other"


def _thing_flaws(scene: Scene, thing: Thing) -> Iterator[str]:
    holder = scene.thing(thing.inside) if thing.inside else None
    if not clear_colour(thing.rgb, thing.colour, holder.rgb if holder else style_named(scene.style).ground):
        yield f"{thing.id} is not clearly {thing.colour}"
    if abs(thing.r / RADIUS[thing.size] - 1) > SIZE_JITTER + 1e-3:
        yield f"{thing.id} is not clearly {thing.size}"
    if not may_have(thing.shape, thing.size, thing.pattern):
        yield f"{thing.id} cannot be {thing.pattern}"
    width, height = scene.sides
    if not within(extent(thing, scene.style), (EDGE, EDGE, width - EDGE, height - EDGE)):
        yield f"{thing.id} is too near the edge"
    x, y = centre_of(thing.place, scene.canvas)
    if max(abs(thing.x - x), abs(thing.y - y)) > OFF_CENTRE:
        yield f"{thing.id} is not clearly in its place"
    if holder is not None:
        yield from _inside_flaws(thing, holder, scene.style)
    if thing.over:
        yield from _over_flaws(thing, scene.thing(thing.over))
    is_sign = thing.shape in CONTAINERS and (thing.size, thing.pattern) == ("large", "plain")
    if thing.text and (not is_sign or any(thing.id in (each.inside, each.over) for each in scene.things)):
        yield f"{thing.id} has no room for {thing.text!r}"


def _over_flaws(thing: Thing, behind: Thing) -> Iterator[str]:
    if {thing.pattern, behind.pattern} != {"plain"} or thing.colour == behind.colour or thing.place != behind.place:
        yield f"{thing.id} cannot hide a part of {behind.id}"
    if difference(thing.rgb, behind.rgb) < MIN_CONTRAST:
        yield f"{thing.id} does not stand out from {behind.id}"
    front, back = (coverage([_drawn(each, behind)], _GRID, _GRID) > 0 for each in (thing, behind))
    shared = (front & back).sum()
    hidden, hiding = shared / back.sum(), shared / front.sum()
    is_enough = hidden >= HIDDEN[0] or hiding >= HIDING[0]
    if not is_enough or hidden > HIDDEN[1] or hiding > HIDING[1]:
        yield f"{thing.id} hides too little or too much of {behind.id}"


def _drawn(thing: Thing, middle: Thing) -> Polygons:
    """A thing's silhouette on a small grid around another."""
    return polygon((outline(thing.shape) * thing.r + (thing.x - middle.x + 0.5, thing.y - middle.y + 0.5)) * _GRID)


def _inside_flaws(thing: Thing, holder: Thing, style: str) -> Iterator[str]:
    if (
        holder.inside
        or holder.shape not in CONTAINERS
        or holder.size != "large"
        or holder.pattern != "plain"
        or holder.place != thing.place
    ):
        yield f"{holder.id} cannot hold {thing.id}"
    if thing.size != "small" or thing.colour == holder.colour:
        yield f"{thing.id} cannot lie inside {holder.id}"
    reach = 0.62 * holder.r
    if not within(extent(thing, style), (holder.x - reach, holder.y - reach, holder.x + reach, holder.y + reach)):
        yield f"{thing.id} is not wholly inside {holder.id}"
