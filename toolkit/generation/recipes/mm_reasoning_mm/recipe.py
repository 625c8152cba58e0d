"""Picture -> keyword and question -> pictures found by the keyword -> the one in the same style -> thoughts over both.

Records: `image`. Pictures are found by the backend of role `retrieve`.
"""

from pathlib import Path

from toolkit.generation.core.records import Picture, RecordModel
from toolkit.generation.recipes.checks import agree, same_pixels
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject


class CaptionedPicture(RecordModel):
    image: Picture
    caption: str | None = None


async def make(context: Context) -> Made:
    record = context.record
    mine = await context.keep(record.image("image"))
    asked = await context.ask("mm_keyword@1", mine)
    found = await context.retrieve("find_pictures@1", mine, keyword=asked["keyword"])
    candidates = [
        blob for blob in dict.fromkeys(found) if not same_pixels(context.bytes_of(blob), context.bytes_of(mine))
    ]
    if not candidates:
        reject("find_pictures", "nothing_found", asked["keyword"])
    choice = (await context.ask("pick_picture@1", mine, *candidates, keyword=asked["keyword"], count=len(candidates)))[
        "choice"
    ]
    if not 1 <= choice <= len(candidates):
        reject("pick_picture", "none_fits", f"choice {choice} of {len(candidates)} for {asked['keyword']!r}")
    other = candidates[choice - 1]
    thought = await context.ask("mm_reason@1", mine, other, question=asked["question"])
    second = await context.ask("second_answer@1", mine, other, question=asked["question"])
    agree("second_answer", thought["answer"], second["answer"])
    return Made(
        turns=(
            Turn(
                user=(Shown(blob=mine, role="input", caption=record.text("caption")), asked["question"]),
                assistant=(
                    thought["look"],
                    Shown(blob=other, role="intermediate"),
                    thought["compare"],
                    thought["closing"],
                ),
            ),
        ),
        instruction=asked["question"],
        rationale=f"{thought['look']} {thought['compare']}",
        answer=thought["answer"],
        source=record.text("source"),
        license=record.text("license"),
        facts={"keyword": asked["keyword"], "candidates": len(candidates)},
    )


RECIPE = Recipe(
    name="mm_reasoning_mm",
    task="mm_reasoning_mm",
    version=2,
    folder=Path(__file__).parent,
    prompts=("mm_keyword@1", "find_pictures@1", "pick_picture@1", "mm_reason@1", "second_answer@1"),
    make=make,
    script="toolkit.generation.recipes.mm_reasoning_mm.script:SCRIPT",
    record=CaptionedPicture,
)
