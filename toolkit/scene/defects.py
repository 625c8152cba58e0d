"""Counterfactuals: a scene as described, the same scene with one typed mistake, and a rationale that finds it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from toolkit.errors import UnknownName
from toolkit.scene.edits import loners, swapped, with_thing, without_thing
from toolkit.scene.gates import flaws
from toolkit.scene.graph import PATTERNS, SIZES, Scene, Thing, centre_of
from toolkit.scene.language import NUMBERS, kind_of, noun, refer, sentence
from toolkit.scene.sampler import PLAIN, TRIES, Look, Wish, draw_colour, radius, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.steps import full, where
from toolkit.scene.streams import Stream
from toolkit.scene.styles import style_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One mistake in a picture.

    Attributes:
        kind: a key of `DEFECTS`.
        right: the scene as described.
        wrong: the scene as first drawn.
        ids: the things concerned, as in `wrong`.
        finding: what is wrong, in words.
        remedy: what to do, in words.
    """

    kind: str
    right: Scene
    wrong: Scene
    ids: tuple[str, ...]
    finding: str
    remedy: str


def sample_defect(stream: Stream, kind: str = "", look: Look = PLAIN) -> Defect:
    """A scene and a spoilt one; a kind is drawn if none is given.

    Raises:
        UnknownName: no such kind.
    """
    kind = kind or stream.pick(tuple(DEFECTS))
    if kind not in DEFECTS:
        raise UnknownName("defect kind", kind, DEFECTS)
    for attempt in range(TRIES):
        tried = stream.child(kind, attempt)
        defect = DEFECTS[kind](sample_scene(tried.child("scene"), Wish(look=look)), tried)
        if defect is not None and not any(flaws(defect.wrong)):
            return defect
    raise RuntimeError(f"no scene in {TRIES} tries can be spoilt by {kind!r}")


def _attribute(scene: Scene, stream: Stream) -> Defect | None:
    things = loners(scene)
    if not things:
        return None
    thing, name = stream.pick(things), stream.pick(("colour", "size", "pattern"))
    spoilt = _respelled(scene, thing, name, stream)
    told, shown = getattr(thing, name), getattr(spoilt, name)
    words = {"medium": "medium-sized"}
    return Defect(
        kind="attribute",
        right=scene,
        wrong=with_thing(scene, spoilt),
        ids=(thing.id,),
        finding=(
            f"The {thing.shape} {where(thing)} should be {words.get(told, told)}, but it is {words.get(shown, shown)}."
        ),
        remedy=f"I correct its {name} and leave everything else alone.",
    )


def _respelled(scene: Scene, thing: Thing, name: str, stream: Stream) -> Thing:
    """The thing with another value of one attribute."""
    if name == "colour":
        style = style_named(scene.style)
        colour, rgb = draw_colour(stream, style, "", style.ground, other_than=thing.colour)
        return replace(thing, colour=colour, rgb=rgb)
    if name == "size":
        size = stream.pick([size for size in SIZES if size != thing.size])
        x, y = centre_of(thing.place, scene.canvas) if size == "large" else (thing.x, thing.y)
        return replace(thing, size=size, r=radius(stream, size), x=x, y=y)
    return replace(thing, pattern=stream.pick([pattern for pattern in PATTERNS if pattern != thing.pattern]))


def _count(scene: Scene, stream: Stream) -> Defect | None:
    """One of a cluster too few, or too many."""
    equals = [thing for thing in scene.things if sum(_alike(thing, other) for other in scene.things) > 1]
    if not equals:
        return None
    thing = stream.pick(equals)
    group = [other for other in scene.things if _alike(thing, other)]
    fewer = without_thing(scene, group[-1].id)
    right, wrong, told, shown = (
        (scene, fewer, len(group), len(group) - 1) if stream.chance(0.5) else (fewer, scene, len(group) - 1, len(group))
    )
    asked = f"{NUMBERS[told]} {noun(kind_of(thing, 'size', 'colour', 'shape'), many=told != 1)}"
    act = "add the missing one" if told > shown else "take away the surplus one"
    return Defect(
        kind="count",
        right=right,
        wrong=wrong,
        ids=tuple(other.id for other in wrong.things if _alike(thing, other)),
        finding=f"{sentence(where(thing))} there should be {asked}, but I count {NUMBERS[shown]}.",
        remedy=f"I {act}; everything else stays.",
    )


def _alike(one: Thing, other: Thing) -> bool:
    return (one.shape, one.colour, one.size, one.place, one.inside) == (
        other.shape,
        other.colour,
        other.size,
        other.place,
        other.inside,
    )


def _relation(scene: Scene, stream: Stream) -> Defect | None:
    pair = stream.sample(loners(scene), 2)
    if len(pair) < 2:
        return None
    one, other = pair
    first, second = refer(scene, one), refer(scene, other)
    if (
        where(one) in first or where(other) in second
    ):  # "the star in the top left" would be told by the very thing that is wrong
        return None
    return Defect(
        kind="relation",
        right=scene,
        wrong=swapped(scene, one, other),
        ids=(one.id, other.id),
        finding=f"{sentence(first)} should be {where(one)} and {second} {where(other)}, but they have traded places.",
        remedy="I put both where they belong.",
    )


def _object(scene: Scene, stream: Stream) -> Defect | None:
    things = loners(scene)
    if not things:
        return None
    thing = stream.pick(things)
    spoilt = replace(thing, shape=stream.pick([shape for shape in SHAPES if shape != thing.shape]))
    return Defect(
        kind="object",
        right=scene,
        wrong=with_thing(scene, spoilt),
        ids=(thing.id,),
        finding=f"{sentence(where(thing))} there should be {full(thing)}, but I see {full(spoilt)}.",
        remedy=f"I replace the {spoilt.shape} with the {thing.shape} in the same colour.",
    )


DEFECTS: dict[str, Callable[[Scene, Stream], Defect | None]] = {
    "attribute": _attribute,
    "count": _count,
    "relation": _relation,
    "object": _object,
}
