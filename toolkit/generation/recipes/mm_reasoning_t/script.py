from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Request
from toolkit.generation.procedural.script import Script, scene_stream
from toolkit.scene import told
from toolkit.scene.render import encode
from toolkit.scene.told.figure import Problem

TASK = "mm_reasoning_t"


@lru_cache(64)
def _sampled(seed: int, index: int) -> Problem:
    return told.sample_problem(scene_stream(TASK, seed, index), tuple(told.PROBLEMS)[index % len(told.PROBLEMS)])


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


SCRIPT = Script(
    answers={
        "t_question": lambda request: {"question": _problem(request).question, "needs_picture": True},
        "t_reason": _solved,
        "second_answer": lambda request: {"answer": _problem(request).answer},
        "draw_picture": _drawing,
    }
)
