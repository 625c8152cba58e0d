from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Request
from toolkit.generation.core.records import Record
from toolkit.generation.procedural.script import (
    SOURCED,
    Script,
    box_fields,
    joint_box,
    picture,
    scene_caption,
    scene_stream,
)
from toolkit.scene import questions
from toolkit.scene.graph import Box, Scene
from toolkit.scene.language import with_article
from toolkit.scene.programs import Outcome

TASK = "mm_reasoning_o"
_THIRDS: tuple[Box, ...] = ((0, 0, 1, 0.34375), (0, 0.328125, 1, 0.671875), (0, 0.65625, 1, 1))


@lru_cache(64)
def _sampled(seed: int, index: int) -> tuple[Scene, questions.Question, Outcome]:
    return questions.ask(scene_stream(TASK, seed, index), tuple(questions.KINDS)[index % len(questions.KINDS)])


def _question(request: Request) -> tuple[Scene, questions.Question, Outcome]:
    return _sampled(request.origin.seed, request.origin.index)


def _record(seed: int, index: int) -> Record:
    scene, _, _ = _sampled(seed, index)
    values = {"caption": scene_caption(scene, TASK, seed, index, "input"), **SOURCED}
    return Record(values=values, images={"image": picture(scene)})


def _reasoned(request: Request) -> dict[str, Any]:
    scene, question, outcome = _question(request)
    steps, seen = [], set[str]()
    for step in outcome.steps:
        fresh = [scene.thing(id) for id in step.ids if id not in seen]
        seen.update(step.ids)
        places = dict.fromkeys(thing.place for thing in fresh)
        boxes = [joint_box([thing for thing in fresh if thing.place == place], scene.style) for place in places]
        if len(fresh) == len(scene.things) > 2:
            boxes = list(_THIRDS)
        steps.append({"text": step.text, "boxes": [box_fields(box) for box in boxes]})
    said = with_article(outcome.answer) if question.kind in ("shape", "inside") else outcome.answer
    return {"steps": steps, "answer": outcome.answer, "closing": f"The answer is {said}."}


SCRIPT = Script(
    answers={
        "o_question": lambda request: {"question": _question(request)[1].text},
        "o_reason": _reasoned,
        "second_answer": lambda request: {"answer": _question(request)[2].answer},
    },
    record=_record,
)
