"""Operations that compare: things with things, and counts with counts."""

from toolkit.scene.graph import PLACES, Kind, Scene, related, select
from toolkit.scene.language import NUMBERS, RELATION_PHRASES, listed, noun, number_word, plural, sentence, the
from toolkit.scene.steps import State, Step, full, kind_in, only, sightings, where

Found = tuple[str, tuple[Step, ...]]  # the answer, and how it comes about


def relation(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    side, other, thing = str(arguments[0]), only(scene, kind_in(arguments[1])), state.things[0]
    holds = related(thing, side, other)
    one, two = the(state.kind), the(kind_in(arguments[1]))
    steps = tuple(
        Step(text=f"{sentence(phrase)} is {where(found)}.", ids=(found.id,))
        for phrase, found in ((one, thing), (two, other))
    )
    verdict = f"So {one} {'is' if holds else 'is not'} {RELATION_PHRASES[side]} {two}."
    return "yes" if holds else "no", (*steps, Step(text=verdict, ids=(thing.id, other.id)))


def larger(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    other, thing = only(scene, kind_in(arguments[0])), state.things[0]
    if thing.size == other.size:
        raise ValueError(
            f"{the(state.kind)!r} and {the(kind_in(arguments[0]))!r} are both {thing.size}; expected two sizes"
        )
    pairs = ((state.kind, thing), (kind_in(arguments[0]), other))
    steps = tuple(
        Step(text=f"{sentence(the(kind))}, {where(found)}, is {_told(found.size)}.", ids=(found.id,))
        for kind, found in pairs
    )
    winner = max(pairs, key=lambda pair: pair[1].r)
    return the(winner[0]), steps


def _counted(kind: Kind, scene: Scene) -> Step:
    found = sorted(select(scene, kind), key=lambda thing: PLACES.index(thing.place))
    places = f", {listed(list(dict.fromkeys(where(thing) for thing in found)))}" if found else ""
    return Step(
        text=f"I count {NUMBERS[len(found)]} {noun(kind, many=len(found) != 1)}{places}.",
        ids=tuple(thing.id for thing in select(scene, kind)),
    )


def more(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    other = kind_in(arguments[0])
    count, rivals = len(state.things), len(select(scene, other))
    relation = "more than" if count > rivals else "not more than"
    return "yes" if count > rivals else "no", (
        _counted(state.kind, scene),
        _counted(other, scene),
        Step(text=f"{sentence(NUMBERS[count])} is {relation} {NUMBERS[rivals]}."),
    )


def difference(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    """By how many more there are."""
    other = kind_in(arguments[0])
    count, rivals = len(state.things), len(select(scene, other))
    gap = count - rivals
    return str(gap), (
        _counted(state.kind, scene),
        _counted(other, scene),
        Step(text=f"{sentence(number_word(count))} minus {number_word(rivals)} is {number_word(gap)}."),
    )


def other_than(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    """Whether one of the things is not as described."""
    wanted = kind_in(arguments[0])
    word = next(iter(wanted.named().values()))
    odd = [thing for thing in state.things if not wanted.fits(thing)]
    if odd:
        text = f"I find {full(odd[0])} {where(odd[0])}, which is not {word}."
        return "yes", (Step(text=text, ids=(odd[0].id,)),)
    what = f"The only {noun(state.kind)}" if len(state.things) == 1 else f"Each of these {plural(state.kind.shape)}"
    return "no", (*sightings(state.things), Step(text=f"{what} is {word}."))


def same(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    """Whether two things agree in an attribute."""
    name, kind = str(arguments[0]), kind_in(arguments[1])
    thing, other = state.things[0], only(scene, kind)
    values = [str(getattr(each, name)) for each in (thing, other)]
    steps = [
        Step(text=f"{sentence(the(each))}, {where(found)}, is {_told(value)}.", ids=(found.id,))
        for each, found, value in zip((state.kind, kind), (thing, other), values, strict=True)
    ]
    is_same = values[0] == values[1]
    verdict = f"So both have the same {name}." if is_same else f"So they differ in {name}."
    return "yes" if is_same else "no", (*steps, Step(text=verdict, ids=(thing.id, other.id)))


def in_front(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    """Which of two things hides a part of the other."""
    kind = kind_in(arguments[0])
    pair = ((state.kind, state.things[0]), (kind, only(scene, kind)))
    (front, front_thing), (back, back_thing) = pair if pair[0][1].over == pair[1][1].id else pair[::-1]
    if front_thing.over != back_thing.id:
        raise ValueError(f"{the(front)!r} and {the(back)!r} do not overlap")
    return the(front), (
        Step(
            text=f"{sentence(the(state.kind))} and {the(kind)} overlap {where(front_thing)}.",
            ids=(back_thing.id, front_thing.id),
        ),
        Step(text=f"The outline of {the(front)} is whole, while {the(back)} is cut off where they meet."),
    )


def hides(arguments: list[str | Kind], state: State, scene: Scene) -> Found:
    """The shape of which a thing hides a part."""
    front = state.things[0]
    back = scene.thing(front.over)
    return back.shape, (
        Step(text=f"{sentence(the(state.kind))} is {where(front)}.", ids=(front.id,)),
        Step(text=f"From behind it {full(back)} sticks out.", ids=(back.id,)),
    )


def _told(value: str) -> str:
    return "of medium size" if value == "medium" else value
