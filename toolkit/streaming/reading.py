"""Places -> rows, row group by row group: read ahead in threads, each row group read once, each row let go as soon as
it is taken.
"""

from collections import OrderedDict, deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import pyarrow.parquet as pq

from toolkit.errors import ShardError, UnifiedVisualError, UnknownName, UsageError
from toolkit.schema import COLUMNS
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import Shard, check_sizes, read_manifest
from toolkit.sources.packed import PackedSource
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import LocalFolder, Repository
from toolkit.streaming.groups import Place, RowGroup, row_groups
from toolkit.streaming.slices import IMAGE_PATH, IMAGES, ImageSlice, OpenFile, image_places, image_slices
from toolkit.tasks import tasks_of

Encoded = dict[str, Any]  # a row as plain values, pictures as {"bytes", "path"}

HUB_CONNECTIONS = 4  # row groups that a reader fetches at once
TAKEN: Encoded = {}
FOOTERS_KEPT = 64  # so that a shard on the Hub is not asked for it for each row group


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The shards of one config of a packed dataset."""

    repository: Repository
    shards: tuple[Shard, ...]

    def row_groups(self, source: int = 0) -> tuple[RowGroup, ...]:
        return row_groups(
            (shard.row_groups for shard in self.shards), tasks=(shard.task for shard in self.shards), source=source
        )


def open_packed(
    path: Any, name: str = "all", *, revision: str | None = None, token: str | bool | None = None
) -> Packed:
    """A config of a packed dataset.

    Raises:
        UsageError: the dataset is not packed; UnknownName: no such config; SourceError: it cannot be found, or its
            manifest cannot be read.
    """
    source = open_source(path, revision=revision, token=token)
    if not isinstance(source, PackedSource):
        named = f"{source.repository.name} has the layout as published"
        raise UsageError(
            f"{named}; only a packed dataset can be read in any order; run: unifiedvisual pack {path} FOLDER"
        )
    manifest = read_manifest(source.repository)
    tasks = tasks_of(name, manifest.vocabulary)
    shards = tuple(shard for task in tasks for shard in manifest.tasks.get(task, ()))
    if not any(shard.rows for shard in shards):
        raise UnifiedVisualError(
            f"{source.repository.name} has no rows of config {name!r}; it has: {', '.join(manifest.tasks)}"
        )
    check_sizes(shards, source.repository.list_files(), source.repository.name)
    return Packed(repository=source.repository, shards=shards)


def check_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    """Raises UnknownName for a column that no row has."""
    for column in columns or ():
        if column not in COLUMNS:
            raise UnknownName("column", column, COLUMNS)
    return tuple(columns) if columns is not None else COLUMNS


class RowGroups:
    """Reads whole row groups as lists of rows. Threads may share one."""

    def __init__(self, sources: Sequence[Packed], columns: Sequence[str]) -> None:
        self._sources, self._columns = sources, list(columns)
        self._footers: dict[tuple[int, int], pq.FileMetaData] = {}

    def read(self, group: RowGroup) -> list[Encoded]:
        """Rows of a row group; pictures may be ImageSlices, for `with_bytes`.

        Raises:
            ShardError: the shard is damaged, or is not the one that the manifest tells of. SourceError: it cannot be
                read.
        """
        packed = self._sources[group.source]
        path = packed.shards[group.shard].path
        with open_parquet(packed.repository, path, metadata=self._footers.get(group[:2])) as parquet:
            footer = parquet.metadata
            found = footer.row_group(group.number).num_rows if group.number < footer.num_row_groups else 0
            rows = self._rows(packed.repository, path, parquet, group.number) if found == group.rows else []
            self._keep(group[:2], footer)
        if len(rows) != group.rows:
            where = f"{packed.repository.name}: {path}: row group {group.number}"
            raise ShardError(
                f"{where}: {found} rows; the manifest says {group.rows} rows; download it again, or pack again"
            )
        return rows

    def _rows(self, repository: Repository, path: str, parquet: pq.ParquetFile, number: int) -> list[Encoded]:
        rows = None
        if IMAGES in self._columns and isinstance(repository, LocalFolder):
            rows = self._sliced(OpenFile(repository.root / path), parquet, number)
        return (
            rows
            if rows is not None
            else cast(
                list[Encoded], parquet.read_row_group(number, columns=self._columns, use_threads=False).to_pylist()
            )
        )

    def _sliced(self, file: OpenFile, parquet: pq.ParquetFile, number: int) -> list[Encoded] | None:
        """Rows whose pictures stay in the file; None if they have to be read."""
        places = image_places(file.number, parquet.metadata.row_group(number))
        if places is None:
            return None
        columns = [column if column != IMAGES else IMAGE_PATH for column in self._columns]
        table = parquet.read_row_group(number, columns=columns, use_threads=False)
        pictures = image_slices(file, places, table[IMAGES])
        if pictures is None:
            return None
        rest = table.drop_columns([IMAGES])
        rows = rest.to_pylist() if rest.num_columns else [{} for _ in pictures]
        return [
            {column: row[column] if column != IMAGES else images for column in self._columns}
            for row, images in zip(rows, pictures, strict=True)
        ]

    def where(self, place: Place) -> str:
        """Names a row that does not name itself."""
        packed = self._sources[place.group.source]
        return (
            f"{packed.repository.name}: {packed.shards[place.group.shard].path}: row group "
            f"{place.group.number}, row {place.row}"
        )

    @property
    def connections(self) -> int:
        """How many row groups to read at a time."""
        return 1 if all(isinstance(packed.repository, LocalFolder) for packed in self._sources) else HUB_CONNECTIONS

    def _keep(self, key: tuple[int, int], footer: pq.FileMetaData) -> None:
        if len(self._footers) >= FOOTERS_KEPT:
            self._footers.clear()
        self._footers[key] = footer


def with_bytes(row: Encoded) -> Encoded:
    """The row with the bytes of its pictures."""
    images = row.get("images", ())
    return (
        {**row, "images": [image.read() for image in images]} if images and isinstance(images[0], ImageSlice) else row
    )


def read_rows(
    places: Iterable[Place], groups: RowGroups, *, ahead: int, held: int
) -> Generator[tuple[Place, Encoded], None, None]:
    """The rows of some places, in their order.

    Args:
        ahead: rows whose row groups are read before the rows are asked for.
        held: row groups kept at most, when a row group is not used up; the one used longest ago goes first, and is read
            again when it is needed.
    """
    open_groups: OrderedDict[RowGroup, Future[list[Encoded]]] = OrderedDict()
    left: dict[RowGroup, int] = {}
    waiting: deque[tuple[Place, Future[list[Encoded]]]] = deque()

    def ask(place: Place) -> None:
        if place.group not in open_groups:
            open_groups[place.group] = pool.submit(groups.read, place.group)
            left[place.group] = place.group.rows
        open_groups.move_to_end(place.group)
        waiting.append((place, open_groups[place.group]))
        left[place.group] -= 1
        if not left[place.group]:  # every row is asked for; `waiting` holds it as long as it is needed
            del open_groups[place.group]
        elif len(open_groups) > held:
            open_groups.popitem(last=False)

    pool = ThreadPoolExecutor(groups.connections, thread_name_prefix="read-rows")
    try:
        remaining = iter(places)
        for place in islice(remaining, max(ahead, 1)):
            ask(place)
        while waiting:
            place, future = waiting.popleft()
            rows = future.result()
            row, rows[place.row] = rows[place.row], TAKEN
            yield (
                place,
                with_bytes(row if row is not TAKEN else groups.read(place.group)[place.row]),
            )  # padding and mixtures may repeat a row
            for place in islice(remaining, 1):
                ask(place)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
