"""A repository in the layout as published, ready to be read task by task."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc

from toolkit.errors import LayoutError, shorten
from toolkit.schema import Row, rows_to_table
from toolkit.sources.parquet import open_parquet
from toolkit.sources.published.join import MEMORY_BYTES, join
from toolkit.sources.published.look import look, task_named_in
from toolkit.sources.published.mapping import FilePlan, Overrides
from toolkit.sources.published.sketches import Sketch, read_sketches
from toolkit.sources.repository import OnRead, Repository, downloaded
from toolkit.sources.skips import OnBad, Skips
from toolkit.tasks import Vocabulary, describe_tasks, find_task, in_order

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
BATCH_ROWS, BATCH_BYTES = 64, 4 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class UpstreamSource:
    """Rows of the layout as published.

    Attributes:
        plans: how each Parquet file is read, in path order.
        archives: task -> path of its archive.
        on_missing, on_bad_row: see Skips.
    """

    repository: Repository
    plans: tuple[FilePlan, ...]
    archives: dict[str, str]
    tasks: tuple[str, ...]  # that have rows here, or may have
    on_missing: OnBad = "raise"
    on_bad_row: OnBad = "raise"

    @property
    def vocabulary(self) -> Vocabulary:
        """Definitions of the tasks that are not of the nine."""
        return describe_tasks(self.tasks)

    def files(self, tasks: Iterable[str]) -> list[str]:
        """The Parquet files and archives of some tasks."""
        wanted = set(tasks)
        texts = [plan.path for plan in self.plans if not plan.task or plan.task in wanted]
        return texts + [path for task, path in self.archives.items() if task in wanted]

    def fingerprint(self, tasks: Iterable[str]) -> str:
        content = self.repository.fingerprint(self.files(tasks)) + repr(
            self.plans
        )  # the plans: a changed mapping is a changed dataset
        return hashlib.sha256(content.encode()).hexdigest()

    def downloaded(self) -> "UpstreamSource":
        """The same rows, from files that are downloaded when they are first opened."""
        return replace(self, repository=downloaded(self.repository))

    def disk_needed(self, tasks: Iterable[str]) -> dict[str, int]:
        """Bytes that packing takes: about as much as is read, at worst the largest archive for waiting pictures."""
        sizes = self.repository.list_files()
        archives = [sizes[self.archives[task]] for task in tasks if task in self.archives]
        texts = sum(sizes[plan.path] for plan in self.plans)
        return {"output": int(1.05 * sum(archives)) + 5 * texts, "temporary": max(archives, default=0)}

    def shards(self, tasks: Iterable[str]) -> list[str]:
        """What can be read independently of each other: one task, one archive."""
        return [task for task in tasks if task in self.tasks]

    def sketches(self, task: str, skips: Skips, *, owns_unknown: bool = True) -> Iterator[Sketch]:
        """Rows of a task without their pictures."""
        return read_sketches(
            self.repository, self.plans, find_task(task), self.archives, skips, owns_unknown=owns_unknown
        )

    def read(
        self,
        task: str,
        skips: Skips | None = None,
        *,
        in_order: bool = False,
        owns_unknown: bool = True,
        on_read: OnRead | None = None,
        keep_incomplete: bool = False,
        memory_bytes: int = MEMORY_BYTES,
    ) -> Iterator[Row]:
        """Rows of a task with their pictures; see join().

        Args:
            on_read: told (archive, compressed bytes just read), for progress.
        """
        skips = skips or Skips(on_missing=self.on_missing, on_bad_row=self.on_bad_row)

        def open_archive(path: str) -> BinaryIO:
            file = self.repository.stream(path)
            return cast(BinaryIO, _Counting(file, lambda size: on_read(path, size))) if on_read else file

        sketches = self.sketches(task, skips, owns_unknown=owns_unknown)
        yield from join(
            sketches, open_archive, skips, in_order=in_order, keep_incomplete=keep_incomplete, memory_bytes=memory_bytes
        )
        if skips.counts:
            logger.warning(
                "%s: %s: %s; e.g. %s",
                self.repository.name,
                task,
                skips.summary(),
                next(iter(skips.examples.values()))[0],
            )

    def read_tables(self, shard: str, owns_unknown: bool = True) -> Iterator[pa.Table]:
        """Rows as tables that grow from one row, so that the first comes at once, to BATCH_ROWS or BATCH_BYTES."""
        batch: list[Row] = []
        size, limit = 0, 1
        for row in self.read(shard, owns_unknown=owns_unknown):
            batch.append(row)
            size += sum(len(image.bytes) for image in row.images)
            if len(batch) >= limit or size >= BATCH_BYTES:
                yield rows_to_table(batch)
                batch, size, limit = [], 0, min(2 * limit, BATCH_ROWS)
        if batch:
            yield rows_to_table(batch)


class _Counting:
    def __init__(self, file: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._file, self._on_read = file, on_read

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_read(len(data))
        return data

    def close(self) -> None:
        self._file.close()


def open_upstream(
    repository: Repository,
    files: Iterable[str],
    *,
    overrides: Overrides | None = None,
    on_missing: OnBad = "raise",
    on_bad_row: OnBad = "raise",
) -> UpstreamSource:
    """Look at every Parquet file and find the archives.

    Raises:
        LayoutError: no Parquet, or a file that cannot be told how to read.
    """
    Skips(on_missing=on_missing, on_bad_row=on_bad_row)  # a wrong policy is told now, not at the first bad row
    files = list(files)
    texts = [path for path in files if path.endswith(".parquet")]
    if not texts:
        raise LayoutError(f"{repository.name}: no Parquet under data/; found {shorten(files) or 'no files at all'}")
    plans = tuple(look(repository, path, overrides or {}) for path in texts)
    return replace(source_of(repository, plans, find_archives(files)), on_missing=on_missing, on_bad_row=on_bad_row)


def find_archives(files: Iterable[str]) -> dict[str, str]:
    """Task -> path of the archive named after it, whether or not the typo in one name is still there."""
    archives = (path for path in files if path.endswith(ARCHIVE_SUFFIXES))
    return {task: path for path in archives if (task := task_named_in(path.rpartition("/")[2].partition(".")[0]))}


def source_of(repository: Repository, plans: tuple[FilePlan, ...], archives: dict[str, str]) -> UpstreamSource:
    """A source from plans already made."""
    tasks = {task for plan in plans for task in _tasks_of(repository, plan, archives)}
    return UpstreamSource(repository=repository, plans=plans, archives=archives, tasks=in_order(tasks))


def _tasks_of(repository: Repository, plan: FilePlan, archives: dict[str, str]) -> Iterable[str]:
    if plan.task:
        return [plan.task]
    if not plan.task_column:
        return archives
    with open_parquet(repository, plan.path) as parquet:
        column = parquet.read([plan.task_column], use_threads=False).column(0)
    values = pc.unique(column).to_pylist()
    return {plan.task_values.get(str(value)) or task_named_in(str(value)) for value in values}
