"""Questions with an answer, also with choices, hints and solutions, about pictures or none.

Source: the cards of lmms-lab/VQAv2, HuggingFaceM4/A-OKVQA, derek-thomas/ScienceQA, MMMU/MMMU, lmms-lab/ai2d,
lmms-lab/textvqa, opencompass/MMBench, AI4Math/MathVista
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

from toolkit.errors import RowError, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Turn, Use, is_text, text_in
from toolkit.sources.dialects.fields import IMAGES, are_words, pool
from toolkit.sources.dialects.placing import PlaceOptions, filled, place
from toolkit.sources.dialects.tasks import QUESTION_ANSWERING
from toolkit.sources.dialects.turns import check_word
from toolkit.sources.published.shapes.pictures import parse_text

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
AnswerAs = Literal["text", "letter"]


@dataclass(frozen=True, kw_only=True)
class Options(PlaceOptions):
    """
    Attributes:
        answer: where there are choices, the answer is the "text" of one, or its "letter".
        first: number of the first choice, where the answer is a number.
    """

    answer: AnswerAs = "text"
    first: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_word("answer", self.answer, get_args(AnswerAs))
        check_word("first", self.first, (0, 1))


def fits(fields: Fields) -> bool:
    answer = fields.get("answer")
    return is_text(fields["question"]) and (are_words(answer) if isinstance(answer, str) else answer not in (None, []))


def read(fields: Fields, options: Options) -> Draft:
    choices = _choices(fields)
    lines = [f"{LETTERS[number]}. {choice}" for number, choice in enumerate(choices)]
    question = "\n".join([text_in(fields, "question"), *lines])
    blocks = [text_in(fields, "context", default=""), question]
    answer, others = _answer(fields.get("answer"), choices, options)
    rationale = "\n\n".join(filter(None, (_first(fields, "lecture"), _first(fields, "rationale"))))
    turns = [
        Turn("user", filled(["\n\n".join(filter(None, blocks))])),
        Turn("assistant", filled([rationale, answer])),
    ]
    placed = place(turns, pool(fields), options.placeholder)
    return Draft(placed, rationale, answer if rationale else None, {"answers": others} if others else {})


def _first(fields: Fields, use: str) -> str:
    value = fields.get(use)
    return text_in({use: value[0] if isinstance(value, list) and value else value}, use, default="")


def _choices(fields: Fields) -> list[str]:
    value = parse_text(fields.get("choices"))
    if isinstance(value, dict):  # {"label": [...], "text": [...]}, or label -> text
        value = value["text"] if isinstance(value.get("text"), list) else list(value.values())
    if value is None:
        value = [each for each in (fields.get("choice_columns") or {}).values() if is_text(each)]
    if not isinstance(value, list) or len(value) > len(LETTERS):
        raise RowError(f"choices are {shown(value)}; expected a list", kind="bad_choice")
    if any(not isinstance(each, (str, int, float)) for each in value):
        raise RowError(f"choices are {shown(value)}; expected texts", kind="bad_choice")
    return [str(each) for each in value]


def _answer(value: Any, choices: list[str], options: Options) -> tuple[str, list[str]]:
    """The answer, and all answers where people gave several."""
    value = parse_text(value)
    if isinstance(value, list):
        texts = [str(each.get("answer")) if isinstance(each, dict) else str(each) for each in value if each is not None]
        if not texts:
            raise RowError("there is no answer", kind="null_text")
        most = Counter(texts).most_common(1)[0][0]
        answer, _ = _answer(most, choices, options)
        return answer, texts if len(texts) > 1 else []
    if not choices:
        return text_in({"answer": value}, "answer"), []
    number = _chosen(value, choices, options.first)
    return (LETTERS[number] if options.answer == "letter" else choices[number]), []


def _chosen(value: Any, choices: list[str], first: int) -> int:
    """A number of a choice, its text, or its letter."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value - first
    elif (text := str(value).strip()) in choices:
        number = choices.index(text)
    elif len(letter := text.strip("().: ").upper()) == 1 and letter in LETTERS:
        number = LETTERS.index(letter)
    else:
        number = int(text) - first if text.isdecimal() else -1
    if not 0 <= number < len(choices):
        raise RowError(
            f"the answer is {shown(value)} and the choices are {shown(choices)}; expected one", kind="bad_choice"
        )
    return number


DIALECT = Dialect(
    name="vqa",
    reads="VQAv2, A-OKVQA, ScienceQA, MMMU, AI2D, TextVQA, MMBench, MathVista; of several answers the most frequent",
    sign="a question and an answer",
    task=QUESTION_ANSWERING,
    uses={
        "question": Use(("question", "query", "problem")),
        "answer": Use(
            (
                "multiple_choice_answer",
                "answer",
                "correct_(choice_idx|answer|option)",
                "answers",
                "answer_?(idx|index|key|letter)",
                "direct_answers",
                "label|gt_answer|solution",
                "chosen",
            )
        ),
        "choices": Use(("choices", "options", "candidates"), needed=False),
        "choice_columns": Use(("[A-J]", "(option|choice)_?[a-j]"), needed=False, many=True),
        "context": Use(("context", "passage", "hint"), needed=False),
        "lecture": Use(("lecture",), needed=False),
        "rationale": Use(("rationales?", "solution", "explanation", "reasoning", "cot"), needed=False),
        "images": IMAGES,
    },
    fits=fits,
    read=read,
    options=Options,
)
