"""Interleaved documents as the web has them: a question, then passages with pictures. A defect can be planted, with its
label and place.

steps     a picture is built up; every passage adds something
gallery   every passage tells one picture in full
"""

from dataclasses import dataclass, replace

from toolkit.errors import UnknownName
from toolkit.scene.graph import Scene, Thing
from toolkit.scene.hints import OFF_TOPIC
from toolkit.scene.language import (
    NUMBERS,
    PLACE_PHRASES,
    caption,
    groups,
    kind_of,
    listed,
    noun,
    sentence,
    with_article,
)
from toolkit.scene.programs import full
from toolkit.scene.sampler import Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream

DEFECT_KINDS = ("swapped", "duplicate", "off_topic", "unanswerable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of text and the picture that follows it; None = text only."""

    text: str
    scene: Scene | None
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A question and the page that should answer it.

    Attributes:
        kind: "steps" or "gallery".
        question: what a reader asks.
        passages: the page.
        defect: one of `DEFECT_KINDS`, "" = sound.
        places: numbers of the passages concerned.
    """

    kind: str
    question: str
    passages: tuple[Passage, ...]
    defect: str = ""
    places: tuple[int, ...] = ()


def sample_document(stream: Stream, defect: str = "") -> Document:
    """A sound document, or one with a planted defect.

    Raises:
        UnknownName: no such defect.
    """
    document = _sound(stream.child("sound"))
    if not defect:
        return document
    if defect not in DEFECT_KINDS:
        raise UnknownName("document defect", defect, DEFECT_KINDS)
    return _spoilt(document, defect, stream.child("defect", defect))


def _sound(stream: Stream) -> Document:
    return _steps(stream) if stream.chance(0.5) else _gallery(stream)


def _steps(stream: Stream) -> Document:
    scene = sample_scene(stream.child("scene"), Wish(num_places=3 + stream.below(2)))
    parts = stream.shuffled(groups(scene))
    verbs = [stream.pick(("add", "draw", "place")) for _ in parts]
    shown: list[Thing] = []
    passages = []
    for number, (place, things, held) in enumerate(parts):
        what, where = told_group(things, held), PLACE_PHRASES[place][0]
        shown += [*things, *([held] if held else [])]
        so_far = replace(scene, things=tuple(thing for thing in scene.things if thing in shown))
        lead = (
            f"Take a sheet with {with_article(scene.background)} background and {verbs[number]} {what} {where}"
            if number == 0
            else f"{verbs[number]} {what} {where}"
        )
        end = "That is all." if number == len(parts) - 1 else "It should now look like this."
        passages.append(
            Passage(text=f"Step {number + 1}: {sentence(lead)}. {end}", scene=so_far, caption=caption(so_far, stream))
        )
    items = listed([told_group(things, held) for _, things, held in groups(scene)])
    ask = stream.pick(
        (
            "How do I draw a picture in {style} style with {items}, step by step?",
            "Can you show me, in pictures, how to make a {style} drawing with {items}?",
        )
    )
    return Document(kind="steps", question=ask.format(style=scene.style, items=items), passages=tuple(passages))


def _gallery(stream: Stream) -> Document:
    shapes, passages, items = stream.sample(SHAPES, 3), [], []
    for number, shape in enumerate(shapes):
        scene = sample_scene(stream.child("scene", number), Wish(num_places=2 + stream.below(3)))
        hero = next((thing for thing in scene.things if thing.shape == shape and not thing.inside), scene.things[0])
        items.append(noun(kind_of(hero, "colour", "shape")))
        text = caption(scene, stream)
        passages.append(
            Passage(text=f"{('First', 'Second', 'Third')[number]} example: {text}", scene=scene, caption=text)
        )
    wanted = listed([with_article(item) for item in dict.fromkeys(items)])
    ask = stream.pick(
        (
            "Could you show me a few simple drawings that have {items} in them?",
            "I am looking for example pictures with {items}. What could they look like?",
        )
    )
    return Document(kind="gallery", question=ask.format(items=wanted), passages=tuple(passages))


def told_group(things: list[Thing], held: Thing | None) -> str:
    """What lies in one place: "three small red stars", "a large blue circle with a small pink moon inside it"."""
    if len(things) > 1:
        return f"{NUMBERS[len(things)]} {noun(kind_of(things[0], 'size', 'colour', 'shape'), many=True)}"
    return full(things[0]) + (f" with {full(held)} inside it" if held else "")


def _spoilt(document: Document, defect: str, stream: Stream) -> Document:
    passages, count = list(document.passages), len(document.passages)
    if defect == "swapped":
        one, other = sorted(stream.sample(range(count), 2))
        first, second = passages[one], passages[other]
        passages[one], passages[other] = (
            replace(first, scene=second.scene, caption=second.caption),
            replace(second, scene=first.scene, caption=first.caption),
        )
        return replace(document, passages=tuple(passages), defect=defect, places=(one, other))
    if defect == "duplicate":
        one = stream.below(count)
        passages.insert(one + 1, passages[one])
        return replace(document, passages=tuple(passages), defect=defect, places=(one, one + 1))
    if defect == "off_topic":
        one = stream.below(count + 1)
        passages.insert(one, Passage(text=stream.pick(OFF_TOPIC), scene=None))
        return replace(document, passages=tuple(passages), defect=defect, places=(one,))
    other_question = _sound(stream.child("other question")).question
    return replace(document, question=other_question, defect=defect)
