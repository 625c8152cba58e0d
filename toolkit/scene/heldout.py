"""Pairs of colour and shape that generated rows never show, so that a benchmark can ask for what no model has seen."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import TypeVar

from toolkit.scene.graph import Scene
from toolkit.scene.sampler import TRIES
from toolkit.scene.streams import Stream
from toolkit.scene.told.figure import Problem

Drawn = TypeVar("Drawn")

# Every colour once, and no shape twice, so that each is seen in many other pairs.
HELD_OUT = frozenset(
    (
        ("red", "boat"),
        ("orange", "moon"),
        ("yellow", "fish"),
        ("green", "heart"),
        ("blue", "crown"),
        ("purple", "tree"),
        ("pink", "house"),
        ("brown", "star"),
    )
)


def shows_held_out(drawn: object) -> bool:
    """Whether a scene, a told problem, or anything made of them, shows such a pair."""
    if isinstance(drawn, Scene):
        return any((thing.colour, thing.shape) in HELD_OUT for thing in drawn.things)
    if isinstance(drawn, Problem):
        told = zip(drawn.facts.get("colours", ()), drawn.facts.get("order", ()), strict=True)  # type: ignore[call-overload]
        return any(pair in HELD_OUT for pair in told)
    if isinstance(drawn, tuple | list):
        return any(map(shows_held_out, drawn))
    return is_dataclass(drawn) and any(shows_held_out(getattr(drawn, each.name)) for each in fields(drawn))


def drawn_without(draw: Callable[[Stream], Drawn], stream: Stream) -> Drawn:
    """What `draw` makes of a stream, from the first child of it that shows no such pair.

    Raises:
        RuntimeError: none does, which is a mistake of the caller.
    """
    for attempt in range(TRIES):
        drawn = draw(stream.child("held out", attempt))
        if not shows_held_out(drawn):
            return drawn
    raise RuntimeError(f"no drawing in {TRIES} tries is without a pair kept for the benchmark")
