import re
from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.procedural.judges import figure_matches
from toolkit.generation.procedural.script import Script, scene_stream, wording_of
from toolkit.scene import told
from toolkit.scene.heldout import drawn_without
from toolkit.scene.render import encode
from toolkit.scene.told.choices import Choices, choices_of
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


@lru_cache(64)
def _choices(draw: Draw) -> Choices:
    return choices_of(_sampled(draw), wording_of(TASK, draw).child("choices"))


def _drawing(request: Request) -> list[bytes]:
    drawings = [thought.drawing for thought in _problem(request).thoughts if thought.drawing]
    drawings += [choice.drawing for choice in _choices(request.origin.draw).by_answer.values()]
    found = {drawing.caption: drawing for drawing in drawings}
    return [encode(found[request.origin.values["caption"]].draw())]


def _blind(request: Request) -> dict[str, Any]:
    """Thoughts that lead up to a drawing, or talk of it, are not whole without it."""
    shown = re.search(
        r"\b(draw|drawn|look|looks|whole way|bars?|clues|hands|clock)\b", request.origin.values["solution"]
    )
    return {"needs_pictures": bool(shown)}


def _question(request: Request) -> dict[str, Any]:
    wording = wording_of(TASK, request.origin.draw)
    asks_for_options = request.origin.values.get("form") == "multiple choice"
    return {
        "question": reworded(_problem(request).question, wording),
        "options": list(_choices(request.origin.draw).by_answer) if asks_for_options else [],
        "needs_picture": True,
    }


def _chosen(request: Request) -> dict[str, Any]:
    options = dict(re.findall(r"^([A-E])\. (.*)$", request.origin.values["question"], re.MULTILINE))
    opening, choices = _choices(request.origin.draw)
    discussed = [
        {"picture": choices[answer].drawing.caption, "text": choices[answer].text} for answer in options.values()
    ]
    letter = next(letter for letter, answer in options.items() if answer == _problem(request).answer)
    return {"opening": opening, "options": discussed, "answer": letter}


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
        "t_choices": _chosen,
        "t_blind": _blind,
        "second_answer": lambda request: {"answer": _problem(request).answer},
        "draw_picture": _drawing,
        "picture_matches": figure_matches,
    },
)
