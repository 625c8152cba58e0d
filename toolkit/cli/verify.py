"""`unifiedvisual verify`: everything read once, every row checked, all problems listed."""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from toolkit.cli.terminal import byte_progress, print_json, problems, say, table
from toolkit.errors import SHOWN, ImageError, SourceError
from toolkit.images import Decoder
from toolkit.schema import Row, check_row, table_to_rows
from toolkit.sources.layout import Source, open_source
from toolkit.sources.skips import Skips
from toolkit.sources.upstream.source import UpstreamSource
from toolkit.tasks import TASKS


def run(source: str, *, deep: bool, mapping: str | None, revision: str | None, token: str | None, as_json: bool) -> None:
    opened = open_source(source, revision=revision, token=token, mapping=mapping)
    skips = Skips(on_missing="skip", on_bad_row="skip", max_in_a_row=sys.maxsize)
    rows, images = _check(opened, skips, Decoder() if deep else None)
    if as_json:
        print_json({"source": opened.repository.name, "rows": rows, "images": images, "problems": skips.counts, "examples": skips.examples})
    else:
        found = [(task, rows.get(task, 0), TASKS[task].published_rows, images.get(task, 0)) for task in TASKS]
        table(opened.repository.name, ("task", "rows", "published", "pictures"), found, right=("rows", "published", "pictures"))
        problems(skips.counts, skips.examples, SHOWN)
        say(f"{sum(skips.counts.values()):,} problems" if skips.counts else f"Every row keeps every rule{', every picture decodes' if deep else ''}.")
    if skips.counts:
        raise SystemExit(1)


def _check(source: Source, skips: Skips, decoder: Decoder | None) -> tuple[Counter[str], Counter[str]]:
    rows: Counter[str] = Counter()
    images: Counter[str] = Counter()
    for row in _read(source, skips):
        rows[row.task] += 1
        images[row.task] += len(row.images)
        for number, image in enumerate(row.images if decoder else ()):
            assert decoder is not None
            try:
                decoder.decode(image.bytes, f"{row.task}: row {row.id!r}: images[{number}] ({image.path})")
            except ImageError as error:
                skips.note(f"image_{error.kind}", str(error))
    return rows, images


def _read(source: Source, skips: Skips) -> Iterator[Row]:
    if isinstance(source, UpstreamSource):
        yield from _read_upstream(source, skips)
        return
    for shard in source.shards(TASKS):
        try:
            for batch in source.read_tables(shard):
                for row in table_to_rows(batch):
                    check_row(row)
                    yield row
        except SourceError as error:
            skips.note("bad_shard", str(error))


def _read_upstream(source: UpstreamSource, skips: Skips) -> Iterator[Row]:
    sizes: dict[str, Any] = source.repository.list_files()
    with byte_progress() as progress:
        bars = {path: progress.add_task(path, total=sizes[path], start=False) for path in source.archives.values()}

        def on_read(path: str, size: int) -> None:
            progress.start_task(bars[path])
            progress.advance(bars[path], size)

        for number, task in enumerate(source.tasks):
            try:
                yield from source.read(task, skips, owns_unknown=not number, on_read=on_read)
            except SourceError as error:  # one broken archive does not hide what the others hold
                skips.note("unreadable", str(error))
