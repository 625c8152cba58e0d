"""What a prompt wants of a picture, in the terms of the scene engine, and whether a picture shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.evaluation.checks import Check, Expected, Verdict, between, check, number_of, related, seen_as
from toolkit.scene.graph import Kind, Scene, said
from toolkit.scene.language import RELATION_PHRASES, noun
from toolkit.scene.verify.pixels import Found
from toolkit.scene.verify.text import ReadThing

MANY = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Shows:
    """So many things of a description, from `low` to `high`."""

    attribute: str
    kind: Kind
    low: int = 1
    high: int = MANY

    def check(self, seen: Sequence[Found]) -> Check:
        found = number_of(seen, self.kind.named())
        number = f"{found[0]}" if found[0] == found[1] else f"{found[0]} to {found[1]}"
        return check(
            self.attribute,
            between(found, self.low, self.high),
            f"{number} x {noun(self.kind)} instead of {_range(self.low, self.high)}; {_all(seen)}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lies:
    """One thing to a side of another."""

    one: Kind
    relation: str
    other: Kind

    def check(self, seen: Sequence[Found]) -> Check:
        verdict = related(seen, self.one.named(), self.relation, self.other.named())
        phrase = f"{noun(self.one)} {RELATION_PHRASES[self.relation]} {noun(self.other)}"
        return check("position", verdict, f"no {phrase}; {_all(seen)}")


def _range(low: int, high: int) -> str:
    return f"at least {low}" if high == MANY else f"{low}" if low == high else f"{low} to {high}"


def _all(seen: Sequence[Found]) -> str:
    return "; ".join(map(seen_as, seen)) or "nothing seen"


def told_to_others(wanted: Shows | Lies) -> dict[str, object]:
    """For detectors and judges of others."""
    if isinstance(wanted, Lies):
        return {"one": wanted.one.named(), "relation": wanted.relation, "other": wanted.other.named()}
    return {"attribute": wanted.attribute, **wanted.kind.named(), "from": wanted.low, "to": wanted.high}


def no_picture() -> Check:
    return Check("picture", Verdict.WRONG, "no picture in the answer")


def expected(scene: Scene, *, kept: frozenset[str] = frozenset()) -> list[Expected]:
    """Every thing of a scene as the reader names it; `kept` are ids of things that an edit leaves alone."""
    return [Expected(ReadThing(*said(scene, each)), each.x, each.y, each.id in kept) for each in scene.things]
