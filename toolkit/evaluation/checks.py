"""What a picture must show, and whether it does: right, wrong, or unsure where the reader cannot tell."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from math import hypot
from typing import NamedTuple

from toolkit.scene.verify.pixels import Found
from toolkit.scene.verify.text import ReadThing

ATTRIBUTES = ("shape", "colour", "size", "pattern", "place")
_MOVED = 0.05  # fraction of the side: how far a thing that was to stay may lie from where it was
_CLEARLY = 0.04  # fraction of the side: by how much a middle must lie to one side of another


class Verdict(str, Enum):
    RIGHT = "right"
    WRONG = "wrong"
    UNSURE = "unsure"


class Check(NamedTuple):
    """One thing asked for.

    Attributes:
        attribute: what kind of thing, for scores by attribute: "count", "colour", "position", ...
        verdict: whether it is there.
        why: what was found instead; "" if right.
    """

    attribute: str
    verdict: Verdict
    why: str = ""


def check(attribute: str, verdict: Verdict, why: str) -> Check:
    return Check(attribute, verdict, "" if verdict is Verdict.RIGHT else why)


def fits(found: Found, wanted: Mapping[str, str]) -> Verdict:
    """Whether a thing has the wanted attributes: keys of `ATTRIBUTES`."""
    if any(name not in found.unsure and getattr(found.thing, name) != value for name, value in wanted.items()):
        return Verdict.WRONG
    return Verdict.UNSURE if found.unsure & wanted.keys() else Verdict.RIGHT


def number_of(seen: Iterable[Found], wanted: Mapping[str, str]) -> tuple[int, int]:
    """How many things surely fit, and how many may."""
    verdicts = [fits(each, wanted) for each in seen]
    sure = verdicts.count(Verdict.RIGHT)
    return sure, sure + verdicts.count(Verdict.UNSURE)


def between(count: tuple[int, int], low: int, high: int) -> Verdict:
    """Whether a number known as (at least, at most) lies in low..high."""
    least, most = count
    if low <= least and most <= high:
        return Verdict.RIGHT
    return Verdict.WRONG if most < low or least > high else Verdict.UNSURE


def related(seen: Sequence[Found], one: Mapping[str, str], relation: str, other: Mapping[str, str]) -> Verdict:
    """Whether some `one` lies to that side ("left_of", "right_of", "above", "below") of some `other`."""
    best = Verdict.WRONG
    for first in seen:
        for second in seen:
            verdicts = {fits(first, one), fits(second, other)}
            if first is second or Verdict.WRONG in verdicts:
                continue
            if not _lies(first, relation, second):
                continue
            if verdicts == {Verdict.RIGHT}:
                return Verdict.RIGHT
            best = Verdict.UNSURE
    return best


def _lies(one: Found, relation: str, other: Found) -> bool:
    (x, y), (other_x, other_y) = middle(one.box), middle(other.box)
    return {
        "left_of": x + _CLEARLY < other_x,
        "right_of": x > other_x + _CLEARLY,
        "above": y + _CLEARLY < other_y,
        "below": y > other_y + _CLEARLY,
    }[relation]


def middle(box: tuple[float, float, float, float]) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


class Expected(NamedTuple):
    """A thing a picture must show, where it is, and whether it was like that before an edit."""

    thing: ReadThing
    x: float
    y: float
    was_there: bool


def same_things(seen: Sequence[Found], expected: Sequence[Expected], gone: Sequence[Expected] = ()) -> list[Check]:
    """A check for what was to change ("change") and one for what was to stay ("rest").

    Args:
        seen: what the picture shows.
        expected: what it must show.
        gone: what was there before and must not be there, or not like that, any more.
    """
    left = list(seen)
    found: dict[str, list[tuple[Verdict, str]]] = {"change": [], "rest": []}
    for each in expected:
        best = min(left, key=lambda one, each=each: _distance(one, each), default=None)  # type: ignore[misc]
        verdict = Verdict.WRONG if best is None else _is_there(best, each)
        if best is not None and verdict is not Verdict.WRONG:
            left.remove(best)
        why = "" if verdict is Verdict.RIGHT else f"{told(each.thing)}: {'missing' if best is None else seen_as(best)}"
        found["rest" if each.was_there else "change"].append((verdict, why))
    for one in left:
        is_old = any(_is_there(one, each) is not Verdict.WRONG for each in gone)
        found["change" if is_old else "rest"].append((Verdict.WRONG, f"not asked for: {seen_as(one)}"))
    return [
        check(part, worst(verdict for verdict, _ in each), "; ".join(why for _, why in each if why))
        for part, each in found.items()
    ]


def _distance(found: Found, expected: Expected) -> float:
    x, y = middle(found.box)
    inside = bool(found.thing.inside) != bool(expected.thing.inside)
    return hypot(x - expected.x, y - expected.y) + inside


def _is_there(found: Found, expected: Expected) -> Verdict:
    if _distance(found, expected) > (_MOVED if expected.was_there else 3 * _MOVED):
        return Verdict.WRONG
    return fits(found, {name: getattr(expected.thing, name) for name in ATTRIBUTES})


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Wrong if any is, else unsure if any is."""
    found = set(verdicts)
    return next((each for each in (Verdict.WRONG, Verdict.UNSURE) if each in found), Verdict.RIGHT)


def told(thing: ReadThing) -> str:
    pattern = "" if thing.pattern == "plain" else f"{thing.pattern} "
    where = f"inside the {thing.inside}" if thing.inside else f"at the {thing.place}"
    return f"{thing.size} {pattern}{thing.colour} {thing.shape} {where}"


def seen_as(found: Found) -> str:
    unsure = f" (unsure: {', '.join(sorted(found.unsure))})" if found.unsure else ""
    return f"seen {told(found.thing)}{unsure}"
