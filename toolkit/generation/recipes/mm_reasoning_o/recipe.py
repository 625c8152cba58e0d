"""Picture -> question -> thoughts that look back at parts of the picture; a second, independent answer must agree.

Records: `image`, and `question` where there is one already.
"""

from pathlib import Path

from toolkit.generation.core.records import Picture, RecordModel
from toolkit.generation.recipes.checks import agree, crop, good_box
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject
from toolkit.schema import Region


class QuestionedPicture(RecordModel):
    """
    Attributes:
        question: where there is one already.
    """

    image: Picture
    question: str | None = None
    caption: str | None = None


async def make(context: Context) -> Made:
    record = context.record
    picture = await context.keep(record.image("image"))
    question = record.text("question") or (await context.ask("o_question@1", picture))["question"]
    thought = await context.ask("o_reason@1", picture, question=question)
    second = await context.ask("second_answer@1", picture, question=question)
    agree("second_answer", thought["answer"], second["answer"])
    content = context.bytes_of(picture)
    parts: list[str | Shown] = []
    regions = []
    for step in thought["steps"]:
        parts.append(step["text"])
        for box in (good_box("o_reason", box, content) for box in step["boxes"]):
            if box not in regions:  # each part of the picture is shown once
                regions.append(box)
                parts.append(
                    Shown(
                        blob=await context.keep(crop(content, box)),
                        role="intermediate",
                        caption="Detail of the picture",
                    )
                )
    if not regions:
        reject("o_reason", "never_looks_back")
    return Made(
        turns=(
            Turn(
                user=(Shown(blob=picture, role="input", caption=record.text("caption")), question),
                assistant=(*parts, thought["closing"]),
            ),
        ),
        instruction=question,
        rationale=" ".join(step["text"] for step in thought["steps"]),
        answer=thought["answer"],
        regions=tuple(Region(0, box, "looked at") for box in regions),
        source=record.text("source"),
        license=record.text("license"),
    )


RECIPE = Recipe(
    name="mm_reasoning_o",
    task="mm_reasoning_o",
    version=2,
    folder=Path(__file__).parent,
    prompts=("o_question@1", "o_reason@1", "second_answer@1"),
    make=make,
    script="toolkit.generation.recipes.mm_reasoning_o.script:SCRIPT",
    record=QuestionedPicture,
)
