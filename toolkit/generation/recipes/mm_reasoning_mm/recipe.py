"""Picture -> question -> thoughts with slots for further pictures, each a keyword -> pictures found by the keyword, of
which one that shows it in the style of the first is put there; a second, independent answer must agree.

Records: `image`, and `question` where there is one already. Pictures are found by the backend of role `retrieve`, and
picked by that of `judge.pick_picture`; `clip` does both by text fit and by style.
"""

from pathlib import Path

from pydantic import Field, model_validator

from toolkit.generation.core.blobs import Blob
from toolkit.generation.core.options import Options
from toolkit.generation.core.records import QuestionedPicture
from toolkit.generation.recipes.checks import agree, same_pixels
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Rejected, Shown, Turn, reject

MAX_PICTURES = 6


class MMOptions(Options):
    """
    Attributes:
        min_pictures: found for a rationale, or the sample is rejected.
        max_pictures: that are looked for; later slots stay empty.
    """

    min_pictures: int = Field(1, ge=1, le=MAX_PICTURES)
    max_pictures: int = Field(4, ge=1, le=MAX_PICTURES)

    @model_validator(mode="after")
    def _ascends(self) -> "MMOptions":
        if self.min_pictures > self.max_pictures:
            raise ValueError(f"min_pictures is {self.min_pictures}; expected at most {self.max_pictures}, max_pictures")
        return self


async def make(context: Context) -> Made:
    record = context.record
    options: MMOptions = context.options
    mine = await context.keep(record.image("image"))
    question = record.text("question") or (await context.ask("mm_question@1", mine))["question"]
    thought = await context.ask("mm_reason@2", mine, question=question)
    second = await context.ask("second_answer@1", mine, question=question)
    agree("second_answer", thought["answer"], second["answer"])
    parts: list[str | Shown] = []
    shown, empty, slots = [mine], list[Rejected](), list[str]()
    for step in thought["steps"]:
        parts.append(step["text"])
        if not (keyword := step["keyword"].strip()) or len(slots) == options.max_pictures:
            continue
        slots.append(keyword)
        try:
            found = await _illustration(context, shown, keyword)
        except Rejected as error:
            empty.append(error)
            continue
        shown.append(found)
        parts.append(Shown(blob=found, role="intermediate", caption=keyword))
    if not slots:
        reject("mm_reason", "no_keyword")
    if len(shown) - 1 < options.min_pictures:
        raise empty[0] if empty else Rejected("mm_reason", "few_keywords", str(slots))
    return Made(
        turns=(
            Turn(
                user=(Shown(blob=mine, role="input", caption=record.text("caption")), question),
                assistant=(*parts, thought["closing"]),
            ),
        ),
        instruction=question,
        rationale=" ".join(step["text"] for step in thought["steps"]),
        answer=thought["answer"],
        source=record.text("source"),
        license=record.text("license"),
        facts={"keywords": slots, "empty": [f"{each.step}: {each.reason}" for each in empty]},
    )


async def _illustration(context: Context, shown: list[Blob], keyword: str) -> Blob:
    """A picture for a slot, in the style of the first that is shown.

    Raises:
        Rejected: none is found, or none fits.
    """
    mine, before = shown[0], [context.bytes_of(blob) for blob in shown]
    found = await context.retrieve("find_pictures@1", mine, keyword=keyword)
    candidates = [
        blob for blob in dict.fromkeys(found) if not any(same_pixels(context.bytes_of(blob), other) for other in before)
    ]
    if not candidates:
        reject("find_pictures", "nothing_found", keyword)
    picked = await context.ask("pick_picture@1", mine, *candidates, keyword=keyword, count=len(candidates))
    if not 1 <= picked["choice"] <= len(candidates):
        reject("pick_picture", "none_fits", f"choice {picked['choice']} of {len(candidates)} for {keyword!r}")
    return candidates[int(picked["choice"]) - 1]


RECIPE = Recipe(
    name="mm_reasoning_mm",
    task="mm_reasoning_mm",
    version=3,
    folder=Path(__file__).parent,
    prompts=("mm_question@1", "mm_reason@2", "second_answer@1", "find_pictures@1", "pick_picture@1"),
    make=make,
    calls={"find_pictures@1": MAX_PICTURES, "pick_picture@1": MAX_PICTURES},
    script="toolkit.generation.recipes.mm_reasoning_mm.script:SCRIPT",
    record=QuestionedPicture,
    options=MMOptions,
)
