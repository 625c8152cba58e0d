"""Description -> the same with one mistake -> wrong picture -> where and what the mistake is -> corrected picture.

Models that draw often ignore a counterfactual, so the wrong picture is judged too: it must not match the description.
"""

from pathlib import Path

from toolkit.generation.recipes.checks import crop, good_box, names_one_of
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


async def make(context: Context) -> Made:
    defect = DEFECTS[context.index % len(DEFECTS)]
    told = await context.ask("correction_description@1", defect=defect, **context.topic())
    description = told["description"]
    wrong = await context.draw("draw_picture@1", caption=told["wrong_description"])
    if (await context.ask("picture_matches@1", wrong, caption=description))["matches"]:
        reject("picture_matches", "wrong_picture_is_right", told["wrong_description"])
    found = await context.ask("correction_find@1", wrong, description=description)
    names_one_of("correction_find", "defect_not_named", found["finding"], told["defect_words"])
    box = good_box("correction_find", found["box"], context.bytes_of(wrong))
    right = await context.draw(
        "draw_correction@1", wrong, finding=found["finding"], remedy=found["remedy"], description=description
    )
    verdict = await context.ask("picture_matches@1", right, caption=description)
    if not verdict["matches"]:
        reject("picture_matches", "correction_differs", verdict["problem"])
    detail = await context.keep(crop(context.bytes_of(wrong), box))
    instruction, mended = _asked(context, description), f"{found['finding']} {found['remedy']}"
    return Made(
        turns=(
            Turn(
                user=(Shown(blob=wrong, role="input", caption=told["wrong_description"]), instruction),
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
        facts={"defect": defect},
    )


def _asked(context: Context, description: str) -> str:
    stream = context.stream("ask")
    return f"{stream.pick(_LEADS)} {description} {stream.pick(_ENDS)}"


RECIPE = Recipe(
    name="image_correction",
    task="image_correction",
    version=2,
    folder=Path(__file__).parent,
    prompts=(
        "correction_description@1",
        "draw_picture@1",
        "picture_matches@1",
        "correction_find@1",
        "draw_correction@1",
    ),
    make=make,
    calls={"picture_matches@1": 2},
    topics=True,
    script="toolkit.generation.recipes.image_correction.script:SCRIPT",
)
