"""Description -> the same with one mistake -> wrong picture -> where and what the mistake is -> corrected picture.

Two routes. From a topic, a model describes and draws both pictures. From a record, a real picture with its caption is
the corrected one, and the wrong one is drawn from it. Models that draw often ignore a counterfactual, so the wrong
picture is judged too: it must not match the description, as the right one must.

Records: `image`, `caption`; none in a spec without a source.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.generation.core.blobs import Blob
from toolkit.generation.core.records import Picture, RecordModel, Words
from toolkit.generation.recipes.checks import CropOptions, crop, good_box, names_one_of, same_pixels
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject
from toolkit.schema import Region

DEFECTS = ("attribute", "count", "relation", "object")
_LEADS = (
    *("This picture was meant to show the following:", "The order said:", "Here is what I had asked for:"),
    *(
        "The description goes like this:",
        "According to the plan:",
        "The author wanted this:",
        "It should have become this:",
    ),
    *("What the text says:", "The caption reads:", "My notes say:", "Compare with this description:"),
    *("I described it in these words:", "The client wrote:", "The assignment was:", "In the book it says:"),
    *("This is how it was told to the painter:", "Read this first:", "The picture belongs to this text:"),
)
_ENDS = (
    *("Something is off. Please find it and mend it.", "Compare the picture with it and correct it."),
    *("One thing does not agree. Which is it, and can you put it right?", "Find the mistake and repair it."),
    *("Where do the two disagree? Please change the picture.", "Can you spot what is wrong and fix it?"),
    *("I have a feeling that this is not quite it. Please check and correct.", "Make the picture fit the words."),
    *("Somebody made a mistake. Show me the picture as it should be.", "Look for the difference, then remove it."),
    *("Is that what we see? If not, please mend it.", "Please bring the picture in line with it."),
    *("Tell me what went wrong, and give me a right one.", "The picture differs in one point; correct that point."),
)


class CaptionedPicture(RecordModel):
    image: Picture
    caption: Words


@dataclass(frozen=True, kw_only=True)
class _Mistake:
    """
    Attributes:
        words: objects that are concerned.
        right: the picture as it should be; None = it is still to be drawn.
    """

    description: str
    wrong_description: str
    words: list[str]
    wrong: Blob
    right: Blob | None = None


async def make(context: Context) -> Made:
    options: CropOptions = context.options
    defect = DEFECTS[context.index % len(DEFECTS)]
    route = "picture" if context.record.images else "topic"
    told = await (_of_picture if route == "picture" else _of_topic)(context, defect)
    wrong, description = told.wrong, told.description
    if (await context.ask("picture_matches@1", wrong, caption=description))["matches"]:
        reject("picture_matches", "wrong_picture_is_right", told.wrong_description)
    found = await context.ask("correction_find@1", wrong, description=description)
    names_one_of("correction_find", "defect_not_named", found["finding"], told.words)
    box = good_box("correction_find", found["box"], context.bytes_of(wrong), options.min_box_px)
    right = told.right or await _corrected(context, wrong, found, description)
    detail = await context.keep(crop(context.bytes_of(wrong), box))
    instruction, mended = _asked(context, description), f"{found['finding']} {found['remedy']}"
    return Made(
        turns=(
            Turn(
                user=(Shown(blob=wrong, role="input", caption=told.wrong_description), instruction),
                assistant=(
                    found["look"],
                    Shown(blob=detail, role="intermediate", caption="Detail of the picture"),
                    mended,
                    Shown(blob=right, role="output", caption=description),
                    "Now picture and text agree.",
                ),
            ),
        ),
        instruction=instruction,
        rationale=f"{found['look']} {mended}",
        answer="Now picture and text agree.",
        regions=(Region(0, box, "mistake"),),
        source=context.record.text("source"),
        license=context.record.text("license"),
        facts={"defect": defect, "route": route},
    )


async def _of_topic(context: Context, defect: str) -> _Mistake:
    told = await context.ask("correction_description@1", defect=defect, **context.topic())
    wrong = await context.draw("draw_picture@1", caption=told["wrong_description"])
    return _Mistake(
        description=told["description"],
        wrong_description=told["wrong_description"],
        words=told["defect_words"],
        wrong=wrong,
    )


async def _of_picture(context: Context, defect: str) -> _Mistake:
    right, description = await context.keep(context.record.image("image")), context.record.text("caption")
    verdict = await context.ask("picture_matches@1", right, caption=description)
    if not verdict["matches"]:
        reject("picture_matches", "caption_differs", verdict["problem"])
    told = await context.ask("correction_counterfactual@1", right, description=description, defect=defect)
    wrong = await context.draw("draw_mistake@1", right, change=told["change"])
    if same_pixels(context.bytes_of(wrong), context.bytes_of(right)):
        reject("draw_mistake", "nothing_changed", told["change"])
    return _Mistake(
        description=description,
        wrong_description=told["wrong_description"],
        words=told["defect_words"],
        wrong=wrong,
        right=right,
    )


async def _corrected(context: Context, wrong: Blob, found: dict[str, Any], description: str) -> Blob:
    right = await context.draw(
        "draw_correction@1", wrong, finding=found["finding"], remedy=found["remedy"], description=description
    )
    verdict = await context.ask("picture_matches@1", right, caption=description)
    if not verdict["matches"]:
        reject("picture_matches", "correction_differs", verdict["problem"])
    return right


def _asked(context: Context, description: str) -> str:
    stream = context.stream("ask")
    return f"{stream.pick(_LEADS)} {description} {stream.pick(_ENDS)}"


RECIPE = Recipe(
    name="image_correction",
    task="image_correction",
    version=3,
    folder=Path(__file__).parent,
    prompts=(
        *("correction_description@1", "draw_picture@1"),
        *("correction_counterfactual@1", "draw_mistake@1"),
        *("picture_matches@1", "correction_find@1", "draw_correction@1"),
    ),
    make=make,
    calls={"picture_matches@1": 2},
    topics=True,
    record=CaptionedPicture,
    needs_record=False,
    options=CropOptions,
    script="toolkit.generation.recipes.image_correction.script:SCRIPT",
)
