"""`unifiedvisual import`: files of a training format -> the packed layout."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from conversion import import_source
from dataset_card import write_card
from toolkit.cli.pack import print_manifest
from toolkit.cli.terminal import print_json
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.staging.jobs import check_free


def run(
    name: str, source: Path, out: Path, options: dict[str, object], packing: PackOptions, *, as_json: bool, **how: Any
) -> None:
    check_free(out)  # before all records are read
    rows = import_source(name, source, options=options, out=out)
    manifest = pack(rows, out, rows.tasks, packing, **how)
    write_card(out)
    if as_json:
        print_json(asdict(manifest))
    else:
        print_manifest(manifest, out)
