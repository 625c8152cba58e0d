"""What the scene engine answers to each prompt of each recipe. Pure in (seed, index): the sample's scene is drawn once,
and every prompt is asked of it.

Where a prompt judges, the answer is read off the pictures and texts that were sent, by the engine's independent
verifier; see `judges`.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any

from toolkit.demo.rows import Photo, photos
from toolkit.generation.core.protocol import Origin
from toolkit.generation.recipes.recipe import Record
from toolkit.scene import questions, told
from toolkit.scene.briefs import Brief, sample_brief
from toolkit.scene.defects import DEFECTS, Defect, sample_defect
from toolkit.scene.documents import DEFECT_KINDS, Document, sample_document, told_group
from toolkit.scene.edits import EDITS, Edit, sample_edit
from toolkit.scene.graph import Box, Scene, Thing
from toolkit.scene.hints import OCCASIONS
from toolkit.scene.language import caption, groups, listed, with_article
from toolkit.scene.names import ENGINE, LICENSE, SOURCE
from toolkit.scene.programs import Outcome, Step
from toolkit.scene.render import crop_box, encode, render
from toolkit.scene.retrieval import Retrieval, counted, sample_retrieval
from toolkit.scene.streams import Stream
from toolkit.scene.told.figure import Problem

Script = Callable[[Origin], dict[str, Any]]
Drawing = Callable[[Origin], list[bytes]]
_SOURCED = {"source": SOURCE, "license": LICENSE}
_PLANTED_ONE_IN = 4  # documents with a defect, for the judges to find
_THIRDS: tuple[Box, ...] = ((0, 0, 1, 0.34375), (0, 0.328125, 1, 0.671875), (0, 0.65625, 1, 1))


def _stream(task: str, seed: int, index: int) -> Stream:
    return Stream("scene", ENGINE, task, seed, index)


def _caption(scene: Scene, task: str, seed: int, index: int, role: str) -> str:
    return caption(scene, _stream(task, seed, index).child("caption", role))


def _texts(steps: Iterable[Step]) -> str:
    return " ".join(step.text for step in steps)


@lru_cache(64)
def picture(scene: Scene) -> bytes:
    return encode(render(scene))


# The sample of an index, per recipe.


@lru_cache(64)
def _brief(seed: int, index: int) -> Brief:
    return sample_brief(_stream("image_generation", seed, index))


@lru_cache(64)
def edit_of(seed: int, index: int) -> Edit:
    return sample_edit(_stream("image_editing", seed, index), tuple(EDITS)[index % len(EDITS)])


@lru_cache(64)
def _defect(seed: int, index: int) -> Defect:
    return sample_defect(_stream("image_correction", seed, index), tuple(DEFECTS)[index % len(DEFECTS)])


@lru_cache(64)
def _question(seed: int, index: int) -> tuple[Scene, questions.Question, Outcome]:
    return questions.ask(_stream("mm_reasoning_o", seed, index), tuple(questions.KINDS)[index % len(questions.KINDS)])


@lru_cache(64)
def retrieval_of(seed: int, index: int) -> Retrieval:
    return sample_retrieval(_stream("mm_reasoning_mm", seed, index))


@lru_cache(64)
def _problem(seed: int, index: int) -> Problem:
    return told.sample_problem(_stream("mm_reasoning_t", seed, index), tuple(told.PROBLEMS)[index % len(told.PROBLEMS)])


@lru_cache(64)
def document_of(seed: int, index: int) -> Document:
    """One in four has a planted defect."""
    planted = (
        DEFECT_KINDS[index // _PLANTED_ONE_IN % len(DEFECT_KINDS)]
        if index % _PLANTED_ONE_IN == _PLANTED_ONE_IN - 1
        else ""
    )
    return sample_document(_stream("mm_internet", seed, index), planted)


def _photo(index: int) -> Photo:
    return photos()[index % len(photos())]


# Records: what a recipe starts from.


def _photo_record(seed: int, index: int) -> Record:
    photo = _photo(index)
    content = files("toolkit.demo").joinpath("photos", photo.file).read_bytes()
    return Record(
        values={"label": photo.name, "source": f"{photo.author}, {photo.source}", "license": photo.licence},
        images={"image": content},
    )


def _edit_record(seed: int, index: int) -> Record:
    edit = edit_of(seed, index)
    captions = [
        _caption(scene, "image_editing", seed, index, role)
        for scene, role in ((edit.before, "input"), (edit.after, "output"))
    ]
    values = {"edit": edit.simple, "caption": captions[0], "target_caption": captions[1], **_SOURCED}
    return Record(values=values, images={"image": picture(edit.before)})


def _question_record(seed: int, index: int) -> Record:
    scene, _, _ = _question(seed, index)
    return Record(
        values={"caption": _caption(scene, "mm_reasoning_o", seed, index, "input"), **_SOURCED},
        images={"image": picture(scene)},
    )


def _retrieval_record(seed: int, index: int) -> Record:
    query = retrieval_of(seed, index).query
    return Record(
        values={"caption": _caption(query, "mm_reasoning_mm", seed, index, "input"), **_SOURCED},
        images={"image": picture(query)},
    )


def _document_record(seed: int, index: int) -> Record:
    texts: list[str | None] = []
    images, captions = {}, []
    for passage in document_of(seed, index).passages:
        texts.append(passage.text)
        if passage.scene is not None:
            images[f"images/{len(texts)}"] = picture(passage.scene)
            captions.append(passage.caption)
            texts.append(None)
    return Record(values={"texts": texts, "captions": captions, **_SOURCED}, images=images)


RECORDS: dict[str, Callable[[int, int], Record]] = {
    "image_generation_category": _photo_record,
    "image_editing": _edit_record,
    "mm_reasoning_o": _question_record,
    "mm_reasoning_mm": _retrieval_record,
    "mm_internet": _document_record,
}


# Answers.


def _topic_brief(origin: Origin) -> dict[str, Any]:
    brief = _brief(origin.seed, origin.index)
    named = sorted({word for thing in brief.scene.things for word in (thing.shape, thing.colour)} | {brief.scene.style})
    return {
        "caption": _caption(brief.scene, "image_generation", origin.seed, origin.index, "output"),
        "named": named,
        "instruction": brief.instruction,
    }


def _topic_rationale(origin: Origin) -> dict[str, Any]:
    brief = _brief(origin.seed, origin.index)
    rationale = f"{_texts(brief.steps)} All of it goes on {with_article(brief.scene.background)} background."
    return {"rationale": rationale, "answer": f"Here is the picture for {brief.occasion}."}


def _category_brief(origin: Origin) -> dict[str, Any]:
    photo, occasion = _photo(origin.index), Stream("photo", origin.seed, origin.index).pick(OCCASIONS)
    return {
        "caption": f"A photograph of the {photo.name}, {photo.place}.",
        "instruction": f"For {occasion} I would like to see {photo.hint}.",
    }


def _category_rationale(origin: Origin) -> dict[str, Any]:
    photo = _photo(origin.index)
    rationale = (
        f"That describes the {photo.name}. It belongs to {photo.place}, and the {photo.detail} should be easy to see."
    )
    return {"rationale": rationale, "answer": f"Here is the {photo.name}."}


def _edit_rationale(origin: Origin) -> dict[str, Any]:
    edit = edit_of(origin.seed, origin.index)
    return {"rationale": f"{_texts(edit.steps)} Everything else stays as it is.", "answer": f"In short: {edit.simple}"}


def _described(origin: Origin) -> dict[str, Any]:
    defect = _defect(origin.seed, origin.index)
    right, wrong = (
        _caption(scene, "image_correction", origin.seed, origin.index, role)
        for scene, role in ((defect.right, "output"), (defect.wrong, "input"))
    )
    words = sorted(
        {defect.wrong.thing(id).shape for id in defect.ids}
        | {thing.shape for thing in defect.right.things if thing.id in defect.ids}
    )
    return {"description": right, "wrong_description": wrong, "defect_words": words}


def _found(origin: Origin) -> dict[str, Any]:
    defect = _defect(origin.seed, origin.index)
    box = _joint([defect.wrong.thing(id) for id in defect.ids], defect.wrong.style)
    look = "I compare the picture with the text, place by place."
    return {"look": look, "box": _as_dict(box), "finding": defect.finding, "remedy": defect.remedy}


def _reasoned(origin: Origin) -> dict[str, Any]:
    scene, question, outcome = _question(origin.seed, origin.index)
    steps, seen = [], set[str]()
    for step in outcome.steps:
        fresh = [scene.thing(id) for id in step.ids if id not in seen]
        seen.update(step.ids)
        places = dict.fromkeys(thing.place for thing in fresh)
        boxes = [_joint([thing for thing in fresh if thing.place == place], scene.style) for place in places]
        if len(fresh) == len(scene.things) > 2:
            boxes = list(_THIRDS)
        steps.append({"text": step.text, "boxes": [_as_dict(box) for box in boxes]})
    said = with_article(outcome.answer) if question.kind in ("shape", "inside") else outcome.answer
    return {"steps": steps, "answer": outcome.answer, "closing": f"The answer is {said}."}


def _joint(things: list[Thing], style: str) -> Box:
    x0, y0, x1, y1 = zip(*(crop_box(thing, style) for thing in things), strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _as_dict(box: Box) -> dict[str, float]:
    return dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))


def _keyword(origin: Origin) -> dict[str, Any]:
    keyword = retrieval_of(origin.seed, origin.index).keyword
    ask = (
        f"Find a picture in the same style as mine that shows {with_article(keyword)}. Does it show more things "
        "than mine, fewer, or the same number?"
    )
    return {"keyword": keyword, "question": ask}


def _compared(origin: Origin) -> dict[str, Any]:
    found = retrieval_of(origin.seed, origin.index)
    style, keyword = found.query.style, with_article(found.keyword)
    look = (
        f"Your picture is drawn in the {style} style and shows {counted(found.query)}. I look for {keyword} in "
        "that style and find this one."
    )
    compare = (
        f"It shows {counted(found.match)}: {_inventory(found.match)}. Yours shows {counted(found.query)}: "
        f"{_inventory(found.query)}."
    )
    equal = found.comparison == "the same number"
    closing = (
        "So both show the same number of things." if equal else f"So it shows {found.comparison} things than yours."
    )
    return {"look": look, "compare": compare, "closing": closing, "answer": found.comparison}


def _inventory(scene: Scene) -> str:
    return listed([told_group(things, held) for _, things, held in groups(scene)])


def _solved(origin: Origin) -> dict[str, Any]:
    problem = _problem(origin.seed, origin.index)
    steps = [
        {"text": thought.text, "picture": thought.drawing.caption if thought.drawing else ""}
        for thought in problem.thoughts
    ]
    return {"steps": steps, "answer": problem.answer, "closing": f"The answer is {problem.answer}."}


SCRIPTS: dict[tuple[str, str], Script] = {
    ("image_generation_topic", "topic_brief"): _topic_brief,
    ("image_generation_topic", "picture_rationale"): _topic_rationale,
    ("image_generation_category", "category_brief"): _category_brief,
    ("image_generation_category", "picture_rationale"): _category_rationale,
    ("image_editing", "edit_instruction"): lambda origin: {"instruction": edit_of(origin.seed, origin.index).nuanced},
    ("image_editing", "edit_rationale"): _edit_rationale,
    ("image_correction", "correction_description"): _described,
    ("image_correction", "correction_find"): _found,
    ("mm_reasoning_o", "o_question"): lambda origin: {"question": _question(origin.seed, origin.index)[1].text},
    ("mm_reasoning_o", "o_reason"): _reasoned,
    ("mm_reasoning_o", "second_answer"): lambda origin: {"answer": _question(origin.seed, origin.index)[2].answer},
    ("mm_reasoning_mm", "mm_keyword"): _keyword,
    ("mm_reasoning_mm", "mm_reason"): _compared,
    ("mm_reasoning_mm", "second_answer"): lambda origin: {"answer": retrieval_of(origin.seed, origin.index).comparison},
    ("mm_reasoning_t", "t_question"): lambda origin: {
        "question": _problem(origin.seed, origin.index).question,
        "needs_picture": True,
    },
    ("mm_reasoning_t", "t_reason"): _solved,
    ("mm_reasoning_t", "second_answer"): lambda origin: {"answer": _problem(origin.seed, origin.index).answer},
    ("mm_internet", "internet_question"): lambda origin: {"question": document_of(origin.seed, origin.index).question},
}


def _told_drawing(origin: Origin) -> list[bytes]:
    drawings = [thought.drawing for thought in _problem(origin.seed, origin.index).thoughts if thought.drawing]
    return [encode(drawings[origin.ordinal].draw())]


DRAWINGS: dict[tuple[str, str], Drawing] = {
    ("image_generation_topic", "draw_picture"): lambda origin: [picture(_brief(origin.seed, origin.index).scene)],
    ("image_editing", "draw_edit"): lambda origin: [picture(edit_of(origin.seed, origin.index).after)],
    ("image_correction", "draw_picture"): lambda origin: [picture(_defect(origin.seed, origin.index).wrong)],
    ("image_correction", "draw_correction"): lambda origin: [picture(_defect(origin.seed, origin.index).right)],
    ("mm_reasoning_mm", "find_pictures"): lambda origin: [
        picture(each.scene) for each in retrieval_of(origin.seed, origin.index).pool
    ],
    ("mm_reasoning_t", "draw_picture"): _told_drawing,
}
