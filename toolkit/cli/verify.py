"""`unifiedvisual verify`: everything read once, every row checked, all problems listed."""

from typing import Any

import conversion
from toolkit.cli.terminal import done_progress, print_json, print_problems, published_count, say, table
from toolkit.published import PUBLISHED
from toolkit.sources.findings import Findings


def run(
    source: str,
    *,
    deep: bool,
    mapping: str | None,
    revision: str | None,
    token: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    with done_progress("checking") as progress:
        found = conversion.verify(
            source,
            deep=deep,
            mapping=mapping,
            revision=revision,
            token=token,
            progress=progress,
            **how,
        )
    report(found, deep=deep, as_json=as_json)


def report(found: Findings, *, deep: bool, as_json: bool) -> None:
    """Print what was found; exit 1 if anything is wrong."""
    problems = found.by_kind()
    counts = {kind: len(messages) for kind, messages in problems.items()}
    if as_json:
        print_json(
            {
                "source": found.source,
                "rows": found.rows,
                "images": found.images,
                "problems": counts,
                "examples": problems,
                "notes": [message for _, message in found.notes],
            }
        )
    else:
        listed = PUBLISHED if not found.rows or found.rows.keys() & PUBLISHED.keys() else ()
        tasks = (*listed, *(task for task in found.rows if task not in PUBLISHED))
        rows = [(task, found.rows.get(task, 0), published_count(task), found.images.get(task, 0)) for task in tasks]
        table(found.source, ("task", "rows", "published", "images"), rows, right=("rows", "published", "images"))
        print_problems(counts, problems)
        for _, message in found.notes:
            say(f"Note: {message}")
        fine = f"Every row keeps every rule{', every image decodes' if deep else ''}."
        total = sum(counts.values())
        say(f"{total:,} problem{'s' if total > 1 else ''}" if counts else fine)
    if counts:
        raise SystemExit(1)
