from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.procedural.script import Script, scene_stream, wording_of
from toolkit.scene import told
from toolkit.scene.heldout import drawn_without
from toolkit.scene.render import encode
from toolkit.scene.told.figure import Problem
from toolkit.scene.wording import reworded

TASK = "mm_reasoning_t"


@lru_cache(64)
def _sampled(draw: Draw) -> Problem:
    kind = tuple(told.PROBLEMS)[draw.index % len(told.PROBLEMS)]
    return drawn_without(lambda stream: told.sample_problem(stream, kind, draw.level), scene_stream(TASK, draw))


def _problem(request: Request) -> Problem:
    return _sampled(request.origin.draw)


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
    wording = wording_of(TASK, request.origin.draw)
    return {"question": reworded(_problem(request).question, wording), "needs_picture": True}


def _topic(draw: Draw) -> dict[str, str]:
    return {"topic": f"a problem of the kind {_sampled(draw).kind!r}", "scene": "told in words"}


def _facts(draw: Draw) -> dict[str, Any]:
    problem = _sampled(draw)
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
