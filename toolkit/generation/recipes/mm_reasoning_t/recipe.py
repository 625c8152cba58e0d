"""A problem told in words -> thoughts that draw -> the drawings; a second, independent answer must agree."""

from pathlib import Path

from toolkit.generation.recipes.checks import agree
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject

MAX_PICTURES = 6


async def make(context: Context) -> Made:
    asked = await context.ask("t_question@1", **context.topic())
    if not asked["needs_picture"]:
        reject("t_question", "needs_no_picture", asked["question"])
    thought = await context.ask("t_reason@1", question=asked["question"])
    drawings = [step["picture"] for step in thought["steps"] if step["picture"].strip()]
    if not 1 <= len(drawings) <= MAX_PICTURES:
        reject(
            "t_reason",
            "draws_nothing" if not drawings else "draws_too_much",
            f"{len(drawings)} pictures; expected 1 to {MAX_PICTURES}",
        )
    second = await context.ask("second_answer@1", question=asked["question"])
    agree("second_answer", thought["answer"], second["answer"])
    parts: list[str | Shown] = []
    for step in thought["steps"]:
        parts.append(step["text"])
        if step["picture"].strip():
            parts.append(
                Shown(
                    blob=await context.draw("draw_picture@1", caption=step["picture"]),
                    role="intermediate",
                    caption=step["picture"],
                )
            )
    return Made(
        turns=(Turn(user=(asked["question"],), assistant=(*parts, thought["closing"])),),
        instruction=asked["question"],
        rationale=" ".join(step["text"] for step in thought["steps"]),
        answer=thought["answer"],
    )


RECIPE = Recipe(
    name="mm_reasoning_t",
    task="mm_reasoning_t",
    version=2,
    folder=Path(__file__).parent,
    prompts=("t_question@1", "t_reason@1", "second_answer@1", "draw_picture@1"),
    make=make,
    calls={"draw_picture@1": MAX_PICTURES},
    topics=True,
    script="toolkit.generation.recipes.mm_reasoning_t.script:SCRIPT",
)
