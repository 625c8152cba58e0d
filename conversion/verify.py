"""A dataset in any form that this package reads or writes, checked: one call for all."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from conversion.formats import Shard
from conversion.report import REPORT_NAME, Report
from conversion.way_back import import_pieces
from toolkit.errors import SourceError
from toolkit.executors import Tell
from toolkit.packing.verify import packed_check
from toolkit.sources.checks import Check, Found, count_rows, run_check, summed
from toolkit.sources.findings import Findings, every_problem
from toolkit.sources.layout import open_source
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.published.verify import published_check
from toolkit.sources.repository import LocalFolder, Repository
from toolkit.staging.jobs import Part
from toolkit.tasks import TASKS

Progress = Callable[[int, int], None]


def verify(
    source: str | os.PathLike[str],
    *,
    deep: bool = False,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    findings: str | os.PathLike[str] | None = None,
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
        workers: processes; each takes a shard of the packed layout, a task of the one as published, or a file.
        executor: "local", or "ray" for tasks on its cluster instead of processes.
        part: (i, N): only every N-th shard, from shard i; needs `findings`.
        findings: a folder that keeps what is found until all is, so that a check that was stopped is resumed.
        mapping: how upstream's columns are read, for the layout as published.
        progress: called with how much is done, and of how much: shards, or bytes of the layout as published.

    Raises:
        UsageError: converted to a format that cannot be imported, or a mapping that does not fit.
        SourceError: nothing there, or no layout that is known.
    """
    how: dict[str, Any] = {"workers": workers, "executor": executor, "part": part}
    how |= {"folder": Path(findings) if findings else None}
    if Path(source, REPORT_NAME).is_file():
        return run_check(converted_check(Path(source), deep=deep), on_done=progress, **how)
    opened = open_source(source, revision=revision, token=token, mapping=mapping)
    if isinstance(opened, UpstreamSource):
        on_news = _bytes_of(opened.repository, progress)
        return run_check(published_check(opened, deep=deep), on_news=on_news, **how)
    try:
        check = packed_check(opened.repository, deep=deep)
    except SourceError as error:
        return Findings(source=opened.repository.name, problems=(("no_manifest", str(error)),))
    return run_check(check, on_done=progress, **how)


def _bytes_of(repository: Repository, progress: Progress) -> Callable[[tuple[str, int]], None]:
    total, read = sum(repository.list_files().values()), Counter[str]()

    def on_news(news: tuple[str, int]) -> None:
        path, size = news
        read[path] += size
        progress(min(read.total(), total), total)

    return on_news


def converted_check(folder: Path, *, deep: bool) -> Check:
    """Import what `convert` wrote, and compare it with its report; a unit for each file.

    Args:
        deep: also decode every picture.

    Raises:
        UsageError: the format cannot be imported.
    """
    written = Report.read(folder / REPORT_NAME)
    # Of records that name none; a rule of the row does not depend on it.
    options = {"task": next(iter(TASKS)), "any_task": True}
    pieces = import_pieces(written.format, folder, options=options) if written.rows_out else []
    repository = LocalFolder(folder.absolute())
    return Check(
        source=str(folder),
        identity=repository.fingerprint(repository.list_files()) + f" deep={deep}",
        units=len(pieces),
        work=partial(_check_piece, pieces, deep),
        end=partial(_end, folder, written),
    )


def _check_piece(pieces: Sequence[Shard], deep: bool, unit: int, tell: Tell) -> Found:
    return count_rows(pieces[unit](), every_problem(), deep=deep)


def _end(folder: Path, written: Report, found: Sequence[Found], ids: Sequence[Path]) -> Findings:
    findings = summed(str(folder), found)
    missing = tuple(
        (
            f"{what}_count",
            f"{folder}: {count:,} {what} can be read; its {REPORT_NAME} says {expected:,} were written; convert again",
        )
        for what, there, expected in (
            ("records", findings.rows, written.records_out),
            ("pictures", findings.images, written.images_out + sum(written.images_repeated.values())),
        )
        if (count := sum(there.values())) != expected
    )
    return replace(findings, problems=(*findings.problems, *missing))
