"""How well the scene engine's questions can be answered blind; `scene_truth` prints it with the rest."""

from collections import Counter
from collections.abc import Iterable
from math import log
from typing import NamedTuple

from toolkit.scene import told
from toolkit.scene.questions import ask
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.streams import Stream

ROOM = 0.05  # how far above chance a blind guess may get


class Line(NamedTuple):
    what: str
    found: str
    bound: str
    holds: bool


def blind(pairs: list[tuple[str, int]]) -> tuple[float, float]:
    """Accuracy of the most frequent answer, and of naive Bayes over the question's words (first half learns, second
    half is asked).
    """
    half = len(pairs) // 2
    learnt, asked = pairs[:half], pairs[half:]
    frequent = Counter(answer for _, answer in learnt).most_common(1)[0][0]
    words = {
        answer: Counter(w for text, a in learnt if a == answer for w in set(text.lower().split()))
        for answer in {a for _, a in learnt}
    }
    priors = Counter(a for _, a in learnt)

    def guess(text: str) -> int:
        return max(
            words,
            key=lambda a: (
                log(priors[a]) + sum(log((words[a][w] + 1) / (priors[a] + 2)) for w in set(text.lower().split()))
            ),
        )

    return sum(answer == frequent for _, answer in asked) / len(asked), sum(
        answer == guess(text) for text, answer in asked
    ) / len(asked)


def answer_lines(seed: int, count: int) -> Iterable[Line]:
    """Per kind of question: how often the majority answer and a text-only guesser are right."""
    for kind in ALL_KINDS:
        asked = [ask(Stream("ask", seed, index), kind, ALL_KINDS)[1] for index in range(count)]
        majority, bayes = blind([(question.text, question.target) for question in asked])
        chance = sum(1 / len(question.choices) for question in asked) / count
        yield Line(
            f"blind guess, {kind}",
            f"{majority:.3f} / {bayes:.3f}",
            f"<= {chance + ROOM:.3f}",
            max(majority, bayes) <= chance + ROOM,
        )
    for kind in told.PROBLEMS:
        problems = [told.sample_problem(Stream("told", seed, index), kind) for index in range(count)]
        # "the star" is one of four seats: what counts is the place of the answer in the question
        share = max(Counter(_answer_class(p.question, p.answer, kind) for p in problems).values()) / count
        yield Line(
            f"majority answer, told {kind}",
            f"{share:.3f}",
            f"<= {1 / problems[0].num_choices + ROOM:.3f}",
            share <= 1 / problems[0].num_choices + ROOM,
        )


def _answer_class(question: str, answer: str, kind: str) -> str:
    if kind != "row":
        return answer
    listing = question.split(":")[1].split(".")[0]
    return str(
        sorted(listing.index(f" {shape}") for shape in _shapes_in(listing)).index(
            listing.index(f" {answer.removeprefix('the ')}")
        )
    )


def _shapes_in(listing: str) -> list[str]:
    return [item.split()[-1] for item in listing.replace(" and ", ", ").split(", ")]
