"""`unifiedvisual import`: files of a training format -> the packed layout."""

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from conversion import import_rows
from conversion.formats import Shard
from toolkit.cli.card import write_card
from toolkit.cli.pack import print_manifest
from toolkit.cli.terminal import print_json
from toolkit.errors import RowError, SourceError
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.schema import Row
from toolkit.sources.repository import LocalFolder
from toolkit.sources.rows import RowsSource
from toolkit.tasks import find_task


def _with_errors(piece: Shard, errors: list[RowError]) -> Iterator[Row | RowError]:
    """The rows of a piece, and among them what was wrong with the others, for the packer to stop at or to count."""
    errors.clear()
    for row in piece():
        yield from errors
        errors.clear()
        yield row
    yield from errors


def run(name: str, source: Path, out: Path, options: dict[str, object], packing: PackOptions, *, as_json: bool) -> None:
    errors: list[RowError] = []
    pieces = [
        partial(_with_errors, piece, errors)
        for piece in import_rows(name, source, options=options, on_bad=errors.append)
    ]
    folder = source if source.is_dir() else source.parent
    given = find_task(str(options["task"])) if options.get("task") else None
    rows = RowsSource(
        repository=LocalFolder(folder.absolute()), pieces=pieces, vocabulary={given.name: given} if given else {}
    )
    if not rows.tasks:
        raise SourceError(f"{source}: holds no row that could be read as {name}")
    manifest = pack(rows, out, rows.tasks, packing)
    write_card(out)
    if as_json:
        print_json(asdict(manifest))
    else:
        print_manifest(manifest, out)
