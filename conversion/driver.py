"""Rows -> a training format: in parallel by shard, resumable, the same bytes however often it was interrupted.

shards -> (check, write)* -> .parts/ -> join and move -> top-level files -> conversion_report.json
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any

from conversion.formats import Format, LeftOut, Shard, Writer, choose, columns_lost, get_format, make_options
from conversion.report import REPORT_NAME, Report, Tally, report_of
from conversion.shard import (
    MARKER,
    PARTS,
    ShardFolder,
    check_ids,
    join_lines,
    json_line,
    move_files,
    read_marker,
    run_shard,
)
from toolkit.errors import RowError, UsageError
from toolkit.schema import Row, check_row
from toolkit.sources.skips import Skips
from toolkit.staging.files import write_whole

LONGEST_ID = 200  # characters; with a number and a suffix a file name must stay below 255
_EMPTY = ("", "{}", ())
_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


def convert_shards(
    shards: Sequence[Shard],
    out: Path,
    *,
    to: str,
    options: Mapping[str, object] = _NO_OPTIONS,
    workers: int = 1,
    on_bad_row: str = "raise",
    on_unfit: str = "error",
    identity: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Converts rows and writes a report beside them. Run it again after an interruption: finished shards are kept.

    Args:
        shards: pieces of the source; with more than one worker each must pickle.
        out: folder to make; may hold an unfinished or finished run of the same conversion, nothing else.
        to: name of a format.
        options: of that format.
        workers: processes. The output does not depend on it.
        on_bad_row: rows that break a rule of the record: "raise" or "skip" (counted; 100 in a row stop).
        on_unfit: good rows which the format cannot hold: "error" or "drop" (counted).
        identity: says which source this is (a revision, a hash); an unfinished run of another one is not continued.
        progress: called with (finished shards, all shards).

    Raises:
        UsageError: wrong options, or `out` holds something else.
        RowError: a row is bad or does not fit, or an id occurs twice.
        TooManyBadRows: 100 bad rows in a row.
    """
    form = get_format(to)
    chosen = make_options(form.options, options)
    choose("on_unfit", on_unfit, ("error", "drop"))
    Skips(on_bad_row=on_bad_row)  # type: ignore[arg-type]  # checks the word
    run = {"shards": len(shards), "on_bad_row": on_bad_row, "on_unfit": on_unfit, "identity": identity}
    parts = out / PARTS
    if (out / REPORT_NAME).exists():
        return _finished(out, to, asdict(chosen), run)
    _prepare(out, {"format": to, "options": asdict(chosen), **run})
    folders = [parts / f"{number:05d}" for number in range(len(shards))]
    jobs = [
        partial(_convert_shard, shard, folder, number, to, chosen, run)
        for number, (shard, folder) in enumerate(zip(shards, folders, strict=True))
    ]
    _run(jobs, workers, progress or (lambda done, total: None))
    check_ids(folders)
    return _finish(form, to, chosen, run, folders, out)


def _prepare(out: Path, plan: Mapping[str, Any]) -> None:
    text = json_line(plan)
    plan_file = out / PARTS / "plan.json"
    if plan_file.exists() and not any((out / PARTS).glob(f"*/{MARKER}")):
        shutil.rmtree(out / PARTS)  # nothing is finished: nothing is lost by beginning anew
    if plan_file.exists():
        if plan_file.read_bytes() != text:
            raise UsageError(
                f"{out} holds an unfinished conversion {plan_file.read_text().strip()}; finish that one, or delete "
                "the folder"
            )
    elif out.exists() and any(entry.name != PARTS for entry in out.iterdir()):
        raise UsageError(f"{out} is not empty and holds no conversion; choose another folder")
    else:
        write_whole(plan_file, [text])


def _finished(out: Path, to: str, options: Mapping[str, Any], run: Mapping[str, Any]) -> Report:
    report = Report.read(out / REPORT_NAME)
    if (report.format, report.options, report.run) != (to, options, run):
        raise UsageError(
            f"{out} holds another conversion: {report.format} with {report.options}, {report.run}; choose another "
            "folder"
        )
    shutil.rmtree(out / PARTS, ignore_errors=True)
    return report


def _run(jobs: Sequence[Callable[[], None]], workers: int, progress: Callable[[int, int], None]) -> None:
    if workers <= 1 or len(jobs) <= 1:
        for done, job in enumerate(jobs, start=1):
            job()
            progress(done, len(jobs))
        return
    # spawn: a fork would copy the locks of threads that Arrow has started
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(done, len(jobs))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """Ends this worker when the driver is killed, so that it does not write beside the run that comes next."""

    def watch() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


def _convert_shard(shard: Shard, folder: Path, number: int, to: str, options: Any, run: Mapping[str, Any]) -> None:
    def write(unfinished: Path) -> None:
        form = get_format(to)
        lost = columns_lost(form, options)
        with ShardFolder(unfinished, number) as target:
            writer = form.writer(target, options)
            _write_rows(shard, target, writer, lost, run)
            target.finish(writer.close())

    run_shard(folder, write)


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
    """`check_row`, and what files and JSON add to it."""
    check_row(row)
    if len(row.id) > LONGEST_ID:
        raise RowError(
            f"{row.task}: row {row.id[:40]!r}...: the id has {len(row.id)} characters; at most {LONGEST_ID} fit a "
            "file name",
            kind="long_id",
        )
    try:
        "".join(_texts(row)).encode()
    except UnicodeEncodeError as error:
        raise RowError(
            f"{row.task}: row {row.id!r}: text holds half a character (a lone surrogate): {error}", kind="bad_text"
        ) from error
    if not target.claim(row.id):
        raise RowError(
            f"{row.task}: row {row.id!r}: the id occurs twice; ids must be unique, for they name files and samples",
            kind="duplicate_id",
        )


def _texts(row: Row) -> Iterator[str]:
    yield from (row.instruction, row.rationale, row.answer, row.source, row.license, row.provenance)
    yield from (part.text for message in row.messages for part in message.content)
    yield from row.image_captions
    yield from (image.path for image in row.images)
    yield from (region.label for region in row.regions)


def _finish(form: Format, to: str, options: Any, run: Mapping[str, Any], folders: Sequence[Path], out: Path) -> Report:
    markers = [read_marker(folder) for folder in folders]
    report = report_of((tally for tally, _ in markers), format=to, options=asdict(options), run=run)
    join_lines(folders, out, form.wraps(options))
    move_files(folders, out)
    form.finish(out, [notes for _, notes in markers], options, report)
    write_whole(out / REPORT_NAME, report.to_json())
    shutil.rmtree(out / PARTS)
    return report
