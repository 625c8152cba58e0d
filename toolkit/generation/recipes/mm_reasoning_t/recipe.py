"""A problem told in words -> thoughts that draw -> the drawings, each judged; a second, independent answer must agree,
and the drawings must be needed.

Some problems are multiple choice: then the answer goes through the options, each with a drawing and the paragraph that
discusses it, and ends with the line "Correct Answer: B. ...".
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from toolkit.generation.core.options import Options
from toolkit.generation.recipes.checks import agree, words
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject

MAX_PICTURES = 6
LETTERS = "ABCDE"


class TOptions(Options):
    """
    Attributes:
        multiple_choice: share of the problems that are asked for with options.
        max_pictures: of a solution.
    """

    multiple_choice: float = Field(0.5, ge=0, le=1)
    max_pictures: int = Field(MAX_PICTURES, ge=1, le=MAX_PICTURES)


@dataclass(frozen=True, kw_only=True)
class _Solved:
    """A solution before it is drawn.

    Attributes:
        parts: texts and captions of drawings in reading order; (caption,) is a drawing.
        answer: as short as possible; answers: all ways to say it.
        closing: the last line.
    """

    parts: tuple[str | tuple[str], ...]
    answer: str
    answers: tuple[str, ...]
    closing: str

    @property
    def texts(self) -> list[str]:
        return [part for part in self.parts if isinstance(part, str)]

    @property
    def drawings(self) -> list[str]:
        return [part[0] for part in self.parts if not isinstance(part, str)]


async def make(context: Context) -> Made:
    options: TOptions = context.options
    form = "multiple choice" if context.stream("form").chance(options.multiple_choice) else "open"
    asked = await context.ask("t_question@2", form=form, **context.topic())
    if not asked["needs_picture"]:
        reject("t_question", "needs_no_picture", asked["question"])
    choices = context.stream("options").shuffled(asked["options"])
    lettered = [f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False)]
    question = "\n".join([asked["question"], *lettered])
    solved = await (_by_options(context, question, choices) if choices else _by_steps(context, question))
    if not 1 <= (count := len(solved.drawings)) <= options.max_pictures:
        reason = "draws_too_much" if count else "draws_nothing"
        reject("t_reason", reason, f"{count} pictures; expected 1 to {options.max_pictures}")
    second = await context.ask("second_answer@1", question=question)
    agree("second_answer", second["answer"], *solved.answers)
    blind = await context.ask("t_blind@1", question=question, solution="\n".join([*solved.texts, solved.closing]))
    if not blind["needs_pictures"]:
        reject("t_blind", "needs_no_pictures", question)
    drawn = [part if isinstance(part, str) else await _drawing(context, part[0]) for part in solved.parts]
    return Made(
        turns=(Turn(user=(question,), assistant=(*drawn, solved.closing)),),
        instruction=question,
        rationale=" ".join(solved.texts),
        answer=solved.answer,
        facts={"form": "multiple choice" if choices else "open"},
    )


async def _by_steps(context: Context, question: str) -> _Solved:
    thought = await context.ask("t_reason@1", question=question)
    parts: list[str | tuple[str]] = []
    for step in thought["steps"]:
        parts += [step["text"], *([(step["picture"],)] if step["picture"].strip() else [])]
    return _Solved(
        parts=tuple(parts), answer=thought["answer"], answers=(thought["answer"],), closing=thought["closing"]
    )


async def _by_options(context: Context, question: str, choices: list[str]) -> _Solved:
    if len(choices) < 2 or len({tuple(words(each)) for each in choices}) < len(choices):
        reject("t_question", "no_real_choice", choices)
    thought = await context.ask("t_choices@1", question=question)
    place = LETTERS.index(thought["answer"])
    if len(thought["options"]) != len(choices) or place >= len(choices):
        said = f"{len(thought['options'])} options, answer {thought['answer']}; asked {len(choices)}"
        reject("t_choices", "other_options", said)
    parts: list[str | tuple[str]] = [thought["opening"]]
    for choice, each in zip(choices, thought["options"], strict=True):
        parts += [(each["picture"],), f"{choice}: {each['text']}"]
    answer = f"{thought['answer']}. {choices[place]}"
    return _Solved(
        parts=tuple(parts), answer=answer, answers=(answer, choices[place]), closing=f"Correct Answer: {answer}"
    )


async def _drawing(context: Context, caption: str) -> Shown:
    blob = await context.draw("draw_picture@1", caption=caption)
    verdict = await context.ask("picture_matches@1", blob, caption=caption)
    if not verdict["matches"]:
        reject("picture_matches", "picture_differs", verdict["problem"])
    return Shown(blob=blob, role="intermediate", caption=caption)


RECIPE = Recipe(
    name="mm_reasoning_t",
    task="mm_reasoning_t",
    version=3,
    folder=Path(__file__).parent,
    prompts=(
        *("t_question@2", "t_reason@1", "t_choices@1", "second_answer@1", "t_blind@1"),
        *("draw_picture@1", "picture_matches@1"),
    ),
    make=make,
    calls={"draw_picture@1": MAX_PICTURES, "picture_matches@1": MAX_PICTURES},
    topics=True,
    script="toolkit.generation.recipes.mm_reasoning_t.script:SCRIPT",
    options=TOptions,
)
