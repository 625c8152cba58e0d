"""Picture -> question -> thoughts that look back at the picture, at parts of it or all of it; a second, independent
answer must agree, and nobody may know it without the picture.

Records: `image`, and `question` where there is one already.
"""

from pathlib import Path

from toolkit.generation.core.records import QuestionedPicture
from toolkit.generation.recipes.answers import same_answer
from toolkit.generation.recipes.checks import WHOLE, CropOptions, agree, crop, good_box
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject
from toolkit.schema import Region


async def make(context: Context) -> Made:
    record = context.record
    options: CropOptions = context.options
    picture = await context.keep(record.image("image"))
    question = record.text("question") or (await context.ask("o_question@1", picture))["question"]
    thought = await context.ask("o_reason@2", picture, question=question)
    second = await context.ask("second_answer@1", picture, question=question)
    agree("second_answer", thought["answer"], second["answer"])
    blind = await context.ask("blind_answer@1", question=question)
    if blind["can_tell"] and same_answer(blind["answer"], thought["answer"]):
        reject("blind_answer", "needs_no_picture", f"{question!r}: {blind['answer']!r}")
    content = context.bytes_of(picture)
    parts: list[str | Shown] = []
    regions = []
    for step in thought["steps"]:
        parts.append(step["text"])
        for box in (good_box("o_reason", box, content, options.min_box_px) for box in step["boxes"]):
            if box not in regions:  # each part of the picture is shown once
                regions.append(box)
                detail = picture if box == WHOLE else await context.keep(crop(content, box))
                caption = "The picture again" if box == WHOLE else "Detail of the picture"
                parts.append(Shown(blob=detail, role="intermediate", caption=caption))
    if not regions:
        reject("o_reason", "never_looks_back", question)
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
    version=3,
    folder=Path(__file__).parent,
    prompts=("o_question@1", "o_reason@2", "second_answer@1", "blind_answer@1"),
    make=make,
    script="toolkit.generation.recipes.mm_reasoning_o.script:SCRIPT",
    record=QuestionedPicture,
    options=CropOptions,
)
