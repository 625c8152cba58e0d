"""Questions as programs: a few operations run on the graph give the exact answer, and their trace is the rationale.

A program is a tuple of operations, each a tuple of strings, so it goes into provenance as it is. `run` is the only
place that knows what they mean.
"""

from dataclasses import dataclass
from typing import TypeAlias

from toolkit.scene import comparisons
from toolkit.scene.graph import PLACES, Kind, Scene, related, select
from toolkit.scene.language import (
    RELATION_PHRASES,
    noun,
    number_word,
    plural,
    sentence,
    the,
    with_article,
)
from toolkit.scene.steps import State, Step, full, kind_in, only, sightings, where

# ("select", description) | ("count",) | ("exist",) | ("unique",) | ("query", attribute) | ("within",)
# | ("relation", relation, description) | ("more", description) | ("difference", description) | ("larger", description)
# | ("same", attribute, description) | ("other_than", description) | ("in_front", description) | ("hides",)
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
class Outcome:
    answer: str
    steps: tuple[Step, ...]


def run(program: Program, scene: Scene) -> Outcome:
    """The answer and how it comes about.

    Raises:
        ValueError: a description that must fit one thing fits none or several: the question is ambiguous.
    """
    state = State((), Kind(), "", ())
    for operation in program:
        state = _apply(operation, state, scene)
    return Outcome(answer=state.answer, steps=state.steps)


def _apply(operation: Operation, state: State, scene: Scene) -> State:
    name, *arguments = operation
    if name == "select":
        return State(select(scene, kind_in(arguments[0])), kind_in(arguments[0]), "", state.steps)
    if name == "unique":
        return State((only(scene, state.kind),), state.kind, "", state.steps)
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
        "relation": comparisons.relation,
        "more": comparisons.more,
        "difference": comparisons.difference,
        "larger": comparisons.larger,
        "same": comparisons.same,
        "other_than": comparisons.other_than,
        "in_front": comparisons.in_front,
        "hides": comparisons.hides,
    }[str(name)](arguments, state, scene)
    return State(state.things, state.kind, answer, (*state.steps, *steps))


def _count(arguments: list[str | Kind], state: State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
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
    return str(count), (*sightings(state.things), Step(text=total, ids=tuple(thing.id for thing in state.things)))


def _count_without(arguments: list[str | Kind], state: State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    kind = kind_in(arguments[0])
    out = [thing for thing in state.things if kind.fits(thing)]
    whole, number = len(state.things), len(out)
    left = whole - number
    told = f"{number_word(number)} of them {'is' if number == 1 else 'are'} {kind.colour or noun(kind, many=True)}"
    return str(left), (
        *sightings(state.things),
        Step(text=f"That makes {number_word(whole)} {noun(state.kind, many=whole != 1)}."),
        Step(text=f"{sentence(told)}, so {number_word(left)} {'is' if left == 1 else 'are'} not."),
    )


def _beside(relation: str, state: State, scene: Scene) -> State:
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
    anchor = "it" if lead else "that one"
    step = Step(text=f"Directly {RELATION_PHRASES[relation]} {anchor} there is {full(found[0])}.", ids=(found[0].id,))
    return State(found, state.kind, "", (*state.steps, *lead, step))


def _exist(arguments: list[str | Kind], state: State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    if state.things:
        return "yes", (
            Step(text=f"I find {full(state.things[0])} {where(state.things[0])}.", ids=(state.things[0].id,)),
        )
    near = [thing for thing in scene.things if state.kind.shape == thing.shape or state.kind.colour == thing.colour]
    seen = sightings(tuple(near))
    return "no", (
        *seen,
        Step(text=f"None of them is {with_article(noun(state.kind))}." if near else f"I find no {noun(state.kind)}."),
    )


def _query(arguments: list[str | Kind], state: State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    thing, attribute = state.things[0], str(arguments[0])
    value = str(getattr(thing, attribute))
    if attribute == "place":
        return where(thing), (Step(text=f"I find {the(state.kind)}. It lies {where(thing)}.", ids=(thing.id,)),)
    if len(select(scene, state.kind)) > 1:
        return value, (Step(text=f"It is {value}.", ids=(thing.id,)),)
    if attribute == "text":
        return value, (Step(text=f"{sentence(the(state.kind))} is {where(thing)}. It says {value}.", ids=(thing.id,)),)
    text = (
        f"Looking {where(thing)}, I see {full(thing)}."
        if attribute == "shape"
        else f"{sentence(the(state.kind))} is {where(thing)}. It is {value}."
    )
    return value, (Step(text=text, ids=(thing.id,)),)


def _query_last(arguments: list[str | Kind], state: State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    """An attribute of a thing that was just told in full."""
    return str(getattr(state.things[0], str(arguments[0]))), ()


def _within(arguments: list[str | Kind], state: State, scene: Scene) -> tuple[str, tuple[Step, ...]]:
    holder = state.things[0]
    held = next(thing for thing in scene.things if thing.inside == holder.id)
    return held.shape, (
        Step(text=f"{sentence(the(state.kind))} is {where(holder)}.", ids=(holder.id,)),
        Step(text=f"Inside it lies {full(held)}.", ids=(held.id,)),
    )


def _extreme(relation: str, state: State) -> State:
    axis, sign = ("x", 1) if relation in ("left_of", "right_of") else ("y", 1)
    sign = -1 if relation in ("right_of", "below") else sign
    ordered = sorted(state.things, key=lambda thing: sign * float(getattr(thing, axis)))
    if len(ordered) < 2 or not related(ordered[0], relation, ordered[1]):
        raise ValueError(
            f"no {plural(state.kind.shape or 'thing')} is clearly {_EXTREME_WORDS[relation]} among {len(ordered)}"
        )
    text = f"The one {where(ordered[0])} is {_EXTREME_WORDS[relation]}."
    return State(
        (ordered[0],), state.kind, "", (*state.steps, *sightings(state.things), Step(text=text, ids=(ordered[0].id,)))
    )


def written(program: Program) -> list[list[object]]:
    """The program as JSON-ready lists."""
    return [[item.named() if isinstance(item, Kind) else item for item in operation] for operation in program]
