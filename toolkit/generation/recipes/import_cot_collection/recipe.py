"""Rows of kaist-ai/CoT-Collection (`source, target, rationale, task, type`): text to text; no model is asked."""

from pathlib import Path

from toolkit.generation.core.records import RecordModel
from toolkit.generation.recipes.recipe import Context, Made, Recipe, Turn, reject
from toolkit.published import PUBLISHED


class Solved(RecordModel):
    source: str
    target: str
    rationale: str
    task: str | None = None
    type: str | None = None


async def make(context: Context) -> Made:
    record = context.record
    question, rationale, answer = (record.text(name).strip() for name in ("source", "rationale", "target"))
    missing = [name for name, text in (("source", question), ("rationale", rationale), ("target", answer)) if not text]
    if missing:
        reject("record", "empty_column", missing)
    return Made(
        turns=(Turn(user=(question,), assistant=(f"{rationale}\n\n{answer}",)),),
        rationale=rationale,
        answer=answer,
        source=PUBLISHED["cot_collection"].source,
        license=record.text("license", PUBLISHED["cot_collection"].license),
        facts={"task": record.text("task"), "type": record.text("type")},
    )


RECIPE = Recipe(
    name="import_cot_collection",
    task="cot_collection",
    version=1,
    folder=Path(__file__).parent,
    prompts=(),
    make=make,
    record=Solved,
    imports=True,
)
