import re
from functools import lru_cache
from typing import Any

from toolkit.generation.core.protocol import Draw, Request
from toolkit.generation.procedural.judges import figure_matches
from toolkit.generation.procedural.script import Script, scene_stream, wording_of
from toolkit.scene import told
from toolkit.scene.heldout import drawn_without
from toolkit.scene.render import encode
from toolkit.scene.told.chart import DAYS, chart_drawing
from toolkit.scene.told.figure import Drawing, Problem
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
    problem = _problem(request)
    drawings = [thought.drawing for thought in problem.thoughts if thought.drawing]
    drawings += _bars(problem).values() if problem.kind == "chart" else ()
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
        "options": list(DAYS) if asks_for_options and _problem(request).kind == "chart" else [],
        "needs_picture": True,
    }


def _chosen(request: Request) -> dict[str, Any]:
    """A bar chart for each day, in which its bar stands out."""
    problem = _problem(request)
    options = dict(re.findall(r"^([A-E])\. (.*)$", request.origin.values["question"], re.MULTILINE))
    bars, best = _bars(problem), DAYS.index(problem.answer)
    discussed = []
    for day in options.values():
        amount, gap = _amounts(problem)[DAYS.index(day)], _amounts(problem)[best] - _amounts(problem)[DAYS.index(day)]
        than = f"{abs(gap)} {'fewer' if gap > 0 else 'more'} than on {problem.answer}"
        said = "and no other bar comes up to it" if gap == 0 else f"{than}, so this is not the day"
        discussed.append({"picture": bars[day].caption, "text": f"its bar stands for {amount}, {said}."})
    letter = next(letter for letter, day in options.items() if day == problem.answer)
    return {"opening": "I draw the five days as bars and look at each of them.", "options": discussed, "answer": letter}


def _amounts(problem: Problem) -> tuple[int, ...]:
    amounts = problem.facts["amounts"]
    assert isinstance(amounts, list)
    return tuple(amounts)


def _bars(problem: Problem) -> dict[str, Drawing]:
    """Day -> the bar chart in which it stands out."""
    return {
        day: chart_drawing(_amounts(problem), number, str(problem.facts["style"])) for number, day in enumerate(DAYS)
    }


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
