from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Request
from toolkit.generation.procedural.script import Script, scene_stream, wording_of
from toolkit.scene import told
from toolkit.scene.heldout import drawn_without
from toolkit.scene.render import encode
from toolkit.scene.told.figure import Problem
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_t"


@lru_cache(64)
def _sampled(seed: int, index: int) -> Problem:
    kind = tuple(told.PROBLEMS)[index % len(told.PROBLEMS)]
    return drawn_without(lambda stream: told.sample_problem(stream, kind), scene_stream(TASK, seed, index))


def _problem(request: Request) -> Problem:
    return _sampled(request.origin.seed, request.origin.index)


def _solved(request: Request) -> dict[str, Any]:
    problem = _problem(request)
    steps = [
        {"text": thought.text, "picture": thought.drawing.caption if thought.drawing else ""}
        for thought in problem.thoughts
    ]
    return {"steps": steps, "answer": problem.answer, "closing": f"The answer is {problem.answer}."}


def _drawing(request: Request) -> list[bytes]:
    drawings = [thought.drawing for thought in _problem(request).thoughts if thought.drawing]
    return [encode(drawings[request.origin.ordinal].draw())]


def _question(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.seed, request.origin.index)
    return {"question": reworded(_problem(request).question, wording), "needs_picture": True}


def _topic(seed: int, index: int) -> dict[str, str]:
    return {"topic": f"a problem of the kind {_sampled(seed, index).kind!r}", "scene": "told in words"}


def _facts(seed: int, index: int) -> dict[str, Any]:
    problem = _sampled(seed, index)
    return {"problem": problem.kind, "answers": problem.num_choices, **problem.facts}


SCRIPT = Script(
    topic=_topic,
    facts=_facts,
    answers={
        "t_question": _question,
        "t_reason": _solved,
        "second_answer": lambda request: {"answer": _problem(request).answer},
        "draw_picture": _drawing,
    },
)
