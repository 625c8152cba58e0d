"""A folder or Hub repository, in either layout -> shards, and the whole way from there to a training format."""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from conversion.driver import convert_shards
from conversion.formats import Shard
from conversion.report import Report
from toolkit.errors import RowError, UnifiedVisualError
from toolkit.schema import Row, table_to_rows
from toolkit.sources.layout import choose_tasks, open_source
from toolkit.sources.packed import PackedSource
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.repository import root_of
from toolkit.sources.skips import MAX_IN_A_ROW, OnBad, Skips
from toolkit.sources.splits import DEFAULT_SPLIT
from toolkit.staging.jobs import Part, check_apart


def convert(
    source: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str],
    *,
    tasks: Iterable[str] | None = None,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_bad_row: OnBad = "raise",
    on_missing: OnBad = "raise",
    max_in_a_row: int = MAX_IN_A_ROW,
    on_unfit: str = "error",
    split: str = DEFAULT_SPLIT,
    mapping: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Report:
    """Convert a dataset to the format a trainer reads. Run it again after an interruption: finished shards are kept.

        convert("packed", "webdataset", "shards")
        convert("packed", "llava", "llava", tasks=["llava_cot"], profile="next")

    Args:
        source: a folder, `org/name` or an hf:// URL, in either layout.
        to: name of a format; `conversion.describe()` lists them with what each can hold.
        out: a folder; made if it is not there.
        tasks: names of tasks or configs; None = all.
        workers: processes; each takes a shard of the packed layout, or a task of the one as published.
        executor: "local", or "ray" for tasks on its cluster instead of processes.
        part: (i, N): only every N-th shard, from shard i; another process, on any machine, does the others.
        on_bad_row, on_missing: "raise" or "skip", counted.
        max_in_a_row: bad rows without a good one between that stop the conversion all the same.
        split: whose rows are converted.
        on_unfit: good rows which the format cannot hold: "error" or "drop", counted.
        progress: called with (finished shards, all shards).
        options: of the format, such as profile=.

    Returns:
        What was kept, moved, dropped and why; also written as conversion_report.json.

    Raises:
        UsageError: wrong options, or `out` holds something else, or is where the source is. UnknownName: an unknown
            task or config. SourceError: the source cannot be read.
        RowError: a bad row, or one that does not fit, unless skipped or dropped.
        DiskFull: no space is left. PartDone: the part is.
    """
    reading: Any = {"revision": revision, "token": token, "mapping": mapping, "split": split}
    policies: Any = {"on_missing": on_missing, "on_bad_row": on_bad_row, "max_in_a_row": max_in_a_row}
    opened = open_source(source, **reading, **policies)
    chosen = choose_tasks(opened, ["all"] if tasks is None else tasks)
    if root := root_of(opened.repository):
        check_apart(Path(out), root)
    return convert_shards(
        shards_of(opened, chosen),
        Path(out),
        to=to,
        options=options,
        workers=workers,
        executor=executor,
        part=part,
        on_bad_row=on_bad_row,
        on_unfit=on_unfit,
        identity=opened.fingerprint(chosen),
        need_bytes=lambda: opened.disk_needed(chosen)["output"],
        progress=progress,
    )


def shards_of(source: UpstreamSource | PackedSource, tasks: Iterable[str]) -> list[Shard]:
    """One shard per Parquet file of the packed layout, or per task of the layout as published.

    Bad rows which `source` was told to skip come as RowError between the rows, so that the report counts them too.

    Raises:
        UnifiedVisualError: the source has no rows of these tasks.
    """
    names = source.shards(tuple(tasks))
    if not names:
        raise UnifiedVisualError(
            f"{source.repository.name} has no rows of these tasks; it has: {', '.join(source.tasks)}"
        )
    return [partial(_rows_of, source, name, owns_unknown=number == 0) for number, name in enumerate(names)]


class _Collected(Skips):
    """Keeps the errors of rows that are left out."""

    def __init__(self, source: UpstreamSource) -> None:
        super().__init__(on_missing=source.on_missing, on_bad_row=source.on_bad_row, max_in_a_row=source.max_in_a_row)
        self.errors: list[RowError] = []

    def bad(self, error: RowError, *, is_accident: bool = False) -> None:
        super().bad(error, is_accident=is_accident)
        self.errors.append(error)


def _rows_of(source: UpstreamSource | PackedSource, name: str, *, owns_unknown: bool) -> Iterator[Row | RowError]:
    if isinstance(source, PackedSource):
        for table in source.read_tables(name):
            yield from table_to_rows(table)
        return
    skips = _Collected(source)
    for row in source.read(name, skips, owns_unknown=owns_unknown):
        yield row
        yield from skips.errors
        skips.errors.clear()
    yield from skips.errors
