"""`unifiedvisual pack`: a source -> the packed layout, with its card."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dataset_card import write_card
from toolkit.cli.terminal import byte_progress, hint, print_json, published_count, say, table
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sizes import show_bytes
from toolkit.sources.layout import Source, choose_tasks, open_source
from toolkit.sources.manifest import Manifest
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.rows import RowsSource


def run(
    source: str,
    out: Path,
    tasks: str,
    options: PackOptions,
    *,
    split: str,
    mapping: str | None,
    revision: str | None,
    token: str | None,
    dry_run: bool,
    as_json: bool,
    **how: Any,
) -> None:
    opened = open_source(
        source,
        revision=revision,
        token=token,
        mapping=mapping,
        split=split,
        on_missing=options.on_missing,
        on_bad_row=options.on_bad_row,
        max_in_a_row=options.max_in_a_row,
    )
    wanted = choose_tasks(opened, tasks.split(","))
    if dry_run:
        _print_plan(opened, wanted, options, out, as_json=as_json)
        return
    with byte_progress(opened.repository.list_files()) as on_read:
        manifest = pack(opened, out, wanted, options, on_read=on_read, **how)
    write_card(out)
    if as_json:
        print_json(asdict(manifest))
    else:
        print_manifest(manifest, out)
        say_splits(opened)


def say_splits(source: Source) -> None:
    """Splits that were not read."""
    others = {} if isinstance(source, RowsSource) else {k: v for k, v in source.splits.items() if k != source.split}
    if others:
        say(f"Not packed: split {', '.join(others)}; pack each into a folder of its own with --split.")


def _print_plan(source: Source, tasks: list[str], options: PackOptions, out: Path, *, as_json: bool) -> None:
    rows = {task: source.count(task) for task in tasks} if isinstance(source, UpstreamSource) else {}
    sizes = {task: source.disk_needed([task]) for task in tasks}
    whole = source.disk_needed(tasks)
    if as_json:
        print_json({"out": str(out), "rows": rows, "disk_bytes": whole, "options": asdict(options)})
        return
    columns = ("task", "rows", "published", "to write, about")
    cells = [(task, rows.get(task) or "-", published_count(task), show_bytes(sizes[task]["output"])) for task in tasks]
    table(f"Would pack {source.repository.name} to {out}", columns, cells, right=columns[1:])
    say(
        f"Disk: about {show_bytes(whole['output'])} in {out}, at worst {show_bytes(whole['temporary'])} in "
        f"{tempfile.gettempdir()}. Nothing was written."
    )


def print_manifest(manifest: Manifest, out: Path, *, can_be_pushed: bool = True) -> None:
    columns = ("task", "rows", "published", "images", "bytes", "shards", "left out")
    rows = [
        (
            task,
            manifest.total("rows", [task]),
            published_count(task),
            manifest.total("images", [task]),
            show_bytes(manifest.total("bytes", [task])),
            len(shards),
            ", ".join(f"{count:,} {kind}" for kind, count in manifest.skipped.get(task, {}).items()) or "-",
        )
        for task, shards in manifest.tasks.items()
    ]
    table(f"Packed to {out}", columns, rows, right=columns[1:-1])
    then = f", then unifiedvisual push {out} ORG/NAME" if can_be_pushed else ""
    hint(f"Next: unifiedvisual verify {out} --deep{then}")
