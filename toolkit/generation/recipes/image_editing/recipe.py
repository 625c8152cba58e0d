"""Picture and simple order -> nuanced request -> changed picture -> rationale; order and request must differ, and
nothing else may change.

Records: `image`, `edit`, and `target_image` where the changed picture exists already; none in a spec without a source:
then a model thinks of a picture and an order for a topic, and the picture is drawn, as in InstructPix2Pix (arXiv
2211.09800, section 3.1).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.generation.core.blobs import Blob
from toolkit.generation.core.records import Picture, RecordModel, Words
from toolkit.generation.recipes.checks import names_none_of, same_pixels, words
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject

STARTING = ("edit_proposal@1", "draw_picture@1", "picture_matches@1")
KINDS = (  # of edits that leave the rest of a picture alone
    *("add something", "remove something", "replace one thing by another", "change a colour", "change a material"),
    *("change what somebody or something does", "change a size", "change a pattern or what is written on something"),
    *("open, close, light or fill something", "move something to another place"),
)


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


@dataclass(frozen=True, kw_only=True)
class _Start:
    """
    Attributes:
        edit: the simple order.
        caption, target_caption: of the picture, and of what the order makes of it; "" = not known.
        facts: where it is from, if not from a record.
    """

    before: Blob
    edit: str
    caption: str
    target_caption: str
    facts: dict[str, Any] = field(default_factory=dict)


async def make(context: Context) -> Made:
    start = await (_given if context.record.images else _invented)(context)
    before, edit = start.before, start.edit
    asked = await context.ask("edit_instruction@1", before, edit=edit)
    names_none_of("edit_instruction", "repeats_the_order", asked["instruction"], [edit])
    after = (
        await context.keep(context.record.image("target_image"))
        if "target_image" in context.record.images
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
                user=(Shown(blob=before, role="input", caption=start.caption), asked["instruction"]),
                assistant=(
                    thought["rationale"],
                    thought["answer"],
                    Shown(blob=after, role="output", caption=start.target_caption),
                ),
            ),
        ),
        instruction=asked["instruction"],
        rationale=thought["rationale"],
        answer=thought["answer"],
        source=context.record.text("source"),
        license=context.record.text("license"),
        facts={"simple": edit, **start.facts},
    )


async def _given(context: Context) -> _Start:
    record = context.record
    return _Start(
        before=await context.keep(record.image("image")),
        edit=record.text("edit"),
        caption=record.text("caption"),
        target_caption=record.text("target_caption"),
    )


async def _invented(context: Context) -> _Start:
    kind, topic = KINDS[context.index % len(KINDS)], context.topic()
    told = await context.ask("edit_proposal@1", kind=kind, **topic)
    caption, changed = told["caption"], told["target_caption"]
    if words(caption) == words(changed):
        reject("edit_proposal", "nothing_to_change", told["edit"])
    before = await context.draw("draw_picture@1", caption=caption)
    verdict = await context.ask("picture_matches@1", before, caption=caption)
    if not verdict["matches"]:
        reject("picture_matches", "picture_differs", verdict["problem"])
    facts = {"route": "topic", "input": "drawn", "kind": kind, **topic}
    return _Start(before=before, edit=told["edit"], caption=caption, target_caption=changed, facts=facts)


RECIPE = Recipe(
    name="image_editing",
    task="image_editing",
    version=1,
    folder=Path(__file__).parent,
    prompts=(*STARTING, "edit_instruction@1", "draw_edit@1", "edit_judge@1", "edit_rationale@1"),
    make=make,
    topics=True,
    script="toolkit.generation.recipes.image_editing.script:SCRIPT",
    record=EditRecord,
    needs_record=False,
    starting=STARTING,
)
