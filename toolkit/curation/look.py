"""What is looked at of a dataset: its text columns, and facts of its pictures where they are asked for, in Parquet for
duckdb. Pictures are read only for these, and never decoded here but for their headers.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolkit.curation.inputs import PackedInput, check_filled, check_shards, split_of
from toolkit.errors import ImageError
from toolkit.executors import Tell
from toolkit.images import image_size
from toolkit.schema import ARROW_SCHEMA, COLUMNS
from toolkit.sources.manifest import Shard
from toolkit.sources.packed import open_shard
from toolkit.sources.parquet import read_batches
from toolkit.staging.files import whole_file

ROWS = "rows.parquet"
IMAGES = "images"
TEXT_COLUMNS = tuple(column for column in COLUMNS if column != IMAGES)
NO_ROWS = pa.RecordBatch.from_pylist([], schema=ARROW_SCHEMA)
GROUP_ROWS, GROUP_BYTES = 16_384, 32 << 20  # of the files that are written


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A shard of a dataset that is read."""

    source: PackedInput
    shard: Shard

    @property
    def split(self) -> str:
        return split_of(self.shard)


def pieces_of(source: PackedInput, tasks: Iterable[str]) -> list[Piece]:
    """Shards of some tasks, in order."""
    return [Piece(source=source, shard=shard) for task in tasks for shard in source.manifest.tasks.get(task, ())]


def look(pieces: Sequence[Piece], facts: Sequence[str], unit: int, folder: Path, tell: Tell) -> int:
    """Write `rows.parquet` of a shard: its text columns, `num_images`, its place (`piece`, `row`), `split`, and the
    facts; returns how many rows it has.

    Args:
        facts: of IMAGE_FACTS.
    """
    piece = pieces[unit]
    check_shards(piece.source.repository, [piece.shard])
    row = 0
    with whole_file(folder / ROWS) as file, TableWriter(file) as writer:
        for batch in chain(read_columns(piece, [*TEXT_COLUMNS, *([IMAGES] if facts else [])]), [NO_ROWS]):
            table = pa.table({name: batch[name] for name in TEXT_COLUMNS})
            table = table.append_column("num_images", pc.list_value_length(batch["image_roles"]))
            for fact in facts:
                table = table.append_column(fact, per_image(batch[IMAGES], IMAGE_FACTS[fact]))
            writer.write(placed(table, unit, row, piece.split))
            row += len(table)
    return row


def read_columns(piece: Piece, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """A few columns of a shard in batches of bounded size.

    Raises:
        RowError: a row has null in one of them.
    """
    with open_shard(piece.source.repository, piece.shard) as parquet:
        paths = [parquet.metadata.schema.column(n).path for n in range(parquet.metadata.num_columns)]
        for batch in read_batches(parquet, [path for path in paths if path.partition(".")[0] in columns]):
            check_filled(batch, piece.shard.path)
            yield batch


def placed(table: pa.Table, piece: int, row: int, split: str) -> pa.Table:
    """A table with the places of its rows."""
    count = len(table)
    table = table.append_column("piece", pa.array([piece] * count, pa.int32()))
    table = table.append_column("row", pa.array(range(row, row + count), pa.int32()))
    return table.append_column("split", pa.array([split] * count, pa.string()))


def per_image(images: pa.ListArray, measure: Callable[[pa.Array], pa.Array]) -> pa.ListArray:
    """A value of each picture, in lists as the pictures stand in rows.

    Args:
        measure: encoded pictures -> their values.
    """
    values = measure(images.flatten().field("bytes"))
    lengths = pc.list_value_length(images).to_numpy(zero_copy_only=False)
    ends = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
    return pa.ListArray.from_arrays(ends, values)


def _hashes(encoded: pa.Array) -> pa.Array:
    return pa.array([hashlib.sha256(each.as_buffer()).hexdigest() for each in encoded], pa.string())


def _side(number: int, encoded: pa.Array) -> pa.Array:
    """Width (0) or height (1) in pixels, from the header; null where that cannot be read."""

    def size(data: bytes) -> int | None:
        try:
            return image_size(data)[number]
        except ImageError:
            return None

    return pa.array([size(each.as_py()) for each in encoded], pa.int32())


# Lists of a row, a value for each picture.
IMAGE_FACTS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "image_bytes": lambda encoded: pc.binary_length(encoded).cast(pa.int64()),
    "image_sha256": _hashes,
    "image_widths": partial(_side, 0),
    "image_heights": partial(_side, 1),
}


class TableWriter:
    """Parquet from small tables, in row groups of a useful size."""

    def __init__(self, file: Any) -> None:
        self._file, self._waiting, self._rows, self._bytes = file, list[pa.Table](), 0, 0
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def write(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows, self._bytes = self._rows + len(table), self._bytes + table.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.concat_tables(self._waiting)
            self._writer = self._writer or pq.ParquetWriter(self._file, table.schema, compression="zstd")
            self._writer.write_table(table, row_group_size=max(len(table), 1))
            self._waiting, self._rows, self._bytes = [], 0, 0
