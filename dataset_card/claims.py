"""What a card says about the published dataset: from `toolkit.published` alone, and only where rows of it are there."""

import json
import re
from collections.abc import Iterable, Mapping

from dataset_card.markdown import inline, table
from toolkit.published import PUBLISHED, UPSTREAM_REPOSITORY, published_rows
from toolkit.schema import Row
from toolkit.sources.repository import REPO_ID
from toolkit.tasks import NOT_STATED, TASKS

# Parts of the template that are about the published dataset.
_ABOUT = re.compile(r"<!-- 240K -->\n(.*?)<!-- end -->\n", re.DOTALL)


def is_published(row: Row) -> bool:
    """Whether a row is as published, and not generated, drawn, or imported from elsewhere."""
    is_ours = {"imported_from", "recipe"} & json.loads(row.provenance).keys()
    return row.origin == "upstream" and row.task in PUBLISHED and not is_ours


def without_claims(template: str, tasks: Iterable[str]) -> str:
    """The template; of a dataset without any of the published tasks, what is not about the published dataset."""
    return _ABOUT.sub(r"\1" if any(task in PUBLISHED for task in tasks) else "", template)


def what_it_is(examples: Mapping[str, Row]) -> str:
    if all(map(is_published, examples.values())):
        return (
            f"Packed by the UnifiedVisual toolkit from a dataset in the layout of {UPSTREAM_REPOSITORY}: one schema "
            "for all tasks, images inside the rows. The first row of each task is of origin `upstream`; the column "
            "`origin` tells it for every row. That these are the published rows is the word of whoever packed "
            "them; no tool has checked it."
        )
    by_origin: dict[str, list[str]] = {}
    for task, row in examples.items():
        origin = row.origin if row.origin != "upstream" or is_published(row) else "imported"
        by_origin.setdefault(origin, []).append(task)
    listed = "; ".join(f"{inline(origin)} ({', '.join(tasks)})" for origin, tasks in sorted(by_origin.items()))
    how_much = "Not all" if "upstream" in by_origin else "Nothing"
    return (
        f"**{how_much} of this is the published {UPSTREAM_REPOSITORY}.** Origins, judged by the first row of each "
        f"task: {listed}. `generated` rows were made by models, `procedural` rows by a program, both with the "
        "UnifiedVisual toolkit, and `imported` rows come from other datasets; none of them count as published rows. "
        "The columns `origin` and `provenance` say it of each row."
    )


def counts_beside(rows: int, line: str) -> str:
    """The line with the counts of the dataset, and what is published beside it where the two differ."""
    published = published_rows(PUBLISHED)
    if rows == published:
        return line
    return (
        f"{line} **The published dataset has {published:,} rows of {len(PUBLISHED)} tasks**; the table shows where "
        "they differ."
    )


def source_of(row: Row) -> tuple[str, str]:
    """Source and licence of a task's rows, "" where not stated: as published, else as its first row says."""
    if is_published(row):
        return PUBLISHED[row.task].source, PUBLISHED[row.task].license
    return row.source, row.license


def conflicts(examples: Mapping[str, Row]) -> str:
    """Sources whose own statements disagree are told, not resolved."""
    stated = dict(source_of(row) for row in examples.values() if is_published(row))
    listed = [
        f"- {link(source)}: {license}." for source, license in stated.items() if license.startswith("conflicting")
    ]
    if not listed:
        return "No conflicting statements were found."
    return "Statements that conflict, told here and not resolved:\n\n" + "\n".join(listed)


def link(source: str) -> str:
    if REPO_ID.fullmatch(source):
        return f"[{source}](https://huggingface.co/datasets/{source})"
    return inline(source) if source else NOT_STATED


def built_table(tasks: Iterable[str]) -> str:
    return table(("task", "how the paper builds it"), [(f"`{t}`", PUBLISHED[t].built) for t in tasks if t in PUBLISHED])


# Our wording, from what is published of each task.
TEACHES = {
    "image_generation": "infer from an implicit request what to draw, say why, draw it",
    "image_editing": "plan an edit from an indirect instruction, then make it",
    "image_correction": "find where image and description disagree, and fix the image",
    "mm_reasoning_o": "look again at a detail of the image while reasoning",
    "mm_reasoning_mm": "reason over images and text with further images",
    "mm_reasoning_t": "draw in order to answer a question of text alone",
    "mm_internet": "answer with an illustrated page",
    "llava_cot": "step-by-step answers about an image",
    "cot_collection": "step-by-step answers in text",
}


def teaches_table(tasks: Iterable[str]) -> str:
    rows = [(f"`{task}`", TASKS[task].quadrant, TEACHES[task]) for task in tasks if task in TEACHES]
    return table(("config", "prompt -> answer", "what it teaches"), rows)


def totals() -> dict[str, str]:
    """What is published of the whole dataset, whichever tasks are packed."""
    imported = published_rows(task for task in PUBLISHED if TASKS[task].family == "understanding")
    return {
        "upstream": UPSTREAM_REPOSITORY,
        "misspelt": PUBLISHED["image_correction"].archive,
        "published_rows": f"{published_rows(PUBLISHED):,}",
        "published_generated": f"{published_rows(PUBLISHED) - imported:,}",
        "published_understanding": f"{imported:,}",
    }
