"""A dataset in any form that this package reads or writes, checked: one call for all."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from conversion.formats import Shard
from conversion.report import REPORT_NAME, Report
from conversion.way_back import import_rows
from toolkit.errors import SourceError
from toolkit.packing.verify import verify_packed
from toolkit.schema import Row
from toolkit.sources.findings import Findings, count_rows, every_problem
from toolkit.sources.layout import open_source
from toolkit.sources.packed import PackedSource
from toolkit.sources.published.verify import verify_published
from toolkit.sources.skips import Skips
from toolkit.tasks import TASKS

Progress = Callable[[int, int], None]


def verify(
    source: str | os.PathLike[str],
    *,
    deep: bool = False,
    workers: int = 1,
    mapping: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    progress: Progress = lambda done, total: None,
) -> Findings:
    """Read everything once, check every row, and list all problems.

        verify("packed", deep=True).problems

    Args:
        source: a folder, `org/name` or an hf:// URL, in either layout; or a folder that `convert` wrote.
        deep: also decode every picture.
        workers: processes, for the packed layout; each takes a shard.
        mapping: how upstream's columns are read, for the layout as published.
        progress: called with how much is done, and of how much: shards, or bytes of the layout as published.

    Raises:
        UsageError: converted to a format that cannot be imported, or a mapping that does not fit.
        SourceError: nothing there, or no layout that is known.
    """
    if Path(source, REPORT_NAME).is_file():
        return verify_converted(Path(source), deep=deep)
    opened = open_source(source, revision=revision, token=token, mapping=mapping)
    counts: Counter[str] = Counter()
    if isinstance(opened, PackedSource):
        total = len(opened.shards(opened.tasks))

        def on_shard(path: str) -> None:
            counts[path] += 1
            progress(counts.total(), total)

        return verify_packed(opened.repository, deep=deep, workers=workers, on_shard=on_shard)
    size = sum(opened.repository.list_files().values())

    def on_read(path: str, more: int) -> None:
        counts[path] += more
        progress(min(counts.total(), size), size)

    return verify_published(opened, deep=deep, on_read=on_read)


def verify_converted(folder: Path, *, deep: bool = False) -> Findings:
    """Import what `convert` wrote, and compare it with its report.

    Args:
        deep: also decode every picture.

    Raises:
        UsageError: the format cannot be imported.
    """
    skips, written = every_problem(), Report.read(folder / REPORT_NAME)
    # Of records that name none; a rule of the row does not depend on it.
    options = {"task": next(iter(TASKS)), "any_task": True}
    pieces = (
        import_rows(written.format, folder, options=options, on_bad=lambda error: skips.note(error.kind, str(error)))
        if written.records_out
        else []
    )
    found = count_rows(str(folder), (row for piece in pieces for row in _whole(piece, skips)), skips, deep=deep)
    missing = tuple(
        (
            f"{what}_count",
            f"{folder}: {count:,} {what} can be read; its {REPORT_NAME} says {expected:,} were written; convert again",
        )
        for what, there, expected in (
            ("records", found.rows, written.records_out),
            ("pictures", found.images, written.images_out),
        )
        if (count := sum(there.values())) != expected
    )
    return replace(found, problems=(*found.problems, *missing))


def _whole(piece: Shard, skips: Skips) -> Iterator[Row]:
    try:
        for row in piece():
            if isinstance(row, Row):  # what is wrong with the others was noted
                yield row
    except SourceError as error:  # one broken file does not hide what the others hold
        skips.note("unreadable", str(error))
