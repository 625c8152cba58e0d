"""What programs are made of: the state between two operations, the lines of a trace, and how things are told there."""

from dataclasses import dataclass

from toolkit.scene.graph import PLACES, Kind, Scene, Thing, select
from toolkit.scene.language import (
    PLACE_PHRASES,
    kind_of,
    listed,
    noun,
    number_word,
    refer,
    referring,
    sentence,
    spot,
    the,
    with_article,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a trace: what is seen or concluded, and the ids of the things it rests on."""

    text: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    things: tuple[Thing, ...]
    kind: Kind
    answer: str
    steps: tuple[Step, ...]


def kind_in(argument: str | Kind) -> Kind:
    if not isinstance(argument, Kind):
        raise TypeError(f"expected a description, found {argument!r}")
    return argument


def only(scene: Scene, kind: Kind) -> Thing:
    found = select(scene, kind)
    if len(found) != 1:
        raise ValueError(f"{the(kind)!r} fits {len(found)} things; expected exactly 1")
    return found[0]


def full(thing: Thing) -> str:
    """All that is worth saying: "a large striped red star"; as in captions, medium and plain go without saying."""
    return with_article(plain_noun(thing))


def plain_noun(thing: Thing, *, many: bool = False) -> str:
    """`full` without its article."""
    ordinary = {"size": thing.size == "medium", "pattern": thing.pattern == "plain"}
    names = [name for name in ("size", "pattern", "colour", "shape") if not ordinary.get(name)]
    return noun(kind_of(thing, *names), many=many)


def where(thing: Thing) -> str:
    return PLACE_PHRASES[thing.place][0]


def located(scene: Scene, *things: Thing) -> tuple[Step, ...]:
    """One step per thing: where it is, or what it is where nothing but its place tells it from the others."""
    return tuple(Step(text=sentence(_located(scene, thing)), ids=(thing.id,)) for thing in things)


def _located(scene: Scene, thing: Thing) -> str:
    kind = referring(scene, thing)
    is_told_by_place = kind is not None and kind.place
    return (
        f"{spot(thing.place)} there is {full(thing)}."
        if is_told_by_place
        else f"{refer(scene, thing)} is {where(thing)}."
    )


def sightings(things: tuple[Thing, ...]) -> tuple[Step, ...]:
    """One step per place: "In the top left there are two small red stars."."""
    steps = []
    for place in (place for place in PLACES if any(thing.place == place for thing in things)):
        here = [thing for thing in things if thing.place == place]
        alike = len({(t.shape, t.colour) for t in here}) == 1 and len(here) > 1
        texts = (
            [f"{number_word(len(here))} {noun(kind_of(here[0], 'size', 'colour', 'shape'), many=True)}"]
            if alike
            else [full(thing) for thing in here]
        )
        verb = "are" if alike else "is"
        steps.append(
            Step(
                text=sentence(f"{PLACE_PHRASES[place][0]} there {verb} {listed(texts)}."),
                ids=tuple(thing.id for thing in here),
            )
        )
    return tuple(steps)
