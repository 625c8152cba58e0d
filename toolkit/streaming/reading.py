"""Places -> rows, row group by row group: read ahead in threads, each row group read once, each row let go as soon as
it is taken.
"""

import zlib
from collections import OrderedDict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from toolkit.errors import ShardError, UnifiedVisualError, UnknownName, UsageError
from toolkit.schema import COLUMNS, to_dicts
from toolkit.sources.ahead import closed_at_exit
from toolkit.sources.footer import Chunk
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import Shard, check_sizes, read_manifest
from toolkit.sources.packed import PackedSource
from toolkit.sources.parquet import Parquet, open_parquet
from toolkit.sources.repository import LocalFolder, Repository
from toolkit.sources.splits import DEFAULT_SPLIT, check_split
from toolkit.streaming.groups import Place, RowGroup, row_groups
from toolkit.streaming.slices import IMAGE_PATH, IMAGES, ImageSlice, OpenFile, image_chunk, image_pages, image_slices
from toolkit.tasks import tasks_of

Encoded = dict[str, Any]  # a row as plain values, pictures as {"bytes", "path"}

HUB_CONNECTIONS = 4  # row groups that a reader fetches at once
TAKEN: Encoded = {}
FOOTERS_KEPT = 64  # so that a shard on the Hub is not asked for it for each row group


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The shards of one config of a packed dataset.

    Attributes:
        kept: rows that are read, by shard and row group; all of those that are not named.
        num_tokens: lengths of the rows that are read, where they are known, in the same order.
        left_out: reason -> rows that are not read.
        verify: every page is compared with its checksum before anything of it is used.
    """

    repository: Repository
    shards: tuple[Shard, ...]
    kept: Mapping[tuple[int, int], NDArray[np.uint32]] = field(default_factory=dict)
    num_tokens: Mapping[tuple[int, int], NDArray[np.int32]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    verify: bool = False

    def row_groups(self, source: int = 0) -> tuple[RowGroup, ...]:
        """Row groups with the number of rows that are read of each."""
        counts = [
            [len(self.kept.get((number, group), range(rows))) for group, rows in enumerate(shard.row_groups)]
            for number, shard in enumerate(self.shards)
        ]
        return row_groups(counts, tasks=(shard.task for shard in self.shards), source=source)

    @property
    def checksum(self) -> int:
        """Changes with the rows that are read, and with their lengths."""
        return zlib.crc32(b"".join(each.tobytes() for each in (*self.kept.values(), *self.num_tokens.values())))


def open_packed(
    path: Any,
    name: str = "all",
    *,
    split: str | None = DEFAULT_SPLIT,
    revision: str | None = None,
    token: str | bool | None = None,
    verify: bool = False,
) -> Packed:
    """A config of a packed dataset.

    Args:
        split: whose rows are read, of a dataset that has several; None = of all.
        verify: see `Packed`.

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
    if split is not None and (len(manifest.splits) > 1 or split != DEFAULT_SPLIT):
        check_split(source.repository.name, split, {name: len(shards) for name, shards in manifest.splits.items()})
        shards = tuple(shard for shard in shards if shard in manifest.splits[split])
    if not any(shard.rows for shard in shards):
        raise UnifiedVisualError(
            f"{source.repository.name} has no rows of config {name!r}; it has: {', '.join(manifest.tasks)}"
        )
    check_sizes(shards, source.repository.list_files(), source.repository.name)
    if verify and (bare := [shard.path for shard in shards if not shard.page_checksums]):
        raise UsageError(
            f"{source.repository.name}: {len(bare)} of {len(shards)} shards have no page checksums, {bare[0]} the "
            "first; pack again, or leave verify= out and run `unifiedvisual verify` once"
        )
    return Packed(repository=source.repository, shards=shards, verify=verify)


def check_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    """Raises UnknownName for a column that no row has."""
    for column in columns or ():
        if column not in COLUMNS:
            raise UnknownName("column", column, COLUMNS)
    return tuple(columns) if columns is not None else COLUMNS


def _holds_images(type: pa.DataType) -> bool:
    if not (pa.types.is_list(type) or pa.types.is_large_list(type)) or not pa.types.is_struct(type.value_type):
        return False
    return "path" in [field.name for field in type.value_type]  # bytes may be read apart


class RowGroups:
    """Reads whole row groups as lists of rows. Threads may share one."""

    def __init__(self, sources: Sequence[Packed], columns: Sequence[str]) -> None:
        self._sources, self._columns = sources, list(columns)
        self._footers: dict[tuple[int, int], pq.FileMetaData] = {}
        self._image_chunks: dict[tuple[int, int], list[Chunk | None]] = {}

    def read(self, group: RowGroup) -> list[Encoded]:
        """Rows of a row group; pictures may be ImageSlices, for `with_bytes`.

        Raises:
            ShardError: the shard is damaged, or is not the one that the manifest tells of. SourceError: it cannot be
                read.
        """
        packed = self._sources[group.source]
        with self._opened(group) as parquet:
            rows = None
            if IMAGES in self._columns and isinstance(packed.repository, LocalFolder):
                file = OpenFile(packed.repository.root / packed.shards[group.shard].path)
                rows = self._sliced(file, parquet, group)
            rows = to_dicts(self._table(parquet, group)) if rows is None else rows
        if (lengths := packed.num_tokens.get((group.shard, group.number))) is not None:
            rows = [{**row, "num_tokens": num_tokens} for row, num_tokens in zip(rows, lengths.tolist(), strict=True)]
        return rows

    def table(self, group: RowGroup) -> pa.Table:
        """The columns of a row group as Arrow has them. Raises as `read`."""
        with self._opened(group) as parquet:
            return self._table(parquet, group)

    @contextmanager
    def _opened(self, group: RowGroup) -> Iterator[Parquet]:
        packed = self._sources[group.source]
        shard = packed.shards[group.shard]
        known = self._footers.get(group[:2])
        crc32 = shard.footer_crc32 if packed.verify else None
        with open_parquet(packed.repository, shard.path, metadata=known, verify=packed.verify, footer=crc32) as parquet:
            footer, expected = parquet.metadata, shard.row_groups[group.number]
            found = footer.row_group(group.number).num_rows if group.number < footer.num_row_groups else 0
            if found != expected:
                where = f"{packed.repository.name}: {shard.path}: row group {group.number}"
                raise ShardError(
                    f"{where}: {found} rows; the manifest says {expected} rows; download it again, or pack again"
                )
            self._keep(group[:2], footer)
            yield parquet

    def _kept(self, group: RowGroup) -> NDArray[np.uint32] | None:
        """Rows of a row group that are read; None for all."""
        return self._sources[group.source].kept.get((group.shard, group.number))

    def _table(self, parquet: pq.ParquetFile, group: RowGroup) -> pa.Table:
        table = self._checked(parquet.read_row_group(group.number, columns=self._columns, use_threads=False))
        kept = self._kept(group)
        return table if kept is None else table.take(kept)

    def _checked(self, table: pa.Table) -> pa.Table:
        """Arrow leaves out what is not there."""
        if missing := [column for column in self._columns if column not in table.column_names]:
            raise pa.ArrowInvalid(f"it has no columns {missing}")
        if IMAGES in table.column_names and not _holds_images(found := table.schema.field(IMAGES).type):
            raise pa.ArrowInvalid(f"its column {IMAGES!r} is {found}; expected lists of bytes and path")
        return table

    def _sliced(self, file: OpenFile, parquet: Parquet, group: RowGroup) -> list[Encoded] | None:
        """Rows whose pictures stay in the file; None if they have to be read."""
        pages = image_pages(file.number, self._image_chunk(parquet, group))
        if pages is None:
            return None
        columns = [column if column != IMAGES else IMAGE_PATH for column in self._columns]
        table = self._checked(parquet.read_row_group(group.number, columns=columns, use_threads=False))
        pictures = image_slices(file, pages, table[IMAGES], verify=self._sources[group.source].verify)
        if pictures is None:
            return None
        kept = self._kept(group)
        pictures = pictures if kept is None else [pictures[row] for row in kept]
        rest = table.drop_columns([IMAGES])
        rows = to_dicts(rest if kept is None else rest.take(kept)) if rest.num_columns else [{} for _ in pictures]
        return [
            {column: row[column] if column != IMAGES else images for column in self._columns}
            for row, images in zip(rows, pictures, strict=True)
        ]

    def _image_chunk(self, parquet: Parquet, group: RowGroup) -> Chunk | None:
        """Where the bytes of a row group's pictures lie."""
        found = self._image_chunks.get(group[:2])
        if found is None:
            found = [image_chunk(chunks) for chunks in parquet.chunks]
            if len(self._image_chunks) >= FOOTERS_KEPT:
                self._image_chunks.clear()
            self._image_chunks[group[:2]] = found
        return found[group.number]

    def where(self, place: Place) -> str:
        """Names a row that does not name itself."""
        packed = self._sources[place.group.source]
        kept = self._kept(place.group)
        return (
            f"{packed.repository.name}: {packed.shards[place.group.shard].path}: row group "
            f"{place.group.number}, row {place.row if kept is None else kept[place.row]}"
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


@closed_at_exit
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
