"""`unifiedvisual deduplicate`: a packed dataset without what comes twice, or stands in a benchmark."""

import tempfile
from pathlib import Path
from typing import Any

from dataset_card import write_card
from toolkit.cli.select import print_counts, print_selected
from toolkit.cli.terminal import phase_progress, say
from toolkit.curation.deduplicate import DUPLICATES, count_duplicates, deduplicate
from toolkit.curation.pairs_page import PAGE


def run(source: str, out: Path, tasks: str, rule: dict[str, Any], *, dry_run: bool, as_json: bool, **how: Any) -> None:
    wanted = tasks.split(",")
    with phase_progress() as progress:
        if dry_run:
            with tempfile.TemporaryDirectory() as folder:
                counts = count_duplicates(source, Path(folder), tasks=wanted, on_done=progress, **rule)
        else:
            manifest = deduplicate(source, out, tasks=wanted, on_done=progress, **rule, **how)
    if dry_run:
        print_counts(counts, as_json=as_json)
        return
    write_card(out)
    print_selected(manifest, out, as_json=as_json)
    if not as_json:
        say(f"What was left out, and what it is like: {out / PAGE} (pairs to look at), {out / DUPLICATES} (all)")
