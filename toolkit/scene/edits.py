"""Edits: one scene -> another, told twice. The simple telling names the change; the nuanced one makes you look first
("give it the colour of the house").

Both scenes pass every gate, and pixels can differ only inside the footprints of the things that differ.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from toolkit.errors import UnknownName
from toolkit.scene.gates import flaws
from toolkit.scene.graph import PATTERNS, PLACES, RADIUS, Kind, Scene, Thing, centre_of, select
from toolkit.scene.hints import COLOUR_HINTS
from toolkit.scene.language import RELATION_PHRASES, refer, referring, sentence, spot
from toolkit.scene.render import footprint
from toolkit.scene.sampler import PLAIN, TRIES, Look, Wish, draw_colour, sample_scene
from toolkit.scene.steps import Step, full, located, where
from toolkit.scene.streams import Stream
from toolkit.scene.styles import style_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a scene.

    Attributes:
        kind: a key of `EDITS`.
        before: the scene as it was.
        after: the scene as it shall be.
        simple: names the change outright.
        nuanced: asks for the same without naming it.
        steps: how the nuanced wording leads to the change; ids are of things in `before`.
    """

    kind: str
    before: Scene
    after: Scene
    simple: str
    nuanced: str
    steps: tuple[Step, ...]


def sample_edit(stream: Stream, kind: str = "", look: Look = PLAIN) -> Edit:
    """A scene and an edit of it; a kind is drawn if none is given.

    Raises:
        UnknownName: no such kind.
    """
    kind = kind or stream.pick(tuple(EDITS))
    if kind not in EDITS:
        raise UnknownName("edit kind", kind, EDITS)
    for attempt in range(TRIES):
        tried = stream.child(kind, attempt)
        edit = EDITS[kind](sample_scene(tried.child("scene"), Wish(look=look)), tried)
        if edit is not None and not any(flaws(edit.after)):
            return edit
    raise RuntimeError(f"no scene in {TRIES} tries can be changed by {kind!r}")


def changed(before: Scene, after: Scene) -> tuple[str, ...]:
    """Ids of the things that are not the same in both."""
    one, two = ({thing.id: thing for thing in scene.things} for scene in (before, after))
    return tuple(sorted(id for id in one | two if one.get(id) != two.get(id)))


def changed_mask(before: Scene, after: Scene) -> npt.NDArray[np.bool_]:
    """Where pixels may differ, bool (height, width); everywhere else they are identical."""
    mask = np.zeros(before.canvas[::-1], dtype=bool)
    for scene in (before, after):
        for thing in scene.things:
            if thing.id in changed(before, after):
                x0, y0, x1, y1 = footprint(scene, thing)
                mask[y0:y1, x0:x1] = True
    return mask


def with_thing(scene: Scene, thing: Thing) -> Scene:
    """The scene with the thing of that id replaced."""
    return replace(scene, things=tuple(thing if old.id == thing.id else old for old in scene.things))


def without_thing(scene: Scene, id: str) -> Scene:
    return replace(scene, things=tuple(thing for thing in scene.things if thing.id != id))


def loners(scene: Scene) -> list[Thing]:
    """Things alone in their place that one phrase can point out."""
    return [t for t in scene.things if len(select(scene, Kind(place=t.place))) == 1 and referring(scene, t) is not None]


def empty_places(scene: Scene) -> list[str]:
    return [place for place in PLACES if not select(scene, Kind(place=place))]


def _pair(scene: Scene, stream: Stream) -> tuple[Thing, Thing] | None:
    """Two things that phrases can point out, each alone in its place."""
    found = stream.sample(loners(scene), 2)
    return (found[0], found[1]) if len(found) == 2 else None


def _recolour(scene: Scene, stream: Stream) -> Edit | None:
    pair = _pair(scene, stream)
    if pair is None or pair[0].colour == pair[1].colour:
        return None
    thing, model = pair
    _, rgb = draw_colour(stream, style_named(scene.style), model.colour, style_named(scene.style).ground)
    one, other = (
        refer(scene, thing),
        refer(scene, model, without=("colour",) if referring(scene, model, without=("colour",)) else ()),
    )
    hinted = stream.chance(0.4)
    steps = located(scene, thing) if hinted else located(scene, thing, model)
    reason = f"{sentence(COLOUR_HINTS[model.colour] if hinted else other)} is {model.colour}"
    nuanced = (
        f"Paint {one} in {COLOUR_HINTS[model.colour]}." if hinted else f"I would like {one} to match {other} in colour."
    )
    return Edit(
        kind="recolour",
        before=scene,
        after=with_thing(scene, replace(thing, colour=model.colour, rgb=rgb)),
        simple=f"Make {one} {model.colour}.",
        nuanced=nuanced,
        steps=(*steps, Step(text=f"{reason}, so {one} turns from {thing.colour} to {model.colour}.", ids=(thing.id,))),
    )


def _repattern(scene: Scene, stream: Stream) -> Edit | None:
    pair = _pair(scene, stream)
    if pair is None or pair[0].pattern == pair[1].pattern:
        return None
    thing, model = pair
    one, other = refer(scene, thing), refer(scene, model)
    words = dict(zip(PATTERNS, ("no pattern", "stripes", "spots"), strict=True))
    return Edit(
        kind="repattern",
        before=scene,
        after=with_thing(scene, replace(thing, pattern=model.pattern)),
        simple=f"Make {one} {model.pattern}.",
        nuanced=f"Decorate {one} in the same way as {other}."
        if model.pattern != "plain"
        else f"Make {one} as undecorated as {other}.",
        steps=(
            *located(scene, thing, model),
            Step(
                text=f"{sentence(other)} has {words[model.pattern]}, so {one} gets {words[model.pattern]} too.",
                ids=(thing.id,),
            ),
        )
        if model.pattern != "plain"
        else (
            *located(scene, thing, model),
            Step(text=f"{sentence(other)} has no pattern, so {one} loses its {words[thing.pattern]}.", ids=(thing.id,)),
        ),
    )


def _resize(scene: Scene, stream: Stream) -> Edit | None:
    pair = _pair(scene, stream)
    if pair is None or pair[0].size == pair[1].size:
        return None
    thing, model = pair
    one, other, size = refer(scene, thing), refer(scene, model), model.size
    x, y = centre_of(thing.place, scene.canvas) if size == "large" else (thing.x, thing.y)
    word = "medium-sized" if size == "medium" else size
    way = "grows" if RADIUS[size] > thing.r else "shrinks"
    return Edit(
        kind="resize",
        before=scene,
        after=with_thing(scene, replace(thing, size=size, r=RADIUS[size], x=x, y=y)),
        simple=f"Make {one} {word}.",
        nuanced=f"{sentence(one)} should be about as big as {other}.",
        steps=(
            *located(scene, thing, model),
            Step(text=f"{sentence(other)} is {word}, so {one} {way} to that size.", ids=(thing.id,)),
        ),
    )


def _remove(scene: Scene, stream: Stream) -> Edit | None:
    pair = _pair(scene, stream)
    if pair is None:
        return None
    thing, near = pair
    relation = _beside(thing.place, near.place)
    if not relation:
        return None
    one, other = refer(scene, thing), refer(scene, near)
    return Edit(
        kind="remove",
        before=scene,
        after=without_thing(scene, thing.id),
        simple=f"Remove {one}.",
        nuanced=f"Please clear away whatever is directly {relation} {other}.",
        steps=(
            *located(scene, near),
            Step(
                text=f"Directly {relation} it there is {full(thing)}. It has to go; its place becomes background.",
                ids=(thing.id,),
            ),
        ),
    )


def _add(scene: Scene, stream: Stream) -> Edit | None:
    models, places = loners(scene), empty_places(scene)
    if not models or not places:
        return None
    model, place = stream.pick(models), stream.pick(places)
    x, y = centre_of(place, scene.canvas)
    copy = replace(model, id=f"t{max(int(thing.id[1:]) for thing in scene.things) + 1}", place=place, x=x, y=y)
    other = refer(scene, model)
    return Edit(
        kind="add",
        before=scene,
        after=replace(scene, things=(*scene.things, copy)),
        simple=f"Add {full(model)} {spot(place)}.",
        nuanced=f"It looks empty {spot(place)}. Could {other} have a twin there?",
        steps=(
            *located(scene, model),
            Step(text=f"I repeat it, {full(model)}: nothing lies {spot(place)} yet, so a second one fits there."),
        ),
    )


def _move(scene: Scene, stream: Stream) -> Edit | None:
    pair, places = _pair(scene, stream), empty_places(scene)
    if pair is None:
        return None
    thing, anchor = pair
    goals = [place for place in places if _beside(place, anchor.place)]
    if not goals:
        return None
    place = stream.pick(goals)
    x, y = centre_of(place, scene.canvas)
    one, other, relation = refer(scene, thing), refer(scene, anchor), _beside(place, anchor.place)
    return Edit(
        kind="move",
        before=scene,
        after=with_thing(scene, replace(thing, place=place, x=x, y=y)),
        simple=f"Move {one} so that it is {spot(place)}.",
        nuanced=f"{sentence(one)} belongs directly {relation} {other}.",
        steps=(
            *located(scene, thing, anchor),
            Step(text=f"Directly {relation} {other} means {spot(place)}, which is free.", ids=(thing.id,)),
        ),
    )


def _swap(scene: Scene, stream: Stream) -> Edit | None:
    pair = _pair(scene, stream)
    if pair is None:
        return None
    thing, other = pair
    one, two = refer(scene, thing), refer(scene, other)
    return Edit(
        kind="swap",
        before=scene,
        after=swapped(scene, thing, other),
        simple=f"Swap {one} and {two}.",
        nuanced=f"Put {one} where {two} is now, and the other way round.",
        steps=(
            *located(scene, thing, other),
            Step(text=f"So {one} goes {where(other)} and {two} goes {where(thing)}.", ids=(thing.id, other.id)),
        ),
    )


def swapped(scene: Scene, one: Thing, other: Thing) -> Scene:
    moved = with_thing(scene, replace(one, place=other.place, x=other.x, y=other.y))
    return with_thing(moved, replace(other, place=one.place, x=one.x, y=one.y))


def _beside(place: str, anchor: str) -> str:
    """How a place lies to a neighbouring one, in words; "" if they do not share a side."""
    row, column = divmod(PLACES.index(place), 3)
    other_row, other_column = divmod(PLACES.index(anchor), 3)
    step = {(0, -1): "left_of", (0, 1): "right_of", (-1, 0): "above", (1, 0): "below"}.get(
        (row - other_row, column - other_column)
    )
    return RELATION_PHRASES[step] if step else ""


EDITS: dict[str, Callable[[Scene, Stream], Edit | None]] = {
    "recolour": _recolour,
    "repattern": _repattern,
    "resize": _resize,
    "remove": _remove,
    "add": _add,
    "move": _move,
    "swap": _swap,
}
