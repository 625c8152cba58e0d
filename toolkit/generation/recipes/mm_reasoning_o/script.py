from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
    box_fields,
    joint_box,
    look,
    picture,
    scene_caption,
    scene_stream,
    seen_as_drawn,
    wording_of,
)
from toolkit.scene import questions
from toolkit.scene.difficulty import level_named
from toolkit.scene.graph import Box, Scene
from toolkit.scene.heldout import drawn_without
from toolkit.scene.language import with_article
from toolkit.scene.programs import Outcome, written
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.shapes import SHAPES
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_o"
_THIRDS: tuple[Box, ...] = ((0, 0, 1, 0.34375), (0, 0.328125, 1, 0.671875), (0, 0.65625, 1, 1))


@lru_cache(64)
def _sampled(draw: Draw) -> tuple[Scene, questions.Question, Outcome]:
    kinds = level_named(draw.level).kinds or tuple(ALL_KINDS)
    kind = kinds[draw.index % len(kinds)]
    stream = scene_stream(TASK, draw)
    return drawn_without(lambda stream: questions.ask(stream, kind, ALL_KINDS, look(TASK, draw)), stream)


def _question(request: Request) -> tuple[Scene, questions.Question, Outcome]:
    return _sampled(request.origin.draw)


def _record(draw: Draw) -> Record:
    scene, _, _ = _sampled(draw)
    values = {"caption": scene_caption(scene, TASK, draw, "input"), **SOURCED}
    return Record(values=values, images={"image": picture(scene)})


def _asked(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.draw)
    return {"question": reworded(_question(request)[1].text, wording, with_opening=True)}


def _facts(draw: Draw) -> dict[str, Any]:
    scene, question, _ = _sampled(draw)
    return {
        "graph": scene.to_dict(),
        "question": question.kind,
        "program": written(question.program),
        "choices": len(question.choices),
        "read_as_drawn": seen_as_drawn(scene),
    }


def _reasoned(request: Request) -> dict[str, Any]:
    scene, question, outcome = _question(request)
    steps, seen = [], set[str]()
    for step in outcome.steps:
        fresh = [scene.thing(id) for id in step.ids if id not in seen]
        seen.update(step.ids)
        places = dict.fromkeys(thing.place for thing in fresh)
        boxes = [joint_box(scene, [thing for thing in fresh if thing.place == place]) for place in places]
        if len(fresh) == len(scene.things) > 2:
            boxes = list(_THIRDS)
        steps.append({"text": step.text, "boxes": [box_fields(box) for box in boxes]})
    return {"steps": steps, "answer": outcome.answer, "closing": _closing(question.kind, outcome.answer)}


def _closing(kind: str, answer: str) -> str:
    if kind == "place":
        return f"So it is {answer}."
    if answer in ("yes", "no"):
        return f"So the answer is {answer}."
    return f"The answer is {with_article(answer) if answer in SHAPES else answer}."


def _blind(request: Request) -> dict[str, Any]:
    """Of the answers that are equally likely, any."""
    choices = _question(request)[1].choices
    guess = scene_stream(TASK, request.origin.draw).child("blind").pick(choices)
    return {"can_tell": len(choices) == 1, "answer": guess}


SCRIPT = Script(
    answers={
        "o_question": _asked,
        "o_reason": _reasoned,
        "blind_answer": _blind,
        "second_answer": lambda request: {"answer": _question(request)[2].answer},
    },
    record=_record,
    facts=_facts,
)
