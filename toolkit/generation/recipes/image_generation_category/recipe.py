"""A real picture and what it shows -> implicit request, from which a judge must name it -> rationale that names it ->
the picture itself as the answer.

Records: `image`, `label`; `source` and `license` go into the row.
"""

from pathlib import Path

from toolkit.generation.core.records import Picture, RecordModel, Words
from toolkit.generation.recipes.checks import names_none_of, names_one_of
from toolkit.generation.recipes.hints import HINT_PROMPTS, can_be_guessed
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn


class LabelledPicture(RecordModel):
    image: Picture
    label: Words


async def make(context: Context) -> Made:
    record, label = context.record, context.record.text("label")
    picture = await context.keep(record.image("image"))
    brief = await context.ask("category_brief@1", picture, label=label)
    names_none_of("category_brief", "label_leaks", brief["instruction"], [label])
    await can_be_guessed(context, brief["instruction"], [label], 1.0)
    thought = await context.ask("picture_rationale@1", instruction=brief["instruction"], caption=brief["caption"])
    names_one_of("picture_rationale", "label_missing", thought["rationale"], [label])
    return Made(
        turns=(
            Turn(
                user=(brief["instruction"],),
                assistant=(
                    thought["rationale"],
                    Shown(blob=picture, role="output", caption=brief["caption"]),
                    thought["answer"],
                ),
            ),
        ),
        rationale=thought["rationale"],
        answer=thought["answer"],
        source=record.text("source"),
        license=record.text("license"),
        facts={"route": "category", "label": label},
    )


RECIPE = Recipe(
    name="image_generation_category",
    task="image_generation",
    version=2,
    folder=Path(__file__).parent,
    prompts=("category_brief@1", *HINT_PROMPTS, "picture_rationale@1"),
    make=make,
    script="toolkit.generation.recipes.image_generation_category.script:SCRIPT",
    record=LabelledPicture,
)
