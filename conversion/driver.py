"""Rows -> a training format: in parallel by shard, resumable, the same bytes however often it was interrupted.

shards -> (check, write)* -> staging -> join and move -> top-level files -> conversion_report.json
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from conversion.formats import LeftOut, Shard, Writer, choose, columns_lost, get_format
from conversion.guide import README_NAME, readme
from conversion.report import REPORT_NAME, Report, Tally, report_of
from conversion.shard import ShardFolder, check_ids, join_lines, move_files
from toolkit.errors import RowError, UsageError
from toolkit.executors import Tell
from toolkit.registry import make_options
from toolkit.rules import check_row
from toolkit.schema import Row
from toolkit.sources.skips import Skips, check_policy
from toolkit.staging.files import write_whole
from toolkit.staging.jobs import STAGING, Job, Part, forget, is_begun, open_job

_EMPTY = ("", "{}", ())
_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def convert_shards(
    shards: Sequence[Shard],
    out: Path,
    *,
    to: str,
    options: Mapping[str, object] = _NO_OPTIONS,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_bad_row: str = "raise",
    on_unfit: str = "error",
    identity: str = "",
    need_bytes: Callable[[], int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Converts rows and writes a report beside them. Run it again after an interruption: finished shards are kept.

    Args:
        shards: pieces of the source; with more than one worker each must pickle.
        out: folder to make; may hold an unfinished or finished run of the same conversion, nothing else.
        to: name of a format.
        options: of that format.
        workers, executor: how many shards are written at the same time, and where. The output does not depend on it.
        part: (i, N): only every N-th shard, from shard i.
        on_bad_row: rows that break a rule of the record: "raise" or "skip" (counted; 100 in a row stop).
        on_unfit: good rows which the format cannot hold: "error" or "drop" (counted).
        identity: says which source this is (a revision, a hash); an unfinished run of another one is not continued.
        need_bytes: about as many as the output takes, for the message about a full disk.
        progress: called with (finished shards, all shards).

    Raises:
        UsageError: wrong options, or `out` holds something else, or another process is at work there.
        RowError: a row is bad or does not fit, or an id occurs twice. TooManyBadRows: 100 bad rows in a row.
        DiskFull: no space is left. PartDone: the part is.
    """
    form = get_format(to)
    chosen = make_options(form.options, options)
    choose("on_unfit", on_unfit, ("error", "drop"))
    check_policy("on_bad_row", on_bad_row)
    run = {"shards": len(shards), "on_bad_row": on_bad_row, "on_unfit": on_unfit, "identity": identity}
    if (out / REPORT_NAME).exists():
        return _finished(out, to, asdict(chosen), run)
    _check_empty(out)
    plan = {"convert": to, "options": asdict(chosen), **run}
    with open_job(out, plan, part=part, need_bytes=need_bytes) as job:
        if (out / REPORT_NAME).exists():  # another process has just ended it
            job.close()
            return _finished(out, to, asdict(chosen), run)
        work = partial(_convert_shard, shards, to, chosen, run)
        units = range(len(shards))
        results = job.run(work, units, executor=executor, workers=workers, on_done=progress or (lambda done, all: None))
        return _finish(to, chosen, run, job, results)


def _finished(out: Path, to: str, options: Mapping[str, Any], run: Mapping[str, Any]) -> Report:
    report = Report.read(out / REPORT_NAME)
    if (report.format, report.options, report.run) != (to, options, run):
        raise UsageError(
            f"{out} holds another conversion: {report.format} with {report.options}, {report.run}; choose another "
            "folder"
        )
    forget(out)
    return report


def _check_empty(out: Path) -> None:
    """
    Raises:
        UsageError: a folder with other things than a conversion.
    """
    if out.exists() and not is_begun(out) and any(entry.name != STAGING for entry in out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no conversion; choose another folder")


def _convert_shard(
    shards: Sequence[Shard], to: str, options: Any, run: Mapping[str, Any], number: int, folder: Path, tell: Tell
) -> dict[str, Any]:
    form = get_format(to)
    lost = columns_lost(form, options)
    with ShardFolder(folder, number) as target:
        writer = form.writer(target, options)
        _write_rows(shards[number], target, writer, lost, run)
        return target.finish(writer.close())


def _write_rows(shard: Shard, target: ShardFolder, writer: Writer, lost: Sequence[str], run: Mapping[str, Any]) -> None:
    skips = Skips(on_bad_row=run["on_bad_row"])
    for row in shard():
        target.tally.rows_in += 1
        if isinstance(row, RowError):
            target.tally.count("rows_dropped", row.kind, str(row))
            continue
        target.tally.images_in += len(row.images)
        try:
            check(row, target)
        except RowError as error:
            skips.bad(error)
            _drop(target.tally, row, error)
            continue
        skips.good()
        try:
            writer.write(row)
        except RowError as error:
            if run["on_unfit"] == "error" and not isinstance(error, LeftOut):
                raise RowError(
                    f"{error}; or pass on_unfit='drop' to leave such rows out and count them", kind=error.kind
                ) from error
            _drop(target.tally, row, error)
            continue
        target.tally.rows_out += 1
        for column in lost:
            target.tally.count("columns_lost", column, row.id, getattr(row, column) not in _EMPTY)


def _drop(tally: Tally, row: Row, error: RowError) -> None:
    tally.count("rows_dropped", error.kind, row.id)
    tally.count("images_dropped", "row_dropped", row.id, len(row.images))


def check(row: Row, target: ShardFolder) -> None:
    """`check_row`, and what files add to it."""
    check_row(row)
    if not target.claim(row.id):
        raise RowError(
            f"{row.task}: row {row.id!r}: the id occurs twice; ids must be unique, for they name files and samples",
            kind="duplicate_id",
        )


def _finish(to: str, options: Any, run: Mapping[str, Any], job: Job, results: Sequence[dict[str, Any]]) -> Report:
    form = get_format(to)
    folders = [job.unit(number) for number in range(len(results))]
    check_ids(folders)
    tallies = (Tally(**result["tally"]) for result in results)
    report = report_of(tallies, format=to, options=asdict(options), run=run)
    join_lines(folders, job.out, form.wraps(options))
    move_files(folders, job.out)
    notes = [result["notes"] for result in results]
    form.finish(job.out, notes, options, report)
    write_whole(job.out / README_NAME, readme(form, options, form.front_matter(notes, options)))
    write_whole(job.out / REPORT_NAME, report.to_json())
    job.close()
    return report
