"""`unifiedvisual merge`: several packed datasets -> one."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from dataset_card import write_card
from toolkit.cli.pack import print_manifest
from toolkit.cli.terminal import phase_progress, print_json, say
from toolkit.curation.inputs import open_inputs
from toolkit.curation.merge import Ids, merge
from toolkit.sources.references import REFERENCES


def run(
    sources: list[str],
    out: Path,
    *,
    ids: str,
    copy: bool,
    reference: bool,
    token: str | None,
    dry_run: bool,
    as_json: bool,
    **how: Any,
) -> None:
    if dry_run:
        inputs = open_inputs(sources, token=token)
        rows = {each.name: each.manifest.total("rows") for each in inputs}
        if as_json:
            print_json({"out": str(out), "rows": rows})
        else:
            say(f"Would merge {sum(rows.values()):,} rows of {len(rows)} datasets into {out}. Nothing was written.")
        return
    with phase_progress() as progress:
        manifest = merge(
            sources, out, ids=cast(Ids, ids), copy=copy, reference=reference, token=token, on_done=progress, **how
        )
    write_card(out, token=token)
    if as_json:
        print_json(asdict(manifest))
    else:
        print_manifest(manifest, out, can_be_pushed=not (out / REFERENCES).exists())
