"""Rows of Xkev/LLaVA-CoT-100k (`{id, image, conversations}`): the tags of the answer are parsed into parts; no model is
asked.
"""

import re

from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, reject
from toolkit.published import PUBLISHED

TAGS = ("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")
_TAGGED = re.compile(r"\s*".join(rf"<{tag}>(?P<{tag}>.*?)</{tag}>" for tag in TAGS), re.DOTALL)


def parse_tags(text: str) -> dict[str, str]:
    """Tag -> what stands in it; rejects a text that is not made of the four, in order, and nothing else."""
    match = _TAGGED.fullmatch(text.strip())
    if match is None:
        reject("tags", "other_tags", text[:200])
    return {tag: match[tag].strip() for tag in TAGS}


async def make(context: Context) -> Made:
    record = context.record
    turns = record.values.get("conversations") or []
    if [turn.get("from") for turn in turns[:2]] != ["human", "gpt"]:
        reject("turns", "other_turns", [turn.get("from") for turn in turns])
    question = str(turns[0]["value"]).replace("<image>", "", 1).strip()
    text = str(turns[1]["value"]).strip()
    tags = parse_tags(text)
    picture = await context.keep(record.image("image"))
    return Made(
        user=(Shown(blob=picture, role="input"), question),
        assistant=tuple(f"<{tag}>{tags[tag]}</{tag}>" for tag in TAGS),
        instruction=question,
        rationale="\n\n".join(tags[tag] for tag in TAGS[:3]),
        answer=tags["CONCLUSION"],
        source=PUBLISHED["llava_cot"].source,
        license=PUBLISHED["llava_cot"].license,
        facts={"record": record.text("id"), "turns_left_out": max(0, len(turns) - 2)},
    )


RECIPE = Recipe(
    name="import_llava_cot", task="llava_cot", version=1, prompts=(), make=make, record="file", imports=True
)
