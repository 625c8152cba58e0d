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
    seen_as_drawn,
    wording_of,
)
from toolkit.scene import questions
from toolkit.scene.graph import Box, Scene
from toolkit.scene.heldout import drawn_without
from toolkit.scene.language import with_article
from toolkit.scene.programs import Outcome, written
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_o"
_THIRDS: tuple[Box, ...] = ((0, 0, 1, 0.34375), (0, 0.328125, 1, 0.671875), (0, 0.65625, 1, 1))


@lru_cache(64)
def _sampled(seed: int, index: int) -> tuple[Scene, questions.Question, Outcome]:
    kind = tuple(ALL_KINDS)[index % len(ALL_KINDS)]
    stream = scene_stream(TASK, seed, index)
    return drawn_without(lambda stream: questions.ask(stream, kind, ALL_KINDS), stream)


def _question(request: Request) -> tuple[Scene, questions.Question, Outcome]:
    return _sampled(request.origin.seed, request.origin.index)


def _record(seed: int, index: int) -> Record:
    scene, _, _ = _sampled(seed, index)
    values = {"caption": scene_caption(scene, TASK, seed, index, "input"), **SOURCED}
    return Record(values=values, images={"image": picture(scene)})


def _asked(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.seed, request.origin.index)
    return {"question": reworded(_question(request)[1].text, wording, with_opening=True)}


def _facts(seed: int, index: int) -> dict[str, Any]:
    scene, question, _ = _sampled(seed, index)
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
        boxes = [joint_box([thing for thing in fresh if thing.place == place], scene.style) for place in places]
        if len(fresh) == len(scene.things) > 2:
            boxes = list(_THIRDS)
        steps.append({"text": step.text, "boxes": [box_fields(box) for box in boxes]})
    said = with_article(outcome.answer) if question.kind in ("shape", "inside", "chain") else outcome.answer
    return {"steps": steps, "answer": outcome.answer, "closing": f"The answer is {said}."}


SCRIPT = Script(
    answers={
        "o_question": _asked,
        "o_reason": _reasoned,
        "second_answer": lambda request: {"answer": _question(request)[2].answer},
    },
    record=_record,
    facts=_facts,
)
