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
    PLACE_PHRASES,
    caption,
    groups,
    joined,
    kind_of,
    listed,
    noun,
    number_word,
    sentence,
    with_article,
)
from toolkit.scene.sampler import PLAIN, Look, Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.steps import full, plain_noun
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


def sample_document(stream: Stream, defect: str = "", look: Look = PLAIN) -> Document:
    """A sound document, or one with a planted defect.

    Raises:
        UnknownName: no such defect.
    """
    document = _sound(stream.child("sound"), look)
    if not defect:
        return document
    if defect not in DEFECT_KINDS:
        raise UnknownName("document defect", defect, DEFECT_KINDS)
    return _spoilt(document, defect, stream.child("defect", defect), look)


def _sound(stream: Stream, look: Look) -> Document:
    return _steps(stream, look) if stream.chance(0.5) else _gallery(stream, look)


def _steps(stream: Stream, look: Look) -> Document:
    scene = sample_scene(stream.child("scene"), Wish(num_places=3 + stream.below(2), look=look))
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
    items = listed(told_together(groups(scene)))
    ask = stream.pick(
        (
            "How do I draw a picture in {style} style with {items}, step by step?",
            "Can you show me, in pictures, how to make a {style} drawing with {items}?",
        )
    )
    return Document(kind="steps", question=ask.format(style=scene.style, items=items), passages=tuple(passages))


def _gallery(stream: Stream, look: Look) -> Document:
    shapes, passages, items = stream.sample(SHAPES, 3), [], []
    for number, shape in enumerate(shapes):
        scene = sample_scene(stream.child("scene", number), Wish(num_places=2 + stream.below(3), look=look))
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
        return f"{number_word(len(things))} {plain_noun(things[0], many=True)}"
    return joined(full(things[0]), held, full(held)) if held else full(things[0])


def told_together(groups: list[tuple[str, list[Thing], Thing | None]]) -> list[str]:
    """What lies in all places, in that order; equal things are told as one, as in "two large red circles"."""
    found: dict[str, list[Thing]] = {}
    for place, things, held in groups:
        text = told_group(things[:1], held)
        found.setdefault(f"{text} {place}" if held else text, []).extend(things)
    held_by = {things[0].id: held for _, things, held in groups}
    return [told_group(things, held_by.get(things[0].id)) for things in found.values()]


def _spoilt(document: Document, defect: str, stream: Stream, look: Look) -> Document:
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
    other_question = _sound(stream.child("other question"), look).question
    return replace(document, question=other_question, defect=defect)
