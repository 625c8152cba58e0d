"""Seed and index -> one finished row, for each of the seven generation tasks. Pure: equal arguments give equal rows,
pixels included.

    sample("image_editing", seed=0, index=7) -> Row

Rows say `origin="procedural"`. Their provenance holds recipe, seed, index, what was asked of the engine and the digest
of every picture.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from toolkit.errors import UnknownName
from toolkit.scene import documents, questions, told
from toolkit.scene.briefs import sample_brief
from toolkit.scene.defects import DEFECTS, sample_defect
from toolkit.scene.edits import EDITS, changed_boxes, sample_edit
from toolkit.scene.graph import Box, Scene, Thing, extent
from toolkit.scene.language import caption, groups, listed, with_article
from toolkit.scene.names import ENGINE, LICENSE, SOURCE
from toolkit.scene.programs import Step, full, where, written
from toolkit.scene.raster import Pixels
from toolkit.scene.render import crop, crop_box, digest, encode, render
from toolkit.scene.retrieval import counted, sample_retrieval
from toolkit.scene.streams import Stream
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Region, Row, check_row, quadrant_of, text_of
from toolkit.tasks import TASKS

_THIRDS: tuple[Box, ...] = (
    (0, 0, 1, 0.34375),
    (0, 0.328125, 1, 0.671875),
    (0, 0.65625, 1, 1),
)  # whole pixels of 512, with a little overlap


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    pixels: Pixels
    caption: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A row before it is encoded: turns of texts and pictures in reading order, and the plain texts."""

    user: tuple[str | Picture, ...]
    assistant: tuple[str | Picture, ...]
    instruction: str
    rationale: str
    answer: str
    regions: tuple[Region, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)


def sample(task: str, *, seed: int, index: int) -> Row:
    """One row, checked.

    Raises:
        UnknownName: the engine makes no rows of that task.
    """
    if task not in SAMPLERS:
        raise UnknownName("task with a procedural recipe", task, SAMPLERS)
    draft = SAMPLERS[task](Stream("scene", ENGINE, task, seed, index), index)
    row = _row(task, seed, index, draft)
    check_row(row)
    return row


def _row(task: str, seed: int, index: int, draft: Draft) -> Row:
    id = f"{TASKS[task].prefix}-proc-{seed}-{index:08d}"
    messages = (_message("user", draft.user), _message("assistant", draft.assistant))
    pictures = [part for part in (*draft.user, *draft.assistant) if isinstance(part, Picture)]
    digests = [digest(picture.pixels) for picture in pictures]
    provenance = {
        "recipe": f"scene/{task}",
        "engine": ENGINE,
        "seed": seed,
        "index": index,
        **draft.facts,
        "pixels_sha256": digests,
    }
    return Row(
        id=id,
        task=task,
        quadrant=quadrant_of(messages),
        source=SOURCE,
        license=LICENSE,
        origin="procedural",
        messages=messages,
        images=tuple(
            EncodedImage(encode(picture.pixels), f"{id}-{number}.png") for number, picture in enumerate(pictures)
        ),
        image_roles=tuple(picture.role for picture in pictures),
        image_captions=tuple(picture.caption for picture in pictures),
        instruction=draft.instruction or text_of(messages, "user"),
        rationale=draft.rationale,
        answer=draft.answer,
        regions=draft.regions,
        provenance=json.dumps(provenance),
    )


def _message(role: str, parts: Iterable[str | Picture]) -> Message:
    return Message(role, tuple(Part("text", part) if isinstance(part, str) else IMAGE_PART for part in parts))


def _scene_picture(scene: Scene, role: str, stream: Stream) -> Picture:
    return Picture(pixels=render(scene), caption=caption(scene, stream), role=role)


def _texts(steps: Iterable[Step]) -> str:
    return " ".join(step.text for step in steps)


def _generation(stream: Stream, index: int) -> Draft:
    brief = sample_brief(stream)
    picture = _scene_picture(brief.scene, "output", stream.child("caption"))
    rationale = f"{_texts(brief.steps)} All of it goes on {with_article(brief.scene.background)} background."
    answer = f"Here is the picture for {brief.occasion}."
    return Draft(
        user=(brief.instruction,),
        assistant=(rationale, picture, answer),
        instruction=brief.instruction,
        rationale=rationale,
        answer=answer,
        regions=tuple(_region(0, thing, brief.scene) for thing in brief.scene.things),
        facts={"route": "topic", "scene": brief.scene.to_dict()},
    )


def _editing(stream: Stream, index: int) -> Draft:
    edit = sample_edit(stream, tuple(EDITS)[index % len(EDITS)])
    before, after = (
        _scene_picture(scene, role, stream.child(role))
        for scene, role in ((edit.before, "input"), (edit.after, "output"))
    )
    rationale, answer = f"{_texts(edit.steps)} Everything else stays as it is.", edit.simple
    boxes = changed_boxes(edit.before, edit.after)
    return Draft(
        user=(before, edit.nuanced),
        assistant=(rationale, f"In short: {answer}", after),
        instruction=edit.nuanced,
        rationale=rationale,
        answer=answer,
        regions=tuple(Region(image, _inside(box), "changed") for image in (0, 1) for box in boxes),
        facts={
            "edit": edit.kind,
            "simple": edit.simple,
            "before": edit.before.to_dict(),
            "after": edit.after.to_dict(),
        },
    )


def _correction(stream: Stream, index: int) -> Draft:
    defect = sample_defect(stream, tuple(DEFECTS)[index % len(DEFECTS)])
    wrong, right = (
        _scene_picture(scene, role, stream.child(role))
        for scene, role in ((defect.wrong, "input"), (defect.right, "output"))
    )
    ask = stream.pick(
        (
            "This picture was meant to show the following: {} Something is off. Please find it and mend it.",
            "The order said: {} Compare the picture with it and correct it.",
        )
    )
    instruction, rationale = (
        ask.format(right.caption),
        f"I compare the picture with the text, place by place. {defect.finding} {defect.remedy}",
    )
    things = [defect.wrong.thing(id) for id in defect.ids]
    closing = _closeup(_joint([crop_box(thing, defect.wrong.style) for thing in things]), wrong, _named(things))
    answer = "Now picture and text agree."
    return Draft(
        user=(wrong, instruction),
        assistant=(
            "I compare the picture with the text, place by place.",
            closing,
            f"{defect.finding} {defect.remedy}",
            right,
            answer,
        ),
        instruction=instruction,
        rationale=rationale,
        answer=answer,
        regions=tuple(_region(0, thing, defect.wrong) for thing in things),
        facts={
            "defect": defect.kind,
            "finding": defect.finding,
            "right": defect.right.to_dict(),
            "wrong": defect.wrong.to_dict(),
        },
    )


def _original(stream: Stream, index: int) -> Draft:
    kind = tuple(questions.KINDS)[index % len(questions.KINDS)]
    scene, question, outcome = questions.ask(stream, kind)
    picture = _scene_picture(scene, "input", stream.child("caption"))
    cited = [scene.thing(id) for id in dict.fromkeys(id for step in outcome.steps for id in step.ids)]
    return Draft(
        user=(picture, question.text),
        assistant=(*_illustrated(outcome.steps, scene, picture), _closing(kind, outcome.answer)),
        instruction=question.text,
        rationale=_texts(outcome.steps),
        answer=outcome.answer,
        regions=tuple(_region(0, thing, scene) for thing in cited),
        facts={
            "question": kind,
            "program": written(question.program),
            "choices": list(question.choices),
            "scene": scene.to_dict(),
        },
    )


def _closing(kind: str, answer: str) -> str:
    if kind in ("shape", "inside"):
        return f"So it is {with_article(answer)}."
    return f"So it is {answer}." if kind == "place" else f"The answer is {answer}."


def _illustrated(steps: tuple[Step, ...], scene: Scene, picture: Picture) -> tuple[str | Picture, ...]:
    """The trace, each sighting followed by a close-up of what it cites; each thing is shown once."""
    parts: list[str | Picture] = []
    shown: set[str] = set()
    for step in steps:
        parts.append(step.text)
        fresh = [scene.thing(id) for id in step.ids if id not in shown]
        shown.update(step.ids)
        if len(fresh) == len(scene.things) and len(fresh) > 2:
            parts += [
                _closeup(box, picture, f"the {name} third of the picture")
                for box, name in zip(_THIRDS, ("upper", "middle", "lower"), strict=True)
            ]
        else:
            for place in dict.fromkeys(thing.place for thing in fresh):
                here = [thing for thing in fresh if thing.place == place]
                parts.append(
                    _closeup(
                        _joint([crop_box(thing, scene.style) for thing in here]),
                        picture,
                        f"{_named(here)} {where(here[0])}",
                    )
                )
    return tuple(parts)


def _named(things: list[Thing]) -> str:
    names = list(dict.fromkeys(full(thing) for thing in things))
    return listed(names) if len(names) > 1 else documents.told_group(things, None)


def _closeup(box: Box, picture: Picture, words: str) -> Picture:
    return Picture(pixels=crop(picture.pixels, box), caption=f"Detail of the picture: {words}", role="intermediate")


def _joint(boxes: list[Box]) -> Box:
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _retrieved(stream: Stream, index: int) -> Draft:
    found = sample_retrieval(stream)
    mine, other = (
        _scene_picture(scene, role, stream.child(role))
        for scene, role in ((found.query, "input"), (found.match, "intermediate"))
    )
    keyword = with_article(found.keyword)
    question = (
        f"Find a picture in the same style as mine that shows {keyword}. Does it show more things than "
        "mine, fewer, or the same number?"
    )
    look = (
        f"Your picture is drawn in the {found.query.style} style and shows {counted(found.query)}. I look for "
        f"{keyword} in that style and find this one."
    )
    count = (
        f"It shows {counted(found.match)}: {_inventory(found.match)}. Yours shows {counted(found.query)}: "
        f"{_inventory(found.query)}."
    )
    return Draft(
        user=(mine, question),
        assistant=(look, other, count, _verdict(found.comparison)),
        instruction=question,
        rationale=f"{look} {count}",
        answer=found.comparison,
        facts={
            "style": found.query.style,
            "keyword": found.keyword,
            "query": found.query.to_dict(),
            "pool": [
                {"scene": c.scene.to_dict(), "has_style": c.has_style, "has_keyword": c.has_keyword} for c in found.pool
            ],
        },
    )


def _verdict(comparison: str) -> str:
    return (
        "So both show the same number of things."
        if comparison == "the same number"
        else f"So it shows {comparison} things than yours."
    )


def _inventory(scene: Scene) -> str:
    return listed([documents.told_group(things, held) for _, things, held in groups(scene)])


def _told(stream: Stream, index: int) -> Draft:
    problem = told.sample_problem(stream, tuple(told.PROBLEMS)[index % len(told.PROBLEMS)])
    parts: list[str | Picture] = []
    for thought in problem.thoughts:
        parts.append(thought.text)
        if thought.drawing is not None:
            parts.append(Picture(pixels=thought.drawing.draw(), caption=thought.drawing.caption, role="intermediate"))
    return Draft(
        user=(problem.question,),
        assistant=(*parts, f"The answer is {problem.answer}."),
        instruction=problem.question,
        rationale=" ".join(thought.text for thought in problem.thoughts),
        answer=problem.answer,
        facts={"problem": problem.kind, **problem.facts},
    )


def _document(stream: Stream, index: int) -> Draft:
    document = documents.sample_document(stream)
    parts: list[str | Picture] = []
    for passage in document.passages:
        parts.append(passage.text)
        if passage.scene is not None:
            parts.append(Picture(pixels=render(passage.scene), caption=passage.caption, role="output"))
    return Draft(
        user=(document.question,),
        assistant=tuple(parts),
        instruction=document.question,
        rationale="",
        answer="\n".join(passage.text for passage in document.passages),
        facts={
            "document": document.kind,
            "scenes": [passage.scene.to_dict() for passage in document.passages if passage.scene],
        },
    )


def _region(image: int, thing: Thing, scene: Scene) -> Region:
    return Region(image, _inside(extent(thing, scene.style)), full(thing))


def _inside(box: Box) -> Box:
    x0, y0, x1, y1 = (round(min(max(value, 0.0), 1.0), 5) for value in box)
    return x0, y0, x1, y1


# Task -> how a row of it is drafted from its stream and index.
SAMPLERS: dict[str, Callable[[Stream, int], Draft]] = {
    "image_generation": _generation,
    "image_editing": _editing,
    "image_correction": _correction,
    "mm_reasoning_o": _original,
    "mm_reasoning_mm": _retrieved,
    "mm_reasoning_t": _told,
    "mm_internet": _document,
}
