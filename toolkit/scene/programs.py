"""Questions as programs: a few operations run on the graph give the exact answer, and their trace is the rationale.

A program is a tuple of operations, each a tuple of strings, so it goes into provenance as it is. `run` is the only
place that knows what they mean.
"""

from dataclasses import dataclass
from typing import TypeAlias

from toolkit.scene.graph import PLACES, Kind, Scene, Thing, related, select
from toolkit.scene.language import (
    NUMBERS,
    PLACE_PHRASES,
    RELATION_PHRASES,
    kind_of,
    listed,
    noun,
    number_word,
    plural,
    sentence,
    the,
    with_article,
)

# ("select", description) | ("count",) | ("exist",) | ("unique",) | ("query", attribute) | ("within",)
# | ("relation", relation, description) | ("more", description) | ("larger", description)
# | ("count_without", description) | ("beside", relation) | ("query_last", attribute)
# | ("extreme", "left_of" | "right_of" | "above" | "below")
Operation: TypeAlias = tuple[str | Kind, ...]
Program: TypeAlias = tuple[Operation, ...]

_EXTREME_WORDS = {
    "left_of": "furthest to the left",
    "right_of": "furthest to the right",
    "above": "highest",
    "below": "lowest",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a trace: what is seen or concluded, and the ids of the things it rests on."""

    text: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    answer: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class _State:
    things: tuple[Thing, ...]
    kind: Kind
    answer: str
    steps: tuple[Step, ...]


def run(program: Program, scene: Scene) -> Outcome:
    """The answer and how it comes about.

    Raises:
        ValueError: a description that must fit one thing fits none or several: the question is ambiguous.
    """
    state = _State((), Kind(), "", ())
    for operation in program:
        state = _apply(operation, state, scene)
    return Outcome(answer=state.answer, steps=state.steps)


def _apply(operation: Operation, state: _State, scene: Scene) -> _State:
    name, *arguments = operation
    if name == "select":
        return _State(select(scene, _kind(arguments[0])), _kind(arguments[0]), "", state.steps)
    if name == "unique":
        return _State((_only(scene, state.kind),), state.kind, "", state.steps)
    if name == "extreme":
        return _extreme(str(arguments[0]), state)
    if name == "beside":
        return _beside(str(arguments[0]), state, scene)
    answer, steps = {
        "count": _count,
        "count_without": _count_without,
        "query_last": _query_last,
        "exist": _exist,
        "query": _query,
        "within": _within,
        "relation": _relation,
        "more": _more,
        "larger": _larger,
    }[str(name)](arguments, state, scene)
    return _State(state.things, state.kind, answer, (*state.steps, *steps))


def _kind(argument: str | Kind) -> Kind:
    if not isinstance(argument, Kind):
        raise TypeError(f"expected a description, found {argument!r}")
    return argument


def _only(scene: Scene, kind: Kind) -> Thing:
    found = select(scene, kind)
    if len(found) != 1:
        raise ValueError(f"{the(kind)!r} fits {len(found)} things; expected exactly 1")
    return found[0]


def full(thing: Thing) -> str:
    """All that is worth saying: "a large striped red star"; as in captions, medium and plain go without saying."""
    ordinary = {"size": thing.size == "medium", "pattern": thing.pattern == "plain"}
    return with_article(
        noun(kind_of(thing, *(name for name in ("size", "pattern", "colour", "shape") if not ordinary.get(name))))
    )


def where(thing: Thing) -> str:
    return PLACE_PHRASES[thing.place][0]


def _sightings(things: tuple[Thing, ...]) -> tuple[Step, ...]:
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


def _count(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    count, what = len(state.things), noun(state.kind, many=len(state.things) != 1)
    if not count:
        return "0", (
            Step(
                text=f"I go through the picture from top to bottom and find no {what}.",
                ids=tuple(thing.id for thing in scene.things),
            ),
        )
    total = (
        f"That makes {number_word(count)} {what}."
        if len({t.place for t in state.things}) > 1
        else f"There {'is no other one' if count == 1 else 'are no others'}."
    )
    return str(count), (*_sightings(state.things), Step(text=total, ids=tuple(thing.id for thing in state.things)))


def _count_without(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    kind = _kind(arguments[0])
    out = [thing for thing in state.things if kind.fits(thing)]
    whole, number = len(state.things), len(out)
    left = whole - number
    told = f"{number_word(number)} of them {'is' if number == 1 else 'are'} {kind.colour or noun(kind, many=True)}"
    return str(left), (
        *_sightings(state.things),
        Step(text=f"That makes {number_word(whole)} {noun(state.kind, many=whole != 1)}."),
        Step(text=f"{sentence(told)}, so {number_word(left)} {'is' if left == 1 else 'are'} not."),
    )


def _beside(relation: str, state: _State, scene: Scene) -> _State:
    """The one thing in the place next to that of the thing at hand."""
    thing = state.things[0]
    row, column = divmod(PLACES.index(thing.place), 3)
    down, right = {"left_of": (0, -1), "right_of": (0, 1), "above": (-1, 0), "below": (1, 0)}[relation]
    if not (0 <= row + down < 3 and 0 <= column + right < 3):
        raise ValueError(f"nothing can be {relation} {thing.place}")
    place = PLACES[3 * (row + down) + column + right]
    found = select(scene, Kind(place=place))
    if len(found) != 1:
        raise ValueError(f"{place} holds {len(found)} things; expected exactly 1")
    lead = [] if state.steps else [Step(text=f"{sentence(the(state.kind))} is {where(thing)}.", ids=(thing.id,))]
    step = Step(text=f"Directly {RELATION_PHRASES[relation]} it there is {full(found[0])}.", ids=(found[0].id,))
    return _State(found, state.kind, "", (*state.steps, *lead, step))


def _exist(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    if state.things:
        return "yes", (
            Step(text=f"I find {full(state.things[0])} {where(state.things[0])}.", ids=(state.things[0].id,)),
        )
    near = [thing for thing in scene.things if state.kind.shape == thing.shape or state.kind.colour == thing.colour]
    seen = _sightings(tuple(near))
    return "no", (
        *seen,
        Step(text=f"None of them is {with_article(noun(state.kind))}." if near else f"I find no {noun(state.kind)}."),
    )


def _query(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    thing, attribute = state.things[0], str(arguments[0])
    value = str(getattr(thing, attribute))
    if attribute == "place":
        return where(thing), (Step(text=f"I find {the(state.kind)}. It lies {where(thing)}.", ids=(thing.id,)),)
    if len(select(scene, state.kind)) > 1:
        return value, (Step(text=f"It is {value}.", ids=(thing.id,)),)
    text = (
        f"Looking {where(thing)}, I see {full(thing)}."
        if attribute == "shape"
        else f"{sentence(the(state.kind))} is {where(thing)}. It is {value}."
    )
    return value, (Step(text=text, ids=(thing.id,)),)


def _query_last(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    """An attribute of a thing that was just told in full."""
    return str(getattr(state.things[0], str(arguments[0]))), ()


def _within(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    holder = state.things[0]
    held = next(thing for thing in scene.things if thing.inside == holder.id)
    return held.shape, (
        Step(text=f"{sentence(the(state.kind))} is {where(holder)}.", ids=(holder.id,)),
        Step(text=f"Inside it lies {full(held)}.", ids=(held.id,)),
    )


def _relation(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    relation, other, thing = str(arguments[0]), _only(scene, _kind(arguments[1])), state.things[0]
    holds = related(thing, relation, other)
    one, two = the(state.kind), the(_kind(arguments[1]))
    steps = tuple(
        Step(text=f"{sentence(phrase)} is {where(found)}.", ids=(found.id,))
        for phrase, found in ((one, thing), (two, other))
    )
    verdict = f"So {one} {'is' if holds else 'is not'} {RELATION_PHRASES[relation]} {two}."
    return "yes" if holds else "no", (*steps, Step(text=verdict, ids=(thing.id, other.id)))


def _more(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    other = _kind(arguments[0])
    rivals = select(scene, other)
    steps = []
    for kind, found in ((state.kind, state.things), (other, rivals)):
        ordered = sorted(found, key=lambda thing: PLACES.index(thing.place))
        places = f", {listed(list(dict.fromkeys(where(thing) for thing in ordered)))}" if found else ""
        steps.append(
            Step(
                text=f"I count {NUMBERS[len(found)]} {noun(kind, many=len(found) != 1)}{places}.",
                ids=tuple(thing.id for thing in found),
            )
        )
    more = len(state.things) > len(rivals)
    relation = "more than" if more else "not more than"
    return "yes" if more else "no", (
        *steps,
        Step(text=f"{sentence(NUMBERS[len(state.things)])} is {relation} {NUMBERS[len(rivals)]}."),
    )


def _larger(arguments: list[str | Kind], state: _State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    other, thing = _only(scene, _kind(arguments[0])), state.things[0]
    if thing.size == other.size:
        raise ValueError(
            f"{the(state.kind)!r} and {the(_kind(arguments[0]))!r} are both {thing.size}; expected two sizes"
        )
    pairs = ((state.kind, thing), (_kind(arguments[0]), other))
    steps = tuple(
        Step(text=f"{sentence(the(kind))}, {where(found)}, is {_sized(found)}.", ids=(found.id,))
        for kind, found in pairs
    )
    winner = max(pairs, key=lambda pair: pair[1].r)
    return the(winner[0]), steps


def _sized(thing: Thing) -> str:
    return "of medium size" if thing.size == "medium" else thing.size


def _extreme(relation: str, state: _State) -> _State:
    axis, sign = ("x", 1) if relation in ("left_of", "right_of") else ("y", 1)
    sign = -1 if relation in ("right_of", "below") else sign
    ordered = sorted(state.things, key=lambda thing: sign * float(getattr(thing, axis)))
    if len(ordered) < 2 or not related(ordered[0], relation, ordered[1]):
        raise ValueError(
            f"no {plural(state.kind.shape or 'thing')} is clearly {_EXTREME_WORDS[relation]} among {len(ordered)}"
        )
    text = f"The one {where(ordered[0])} is {_EXTREME_WORDS[relation]}."
    return _State(
        (ordered[0],), state.kind, "", (*state.steps, *_sightings(state.things), Step(text=text, ids=(ordered[0].id,)))
    )


def written(program: Program) -> list[list[object]]:
    """The program as JSON-ready lists."""
    return [[item.named() if isinstance(item, Kind) else item for item in operation] for operation in program]
