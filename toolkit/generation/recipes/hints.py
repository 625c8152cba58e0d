"""Whether an implicit request can be understood: a judge who reads nothing else must name what is meant."""

from toolkit.generation.recipes.checks import is_named
from toolkit.generation.recipes.recipe import Context, reject

HINT_PROMPTS = ("hint_guess@1", "hint_same@1")


async def can_be_guessed(context: Context, instruction: str, named: list[str], share: float) -> None:
    """Whoever reads nothing but an implicit request names what is meant, in these words or others.

    Args:
        share: of what is named that must be guessed.
    """
    things = (await context.ask("hint_guess@1", instruction=instruction))["things"]
    guessed = sum(is_named(phrase, things) for phrase in named)
    if guessed >= max(1, share * len(named)):
        return
    told = {"named": ", ".join(named), "things": ", ".join(things)}
    if not (await context.ask("hint_same@1", **told))["is_same"]:
        reject("hint_same", "cannot_be_guessed", f"{told['things']} in place of {told['named']}")
