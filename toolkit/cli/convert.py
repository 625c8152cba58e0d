"""`unifiedvisual convert`: a source -> a training format, with its report as a table."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import conversion
from toolkit.cli.terminal import done_progress, print_json, say, table
from toolkit.errors import UsageError


def parse_options(pairs: Iterable[str]) -> dict[str, object]:
    """NAME=VALUE pairs; whole numbers become int.

    Raises:
        UsageError: one has no "=".
    """
    options: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"--option {pair!r}: expected NAME=VALUE")
        options[name.replace("-", "_")] = int(value) if value.isdigit() else value
    return options


def list_formats(*, as_json: bool) -> None:
    """What each format, in each profile, can hold."""
    entries = conversion.describe()
    if as_json:
        print_json(entries)
        return
    columns = (
        "format",
        "profile",
        "read by",
        "lossless",
        "images in prompts",
        "images in answers",
        "loss on them",
        "way back",
    )
    rows = [
        (
            entry["format"],
            entry["profile"],
            entry["consumers"],
            _yes(entry["lossless"]),
            entry["prompt_images"],
            entry["answer_images"],
            _yes(entry["trains_output_images"]),
            _yes(entry["imports"]),
        )
        for entry in entries
    ]
    table("Formats", columns, rows)
    for entry in entries:
        say(f"\n{entry['format']} {entry['profile']}\n{entry['guide']}")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def run(source: str, to: str, out: Path, tasks: str, options: dict[str, object], *, as_json: bool, **how: Any) -> None:
    keywords: dict[str, Any] = {**how, **options}
    with done_progress("shards") as progress:
        report = conversion.convert(source, to, out, tasks=tasks.split(","), progress=progress, **keywords)
    if as_json:
        print_json(asdict(report))
        return
    counts = [("rows", report.rows_in, report.rows_out), ("images", report.images_in, report.images_out)]
    table(f"Converted to {report.format} in {out}", ("what", "in", "out"), counts, right=("in", "out"))
    if reasons := report.reasons():
        table(
            "What the format could not hold",
            ("what", "why", "how many", "such as"),
            [(*row[:3], ", ".join(row[3])) for row in reasons],
            right=("how many",),
        )
    else:
        say("Nothing was moved, flattened or left out.")
