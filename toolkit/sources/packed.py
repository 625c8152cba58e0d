"""The packed layout: `data/<task>/*.parquet` with the pictures inside, read row group by row group."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from toolkit.errors import RowError, ShardError, SourceError, shorten
from toolkit.rules import check_row
from toolkit.schema import ARROW_SCHEMA, COLUMNS, Row, rows_of
from toolkit.sources.ahead import in_one_process
from toolkit.sources.manifest import MANIFEST, Manifest, Shard, read_manifest
from toolkit.sources.parquet import Parquet, open_parquet, read_tables
from toolkit.sources.repository import OnRead, Repository, downloaded
from toolkit.sources.skips import Skips
from toolkit.sources.splits import DEFAULT_SPLIT, check_split, split_named_in
from toolkit.tasks import NO_TASKS, TASK_NAME, Vocabulary, in_order


@dataclass(frozen=True, kw_only=True)
class PackedSource:
    """Rows of the packed layout.

    Attributes:
        paths: task -> its shards of all splits, in order.
        split: whose rows are read.
    """

    repository: Repository
    paths: dict[str, tuple[str, ...]]
    split: str = DEFAULT_SPLIT

    @property
    def splits(self) -> dict[str, int]:
        """Split -> shards, of all that are there."""
        return dict(Counter(_split_of(path) for paths in self.paths.values() for path in paths))

    def of_split(self, split: str) -> "PackedSource":
        """The same source, reading another split.

        Raises:
            UsageError: there is none; lists those there are.
        """
        check_split(self.repository.name, split, self.splits)
        return replace(self, split=split)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those with shards of the split, also of which all are missing."""
        there = {task for task, paths in self.paths.items() if any(_split_of(path) == self.split for path in paths)}
        return tuple(in_order(there | {*self._missing}))

    @cached_property
    def _manifest(self) -> Manifest | None:
        return read_manifest(self.repository) if MANIFEST in self.repository.list_files() else None

    @cached_property
    def _missing(self) -> dict[str, list[str]]:
        """Task -> its shards of the split that the manifest names, and that are not there."""
        found: dict[str, list[str]] = {}
        for shard in self._manifest.shards if self._manifest else ():
            if shard.path not in self.paths.get(shard.task, ()) and _split_of(shard.path) == self.split:
                found.setdefault(shard.task, []).append(shard.path)
        return found

    @cached_property
    def _footers(self) -> dict[str, int | None]:
        """CRC-32 of the footer of each shard that the manifest names."""
        return {shard.path: shard.footer_crc32 for shard in self._manifest.shards} if self._manifest else {}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Definitions of the tasks that are not of the nine, as the manifest has them."""
        return self._manifest.vocabulary if self._manifest else NO_TASKS

    def shards(self, tasks: Iterable[str]) -> list[str]:
        """
        Raises:
            SourceError: some that the manifest names are not there.
        """
        tasks = list(tasks)
        if missing := [path for task in tasks for path in self._missing.get(task, ())]:
            raise SourceError(
                f"{self.repository.name}: not there, though {MANIFEST} names them: {shorten(missing)}; fetch them, or "
                "name the tasks that are whole"
            )
        return [path for task in tasks for path in self.paths.get(task, ()) if _split_of(path) == self.split]

    def fingerprint(self, tasks: Iterable[str]) -> str:
        """Of all splits."""
        return self.repository.fingerprint([path for task in tasks for path in self.paths.get(task, ())])

    def downloaded(self) -> "PackedSource":
        """The same rows, from shards that are downloaded when they are first opened."""
        return replace(self, repository=downloaded(self.repository))

    def disk_needed(self, tasks: Iterable[str]) -> dict[str, int]:
        """Bytes that a copy takes."""
        sizes = self.repository.list_files()
        return {"output": int(1.05 * sum(sizes[shard] for shard in self.shards(tasks))), "temporary": 0}

    def read(
        self,
        task: str,
        skips: Skips | None = None,
        *,
        in_order: bool = True,
        owns_unknown: bool = True,
        on_read: OnRead | None = None,
    ) -> Iterator[Row]:
        """Rows of one task, in order; those that break a rule, as others may have packed them, are given to `skips`.

        Args:
            on_read: told (shard, its bytes) after each.
        """
        skips = skips or Skips()
        sizes = self.repository.list_files() if on_read else {}
        for shard in self.shards([task]):
            for row in checked_rows(self.read_tables(shard), shard):
                if isinstance(row, RowError):
                    skips.bad(row)
                else:
                    skips.good()
                    yield row
            if on_read:
                on_read(shard, sizes[shard])

    def read_tables(self, shard: str, owns_unknown: bool = True) -> Iterator[pa.Table]:
        """A table a row group, in order; of a very large one several.

        Raises:
            ShardError: cut off, damaged, or not of our columns.
        """
        with open_parquet(self.repository, shard, verify=True, footer=self._footers.get(shard)) as parquet:
            for table in in_one_process(read_tables(parquet)):
                yield as_rows(table, f"{self.repository.name}: {shard}")


def open_shard(repository: Repository, shard: Shard) -> AbstractContextManager[Parquet]:
    """A shard of a manifest, its pages and its footer compared with their checksums. Raises as `open_parquet`."""
    return open_parquet(repository, shard.path, verify=True, footer=shard.footer_crc32)


def checked_rows(tables: Iterable[pa.Table], where: str) -> Iterator[Row | RowError]:
    """Rows that keep the rules; an error in place of each that breaks one or cannot be read."""
    for row in (row for table in tables for row in rows_of(table)):
        try:
            if isinstance(row, RowError):
                raise row
            check_row(row)
        except RowError as error:
            yield RowError(f"{where}: {error}", kind=error.kind)
        else:
            yield row


def as_rows(table: pa.Table, where: str) -> pa.Table:
    """The columns of a row, in order and of our types.

    Raises:
        ShardError: there are others, or of types that cannot be ours.
    """
    if sorted(table.column_names) != sorted(COLUMNS):
        raise ShardError(f"{where}: columns {table.column_names}; expected {list(COLUMNS)}")
    try:
        return table.select(list(COLUMNS)).cast(ARROW_SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        raise ShardError(f"{where}: columns of other types than those of a row: {error!s:.200}") from error


def check_texts(table: pa.Table | pa.RecordBatch, where: str) -> None:
    """For what copies or hands on rows that it does not read one by one.

    Raises:
        RowError: text of a row is not UTF-8.
    """
    for name in table.schema.names:
        try:
            table[name].validate(full=True)
        except pa.ArrowInvalid as error:
            raise RowError(
                f"{where}: {name!r} has text that is not UTF-8 ({error}); to find its rows, run: unifiedvisual verify",
                kind="bad_text",
            ) from error


def _split_of(path: str) -> str:
    return split_named_in(path.rpartition("/")[2])


def find_shards(files: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Task -> its Parquet files, for files that lie as the packed layout has them; empty if none do."""
    found: dict[str, list[str]] = {}
    for path in sorted(files):
        pieces = path.split("/")
        if len(pieces) == 3 and pieces[0] == "data" and TASK_NAME.fullmatch(pieces[1]) and path.endswith(".parquet"):
            found.setdefault(pieces[1], []).append(path)
    return {task: tuple(found[task]) for task in in_order(found)}
