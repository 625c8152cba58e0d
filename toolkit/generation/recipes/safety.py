"""The optional last check of a sample: its texts and pictures are shown to the backend of role `safety`. Without one
the verdict is "unknown", never "safe".
"""

from typing import Any

from toolkit.generation.recipes.recipe import SAFETY_PROMPT, Context, Made, Shown, reject


async def safety_of(context: Context, made: Made) -> dict[str, Any]:
    """For provenance: the verdict, and by whom.

    Raises:
        Rejected: something was flagged.
    """
    model = context.model_of(SAFETY_PROMPT)
    if model is None:
        return {"verdict": "unknown"}
    parts = [made.system, *made.parts]
    text = "\n".join(part for part in parts if isinstance(part, str) and part.strip())
    pictures = dict.fromkeys(part.blob for part in parts if isinstance(part, Shown))
    found = await context.ask(SAFETY_PROMPT, *pictures, text=text)
    if found["flagged"]:
        reject("safety", "flagged", ", ".join(found["categories"]) or "no category")
    return {"verdict": "safe", "by": model}
