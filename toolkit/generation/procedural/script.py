"""What the scene engine knows of a recipe, and what such scripts have in common.

A script is pure in the `Draw`: the sample's scene is drawn once, and every prompt is asked of it. Where a prompt
judges, the answer is read off the pictures and texts that were sent, by the engine's independent verifier.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.scene.difficulty import look_of
from toolkit.scene.graph import Box, Scene, Thing, said
from toolkit.scene.language import caption, with_article
from toolkit.scene.names import ENGINE, LICENSE, SOURCE
from toolkit.scene.render import crop_box, encode, render
from toolkit.scene.sampler import Look
from toolkit.scene.shapes import SHAPES
from toolkit.scene.steps import Step
from toolkit.scene.streams import Stream
from toolkit.scene.verify.pixels import read_hidden, read_picture, read_signs

SOURCED = {"source": SOURCE, "license": LICENSE}
Answer = Callable[[Request], "dict[str, Any] | list[bytes]"]


@dataclass(frozen=True, kw_only=True)
class Script:
    """
    Attributes:
        answers: name of a prompt, without its version -> its reply, or the pictures it asks for.
        record: what a sample starts from, for recipes that start from a record.
        topic: `topic` and `scene`, for recipes that start from those.
        facts: graph, program and what the verifier read, for provenance.
    """

    answers: Mapping[str, Answer] = field(default_factory=dict)
    record: Callable[[Draw], Record] | None = None
    topic: Callable[[Draw], dict[str, str]] | None = None
    facts: Callable[[Draw], dict[str, Any]] | None = None


def wording_of(task: str, draw: Draw) -> Stream:
    """Of how a sample's sentences are said."""
    return Stream("wording", ENGINE, task, *draw.key)


def seen_as_drawn(scene: Scene) -> bool:
    """Whether the verifier, which shares no code with the renderer, reads a picture of a scene as what it is."""
    pixels = render(scene)
    if tuple(tuple(thing) for thing in read_picture(pixels).things) != tuple(
        sorted(tuple(said(scene, thing)) for thing in scene.things)
    ):
        return False
    pairs = ((thing, scene.thing(thing.over)) for thing in scene.things if thing.over)
    hidden = sorted((f"{front.colour} {front.shape}", f"{back.colour} {back.shape}") for front, back in pairs)
    signs = sorted((f"{thing.colour} {thing.shape}", thing.text) for thing in scene.things if thing.text)
    return (not hidden or read_hidden(pixels) == hidden) and (not signs or read_signs(pixels) == signs)


def scene_stream(task: str, draw: Draw) -> Stream:
    return Stream("scene", ENGINE, task, *draw.key)


def look(task: str, draw: Draw) -> Look:
    """What its pictures are like."""
    return look_of(Stream("look", ENGINE, task, *draw.key), draw.level)


def scene_caption(scene: Scene, task: str, draw: Draw, role: str) -> str:
    return caption(scene, scene_stream(task, draw).child("caption", role))


def texts(steps: Iterable[Step]) -> str:
    return " ".join(step.text for step in steps)


@lru_cache(64)
def picture(scene: Scene) -> bytes:
    return encode(render(scene))


def joint_box(scene: Scene, things: list[Thing]) -> Box:
    """The least box around all of them, as fractions."""
    x0, y0, x1, y1 = zip(*(crop_box(scene, thing) for thing in things), strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def box_fields(box: Box) -> dict[str, float]:
    return dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))


def closing(kind: str, answer: str) -> str:
    """The last sentence of an answer to a question of that kind."""
    if kind == "place":
        return f"So it is {answer}."
    if answer in ("yes", "no"):
        return f"So the answer is {answer}."
    return f"The answer is {with_article(answer) if answer in SHAPES else answer}."
