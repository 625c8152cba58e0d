"""Rows of Xkev/LLaVA-CoT-100k (`{id, image, conversations}`): the tags of the answer are parsed into parts; no model is
asked.
"""

from pathlib import Path
from typing import Any

from toolkit.generation.core.records import Picture, RecordModel
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Shown, Turn, reject
from toolkit.published import PUBLISHED


class Conversation(RecordModel):
    image: Picture
    conversations: list[dict[str, Any]]


TAGS = ("SUMMARY", "CAPTION", "REASONING", "CONCLUSION")


def parse_tags(text: str) -> dict[str, str]:
    """Tag -> what stands in it; rejects a text that is not made of the four, in order, and nothing else."""
    found, rest = {}, text.strip()
    for tag in TAGS:
        content, closed, rest = rest.partition(f"</{tag}>")
        if not content.startswith(f"<{tag}>") or not closed:
            reject("tags", "other_tags", text[:200])
        found[tag], rest = content.removeprefix(f"<{tag}>").strip(), rest.lstrip()
    if rest:
        reject("tags", "other_tags", text[:200])
    return found


async def make(context: Context) -> Made:
    record = context.record
    turns = record.values.get("conversations") or []
    roles = [turn.get("from") for turn in turns]
    if not turns or roles != ["human", "gpt"] * (len(turns) // 2):
        reject("turns", "other_turns", roles)
    questions = [str(turn["value"]).strip() for turn in turns[::2]]
    questions[0] = questions[0].replace("<image>", "", 1).strip()
    tagged = [parse_tags(str(turn["value"])) for turn in turns[1::2]]
    picture = Shown(blob=await context.keep(record.image("image")), role="input")
    return Made(
        turns=tuple(
            Turn(
                user=(question,) if number else (picture, question),
                assistant=tuple(f"<{tag}>{tags[tag]}</{tag}>" for tag in TAGS),
            )
            for number, (question, tags) in enumerate(zip(questions, tagged, strict=True))
        ),
        instruction="\n\n".join(questions),
        rationale="\n\n".join(tags[tag] for tags in tagged for tag in TAGS[:3]),
        answer="\n\n".join(tags["CONCLUSION"] for tags in tagged),
        source=record.text("source", PUBLISHED["llava_cot"].source),
        license=record.text("license", PUBLISHED["llava_cot"].license),
        facts={"record": record.text("id")},
    )


RECIPE = Recipe(
    name="import_llava_cot",
    task="llava_cot",
    version=2,
    folder=Path(__file__).parent,
    prompts=(),
    make=make,
    record=Conversation,
    imports=True,
)
