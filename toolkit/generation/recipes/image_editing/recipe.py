"""Picture and simple order -> nuanced request -> changed picture -> rationale; order and request must differ, and
nothing else may change.

Records: `image`, `edit`, and `target_image` where the changed picture exists already.
"""

from pathlib import Path

from toolkit.generation.core.records import Picture, RecordModel, Words
from toolkit.generation.recipes.checks import names_none_of, same_pixels
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject


class EditRecord(RecordModel):
    """
    Attributes:
        edit: the simple order.
        target_image: the changed picture, where there is one already.
        caption, target_caption: of the two pictures.
    """

    image: Picture
    edit: Words
    target_image: Picture | None = None
    caption: str | None = None
    target_caption: str | None = None


async def make(context: Context) -> Made:
    record, edit = context.record, context.record.text("edit")
    before = await context.keep(record.image("image"))
    asked = await context.ask("edit_instruction@1", before, edit=edit)
    names_none_of("edit_instruction", "repeats_the_order", asked["instruction"], [edit])
    after = (
        await context.keep(record.image("target_image"))
        if "target_image" in record.images
        else await context.draw("draw_edit@1", before, edit=edit)
    )
    if same_pixels(context.bytes_of(before), context.bytes_of(after)):
        reject("draw_edit", "nothing_changed")
    verdict = await context.ask("edit_judge@1", before, after, edit=edit)
    if not verdict["is_done"]:
        reject("edit_judge", "not_done", verdict["problem"])
    if not verdict["rest_is_unchanged"]:
        reject("edit_judge", "rest_changed", verdict["problem"])
    thought = await context.ask("edit_rationale@1", before, after, edit=edit, instruction=asked["instruction"])
    return Made(
        turns=(
            Turn(
                user=(Shown(blob=before, role="input", caption=record.text("caption")), asked["instruction"]),
                assistant=(
                    thought["rationale"],
                    thought["answer"],
                    Shown(blob=after, role="output", caption=record.text("target_caption")),
                ),
            ),
        ),
        instruction=asked["instruction"],
        rationale=thought["rationale"],
        answer=thought["answer"],
        source=record.text("source"),
        license=record.text("license"),
        facts={"simple": edit},
    )


RECIPE = Recipe(
    name="image_editing",
    task="image_editing",
    version=1,
    folder=Path(__file__).parent,
    prompts=("edit_instruction@1", "draw_edit@1", "edit_judge@1", "edit_rationale@1"),
    make=make,
    script="toolkit.generation.recipes.image_editing.script:SCRIPT",
    record=EditRecord,
)
