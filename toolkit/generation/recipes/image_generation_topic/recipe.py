"""Topic and scene -> implicit request, from which a judge must name what is meant -> rationale -> picture, checked
against its caption.
"""

from pathlib import Path

from pydantic import Field

from toolkit.generation.core.options import Options
from toolkit.generation.recipes.checks import names_none_of
from toolkit.generation.recipes.hints import HINT_PROMPTS, can_be_guessed
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject


class TopicOptions(Options):
    """
    Attributes:
        min_guessed: share of the objects in the picture that a judge must name who reads the request alone.
    """

    min_guessed: float = Field(0.5, ge=0, le=1)


async def make(context: Context) -> Made:
    topic = context.topic()
    brief = await context.ask("topic_brief@1", **topic)
    names_none_of("topic_brief", "names_it_outright", brief["instruction"], brief["named"])
    await can_be_guessed(context, brief["instruction"], brief["named"], context.options.min_guessed)
    thought = await context.ask("picture_rationale@1", instruction=brief["instruction"], caption=brief["caption"])
    picture = await context.draw("draw_picture@1", caption=brief["caption"])
    verdict = await context.ask("picture_matches@1", picture, caption=brief["caption"])
    if not verdict["matches"]:
        reject("picture_matches", "picture_differs", verdict["problem"])
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
        facts={"route": "topic", **topic},
    )


RECIPE = Recipe(
    name="image_generation_topic",
    task="image_generation",
    version=2,
    folder=Path(__file__).parent,
    prompts=("topic_brief@1", *HINT_PROMPTS, "picture_rationale@1", "draw_picture@1", "picture_matches@1"),
    make=make,
    topics=True,
    options=TopicOptions,
    script="toolkit.generation.recipes.image_generation_topic.script:SCRIPT",
)
