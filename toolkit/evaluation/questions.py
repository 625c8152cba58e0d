"""Parts that are answered in words: questions about a picture, and problems told in words, with drawings or without."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

from toolkit.errors import shown
from toolkit.evaluation.checks import Check, Verdict, check, worst
from toolkit.evaluation.items import VERSION, Item, Pixels, Reply
from toolkit.evaluation.matching import choice_of, final_answer
from toolkit.evaluation.wanted import no_picture
from toolkit.scene.graph import PLACES
from toolkit.scene.language import PLACE_PHRASES
from toolkit.scene.questions import KINDS, ask
from toolkit.scene.render import render
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.told import PROBLEMS, sample_problem
from toolkit.scene.told.chart import DAYS
from toolkit.scene.told.clock import at
from toolkit.scene.told.figure import Problem
from toolkit.scene.verify.figures import read_board, read_chart, read_clock, read_row

_SQUARES = tuple(f"{column}{row}" for column in "ABCDE" for row in range(1, 6))
_TIMES = tuple(at(minutes) for minutes in range(720))


def _question(id: str, number: int) -> Item:
    kind = tuple(KINDS)[number % len(KINDS)]
    scene, question, outcome = ask(Stream("benchmark", VERSION, "question", number), kind)
    choices = PLACES if kind == "place" else question.choices
    return Item(
        id=id,
        part="question",
        kind=kind,
        task="llava_cot",
        prompt=(render(scene), question.text),
        answer=(f"The answer is {outcome.answer}.",),
        check=partial(_check_choice, choices, question.target),
        chance=1 / len(question.choices),
    )


def _check_choice(choices: Sequence[str], target: int, reply: Reply) -> list[Check]:
    said = reply.text
    if choices is PLACES:
        for place, phrases in PLACE_PHRASES.items():
            said = said.replace(phrases[1], place)
    chosen = choice_of(said, choices)
    verdict = Verdict.RIGHT if chosen == target else Verdict.WRONG
    return [check("answer", verdict, f"says {shown(final_answer(reply.text))} instead of {choices[target]!r}")]


def _problem(part: str, id: str, number: int) -> Problem:
    kind = tuple(PROBLEMS)[number % len(PROBLEMS)]
    return sample_problem(Stream("benchmark", VERSION, part, number), kind)


def _told(id: str, number: int) -> Item:
    problem = _problem("told", id, number)
    choices = _choices(problem)
    return Item(
        id=id,
        part="told",
        kind=problem.kind,
        task="cot_collection",
        prompt=(f"{problem.question} Answer in words.",),
        answer=(" ".join([*(each.text for each in problem.thoughts), f"The answer is {problem.answer}."]),),
        check=partial(_check_choice, choices, choices.index(problem.answer)),
        chance=1 / problem.num_choices,
    )


def _drawn(id: str, number: int) -> Item:
    problem = _problem("drawn", id, number)
    answer: list[str | Pixels] = []
    for thought in problem.thoughts:
        answer += [thought.text, *([thought.drawing.draw()] if thought.drawing else [])]
    return Item(
        id=id,
        part="drawn",
        kind=problem.kind,
        task="mm_reasoning_t",
        prompt=(f"{problem.question} Draw what you know after each step.",),
        answer=(*answer, f"The answer is {problem.answer}."),
        check=partial(_check_drawn, problem),
    )


def _check_drawn(problem: Problem, reply: Reply) -> list[Check]:
    choices = _choices(problem)
    answered = _check_choice(choices, choices.index(problem.answer), reply)
    if not reply.pictures:
        return [no_picture(), *answered]
    steps = [_STEPS[problem.kind](problem, pixels) for pixels in reply.pictures]
    wrong = [f"picture {number}: {why}" for number, (verdict, why, _) in enumerate(steps, 1) if why]
    is_complete = steps[-1][2] and steps[-1][0] is Verdict.RIGHT
    return [
        check("steps", worst(verdict for verdict, _, _ in steps), "; ".join(wrong)),
        check("drawing", Verdict.RIGHT if is_complete else Verdict.WRONG, "the last picture does not show the answer"),
        *answered,
    ]


def _choices(problem: Problem) -> tuple[str, ...]:
    if problem.kind == "row":
        return tuple(f"the {shape}" for shape in SHAPES)
    return {"chart": DAYS, "path": _SQUARES, "clock": _TIMES}[problem.kind]


Step = tuple[Verdict, str, bool]  # whether a drawing is true, what is wrong with it, whether it shows the end


def _row(problem: Problem, pixels: Pixels) -> Step:
    order: list[str] = problem.facts["order"]  # type: ignore[assignment]
    read = read_row(pixels)
    is_true = all(shape in ("", wanted) for shape, wanted in zip(read, order, strict=True))
    verdict, why = _verdict(is_true, f"{read} in the frames, where {order} belong")
    return verdict, why, read == order


def _chart(problem: Problem, pixels: Pixels) -> Step:
    read, amounts = read_chart(pixels), problem.facts["amounts"]
    if read is None:
        return Verdict.UNSURE, "no bars that can be measured", False
    winner = DAYS.index(problem.answer)
    is_true = read[0] == amounts and read[1] in (-1, winner)
    verdict, why = _verdict(is_true, f"bars of {read[0]}, number {read[1]} marked; expected {amounts}")
    return verdict, why, read == (amounts, winner)


def _clock(problem: Problem, pixels: Pixels) -> Step:
    read, minutes = read_clock(pixels), problem.facts["minutes"]
    if read is None:
        return Verdict.UNSURE, "no hands that go together", False
    verdict, why = _verdict(read in minutes, f"a clock at {at(read)}")  # type: ignore[operator]
    return verdict, why, read == minutes[-1]  # type: ignore[index]


def _path(problem: Problem, pixels: Pixels) -> Step:
    read = read_board(pixels)
    stops: list[str] = problem.facts["stops"]  # type: ignore[assignment]
    if read is None:
        return Verdict.UNSURE, "no board with one mark", False
    way = _squares_between(stops)
    is_true = read[0] == stops[0] and read[1] <= way
    verdict, why = _verdict(is_true, f"a way from {read[0]} over {sorted(read[1])}")
    return verdict, why, read[1] | {stops[0]} == way


def _squares_between(stops: Sequence[str]) -> set[str]:
    """Every square that the way covers."""
    way = {stops[0]}
    for one, other in pairwise(stops):
        columns = sorted(("ABCDE".index(one[0]), "ABCDE".index(other[0])))
        rows = sorted((int(one[1]), int(other[1])))
        way |= {
            f"{'ABCDE'[column]}{row}"
            for column in range(columns[0], columns[1] + 1)
            for row in range(rows[0], rows[1] + 1)
        }
    return way


def _verdict(is_true: bool, why: str) -> tuple[Verdict, str]:
    return (Verdict.RIGHT, "") if is_true else (Verdict.WRONG, why)


_STEPS: dict[str, Callable[[Problem, Pixels], Step]] = {"row": _row, "chart": _chart, "clock": _clock, "path": _path}
PARTS: dict[str, Callable[[str, int], Item]] = {"question": _question, "drawn": _drawn, "told": _told}
