"""`unifiedvisual select`: rows of a packed dataset -> a packed dataset of its own."""

import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset_card import write_card
from toolkit.cli.pack import print_manifest
from toolkit.cli.terminal import phase_progress, print_json, say, table
from toolkit.curation.select import count_selected, select
from toolkit.errors import UsageError
from toolkit.sources.manifest import Manifest


def run(
    source: str, out: Path, tasks: str, choice: dict[str, Any], *, dry_run: bool, as_json: bool, **how: Any
) -> None:
    wanted = tasks.split(",")
    with phase_progress() as progress:
        if dry_run:
            with tempfile.TemporaryDirectory() as folder:
                counts = count_selected(source, Path(folder), tasks=wanted, on_done=progress, **choice)
        else:
            manifest = select(source, out, tasks=wanted, on_done=progress, **choice, **how)
    if dry_run:
        print_counts(counts, as_json=as_json)
        return
    write_card(out)
    print_selected(manifest, out, as_json=as_json)


def print_selected(manifest: Manifest, out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(manifest))
        return
    print_manifest(manifest, out)
    if len(manifest.splits) > 1:
        rows = {split: sum(shard.rows for shard in shards) for split, shards in manifest.splits.items()}
        say("Splits: " + ", ".join(f"{split} {count:,}" for split, count in rows.items()))


def print_counts(counts: dict[str, Any], *, as_json: bool) -> None:
    """Of a dry run."""
    if as_json:
        print_json(counts)
        return
    kept = sum((Counter(each) for each in counts["counts"]), Counter[str]())
    lines = [(task, why, rows) for task, reasons in counts["left_out"].items() for why, rows in reasons.items()]
    table("Would be left out", ("task", "why", "rows"), lines, right=("rows",))
    say("Would keep: " + (", ".join(f"{split} {rows:,}" for split, rows in kept.items()) or "none"))
    say("Nothing was written.")


def parse_split(text: str) -> dict[str, float] | None:
    """ "train=0.98,validation=0.02" """
    if not text:
        return None
    try:
        return {name: float(share) for name, _, share in (each.partition("=") for each in text.split(",") if each)}
    except ValueError:
        raise UsageError(f"--split is {text!r}; expected NAME=SHARE, as in train=0.98,validation=0.02") from None
