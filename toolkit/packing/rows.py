"""Any rows -> the packed layout, in one pass over them."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.errors import RowError, UsageError
from toolkit.executors import Tell
from toolkit.packing.pack import end, made_from, publish
from toolkit.packing.shards import RowGrouper
from toolkit.packing.stage import PackOptions, TaskShards, check_images
from toolkit.rules import check_row
from toolkit.schema import Row
from toolkit.sources.manifest import MANIFEST, Manifest, read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.sources.rows import RowsDigest
from toolkit.staging.jobs import forget, open_job
from toolkit.tasks import TASKS, Task, configs_of, describe_tasks, find_task, in_order


def pack_rows(
    rows: Iterable[Row | RowError],
    out: str | os.PathLike[str],
    options: PackOptions | None = None,
    *,
    tasks: Iterable[Task | str] = (),
    source: str = "rows",
) -> Manifest:
    """Pack rows of any tasks, in any order, into a dataset that loads and streams like any other.

        pack_rows((make_row(record) for record in records), "packed")

    Every row is checked. Rows of a task keep their order; the same rows give the same bytes. A call that is stopped
    begins anew the next time. A folder that is finished is left as it is if the rows are the same, for which all are
    read and hashed, and is refused if they are not.

    Args:
        rows: read once. A RowError among them stands for a row that was left out.
        out: a folder; made if it is not there.
        options: sizes of shards and row groups, and what to do with bad rows.
        tasks: those that are neither of the nine nor declared by an installed package: the `Task`, or "module:NAME" or
            "path/to/file.py:NAME" of it.
        source: what the manifest says of where the rows come from.

    Raises:
        UsageError: `out` holds something else, or another process is at work there; or something is no row.
        UnknownName: a task that is defined nowhere. RowError: a bad row, unless skipped. DiskFull: no space is left.
    """
    out, options = Path(out), options or PackOptions()
    known = [task if isinstance(task, Task) else find_task(task) for task in tasks]
    checked = _CheckedRows(rows, options, {task.name: task for task in known})
    plan = {"rows of": source, "options": asdict(options)}
    if (out / MANIFEST).exists():
        return _finished(out, plan, checked)
    with open_job(out, plan) as job:
        if (out / MANIFEST).exists():  # another process has just ended it
            job.close()
            return _finished(out, plan, checked)
        is_staged = job.is_done(0)
        try:
            [staged] = job.run(checked.stage, [0])
        except BaseException:
            job.close()
            raise
        if is_staged and staged != checked.end():
            raise UsageError(f"{out} holds other rows, half packed; choose another folder, or remove it")
        folders = {task: job.unit(0) / task for task in staged["tasks"]}
        manifest = Manifest(
            source={"repository": source, "revision": ""},
            options=asdict(options),
            shards=tuple(publish(job, folders)),
            skipped=staged["skipped"],
            vocabulary=describe_tasks(folders, checked.vocabulary),
        )
        end(job, manifest, {**plan, "sha256": staged["sha256"]})
    return manifest


def _finished(out: Path, plan: dict[str, Any], checked: "_CheckedRows") -> Manifest:
    manifest = read_manifest(LocalFolder(out))
    if made_from(out) != {**plan, "sha256": checked.end()["sha256"]}:
        raise UsageError(
            f"{out} holds a dataset packed from other rows or with other options; choose another folder, or remove it"
        )
    forget(out)
    return manifest


class _CheckedRows:
    """Rows that keep the rules, while they are counted and hashed."""

    def __init__(self, rows: Iterable[Row | RowError], options: PackOptions, vocabulary: dict[str, Task]) -> None:
        self._rows, self._options, self.vocabulary = rows, options, vocabulary
        self._skips, self._digest = options.skips(), RowsDigest()
        self._counts: Counter[str] = Counter()
        self._ids: set[str] = set()

    def stage(self, number: int, folder: Path, tell: Tell) -> dict[str, Any]:
        """Write all shards, of each task in a folder of its own."""
        shutil.rmtree(folder, ignore_errors=True)
        groupers: dict[str, RowGrouper] = {}
        with ExitStack() as stack:
            shards: dict[str, TaskShards] = {}
            for row in self:
                if row.task not in shards:
                    place = folder / row.task
                    place.mkdir(parents=True)
                    shards[row.task] = stack.enter_context(TaskShards(place, row.task, self._options.shard_bytes))
                    groupers[row.task] = RowGrouper(self._options.row_group_bytes)
                if group := groupers[row.task].add(row):
                    shards[row.task].write(group)
            for task, grouper in groupers.items():
                if group := grouper.rest():
                    shards[task].write(group)
        return self.end()

    def end(self) -> dict[str, Any]:
        """What all rows came to; those not read yet are read."""
        for _ in self:
            pass
        tasks = in_order(self._counts)
        if not tasks:
            raise UsageError("there is no row to pack")
        skipped = {tasks[0]: dict(self._skips.counts)} if self._skips.counts else {}
        return {"tasks": list(tasks), "skipped": skipped, "sha256": self._digest.hexdigest()}

    def __iter__(self) -> Iterator[Row]:
        """What is left of the rows."""
        rows, self._rows = self._rows, ()
        for row in rows:
            try:
                if isinstance(row, RowError):
                    raise row
                self._check(row)
            except RowError as error:
                self._digest.add(row)
                self._skips.bad(error)
                continue
            self._digest.add(row)
            if self._counts[row.task] != self._options.limit:
                self._counts[row.task] += 1
                yield row

    def _check(self, row: Row) -> None:
        if not isinstance(row, Row):
            raise UsageError(f"{type(row).__name__} where a row was expected; see toolkit.schema.Row.from_dict")
        check_row(row)
        check_images(row)
        if row.task not in self._counts:
            configs_of((*TASKS.values(), *describe_tasks([row.task], self.vocabulary).values()))
        if row.id in self._ids:
            raise RowError(f"{row.task}: row {row.id!r}: the id occurs twice; ids must be unique", kind="duplicate_id")
        self._ids.add(row.id)
        self._skips.good()
