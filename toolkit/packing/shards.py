"""Rows -> one Parquet file of the packed layout, the same bytes for the same rows.

images      not compressed: they are JPEG, PNG and WebP already (benchmarks/compression.py: zstd saves 1 % and halves
            the writing speed)
text        zstd: 7 % of its size
statistics  on id, task and quadrant, with a page index, so that filters skip; none on bytes and long texts
pages       cut by content, so that two versions of a dataset share most of their chunks on the Hub; each with a
            checksum, by which a reader can tell damaged bytes
"""

import hashlib
import os
import queue
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.schema import Row, parquet_schema, rows_to_table
from toolkit.sources.ahead import closed_after
from toolkit.sources.footer import footer_crc32
from toolkit.sources.manifest import Shard
from toolkit.staging.files import whole_file

WRITE_BACK_BYTES = 32 << 20
QUEUED_BYTES, QUEUED = 1 << 20, 16  # that are handed over at once: each header of a page is a write; and how often
FILTERED = ("id", "task", "quadrant")
REPEATING = ("task", "quadrant", "source", "license", "origin")  # the same few values in all rows


class RowGroup(NamedTuple):
    """Rows that are written, and later read, together."""

    table: pa.Table
    images: int
    image_bytes: int
    payload_bytes: int  # pictures and text: what sizes of row groups and shards are counted in
    quadrants: Counter[str]


class RowGrouper:
    """Cuts rows of a task into groups of at least so many bytes; the last may be smaller. Where depends on the rows
    alone.
    """

    def __init__(self, row_group_bytes: int) -> None:
        self._row_group_bytes = row_group_bytes
        self._rows: list[Row] = []
        self._size = 0

    def add(self, row: Row) -> RowGroup | None:
        """The group that this row ends."""
        self._rows.append(row)
        self._size += _payload_bytes(row)
        return self.rest() if self._size >= self._row_group_bytes else None

    def rest(self) -> RowGroup | None:
        """The last group, unless it is empty."""
        if not self._rows:
            return None
        group = _row_group(self._rows, self._size)
        self._rows, self._size = [], 0
        return group


def row_groups(rows: Iterator[Row], row_group_bytes: int) -> Iterator[RowGroup]:
    """All groups of the rows of a task."""
    grouper = RowGrouper(row_group_bytes)
    with closed_after(rows):
        for row in rows:
            if group := grouper.add(row):
                yield group
    if group := grouper.rest():
        yield group


def _payload_bytes(row: Row) -> int:
    texts = (part.text for message in row.messages for part in message.content)
    return sum(len(image.bytes) for image in row.images) + sum(
        map(len, (*texts, row.instruction, row.rationale, row.answer, row.provenance))
    )


def _row_group(rows: list[Row], payload_bytes: int) -> RowGroup:
    images = [image for row in rows for image in row.images]
    quadrants = Counter(row.quadrant for row in rows)
    return RowGroup(
        rows_to_table(rows), len(images), sum(len(image.bytes) for image in images), payload_bytes, quadrants
    )


class ShardWriter:
    """One Parquet file while it grows; it has its name once `close` returns."""

    def __init__(self, path: Path) -> None:
        self._path, self._stack = path, ExitStack()
        self._sink = _HashingSink(self._stack.enter_context(whole_file(path)))
        schema = parquet_schema()
        self._writer = pq.ParquetWriter(self._sink, schema, **_options(schema))
        self._num_rows: list[int] = []
        self._totals: Counter[str] = Counter()
        self._quadrants: Counter[str] = Counter()

    def write(self, group: RowGroup) -> None:
        self._writer.write_table(group.table, row_group_size=max(1, group.table.num_rows))
        self._num_rows.append(group.table.num_rows)
        self._totals += Counter(images=group.images, image_bytes=group.image_bytes)
        self._quadrants += group.quadrants

    def close(self, *, path: str, task: str) -> Shard:
        """What the manifest says of it.

        Args:
            path: its name in the dataset.
        """
        self._writer.close()
        self._sink.close()
        self._stack.close()
        with self._path.open("rb") as file:
            crc32 = footer_crc32(file)
        return Shard(
            path=path,
            task=task,
            bytes=self._sink.size,
            sha256=self._sink.digest.hexdigest(),
            rows=sum(self._num_rows),
            images=self._totals["images"],
            image_bytes=self._totals["image_bytes"],
            row_groups=tuple(self._num_rows),
            quadrants=dict(sorted(self._quadrants.items())),
            page_checksums=True,
            footer_crc32=crc32,
        )

    def abandon(self, error: BaseException) -> None:
        """Leave nothing behind."""
        with suppress(BaseException):
            self._sink.close()
        self._stack.__exit__(type(error), error, error.__traceback__)


class _HashingSink:
    """A file that is hashed while it is written, so that it need not be read again; both in a thread, beside the
    encoding of what comes next.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.size, self.digest, self.closed = file, 0, hashlib.sha256(), False
        self._pieces: list[bytes] = []
        self._handed_over = 0  # bytes
        self._coming: queue.Queue[list[bytes] | None] = queue.Queue(maxsize=QUEUED)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write_all, name="write-shard", daemon=True)
        self._thread.start()

    def write(self, data: Any) -> int:
        if self._error:
            raise self._error
        owned = bytes(data)
        self.size += len(owned)
        self._pieces.append(owned)
        if self.size - self._handed_over >= QUEUED_BYTES:
            self._hand_over()
        return len(owned)

    def _hand_over(self) -> None:
        self._coming.put(self._pieces)
        self._pieces, self._handed_over = [], self.size

    def _write_all(self) -> None:
        unflushed = 0
        while (pieces := self._coming.get()) is not None:
            if self._error:
                continue  # go on emptying the queue, or `write` would wait forever
            try:
                for data in pieces:
                    self.digest.update(data)
                    self._file.write(data)
                    unflushed += len(data)
                if unflushed >= WRITE_BACK_BYTES:
                    _start_write_back(self._file)
                    unflushed = 0
            except BaseException as error:
                self._error = error

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        """All is written; what failed is raised here."""
        if not self.closed:
            self.closed = True
            self._hand_over()
            self._coming.put(None)
            self._thread.join()
        if self._error:
            raise self._error


def _start_write_back(file: BinaryIO) -> None:
    """Let the disk begin now, not when the kernel's memory for unwritten pages is full and every writer has to wait."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _options(schema: pa.Schema) -> dict[str, Any]:
    leaves = [leaf for field in schema for leaf in _leaves(field)]
    return {
        "compression": {leaf: "NONE" if leaf.startswith("images.") else "ZSTD" for leaf in leaves},
        "use_dictionary": [leaf for leaf in leaves if leaf in REPEATING],
        "write_statistics": list(FILTERED),
        "write_page_index": True,
        "write_page_checksum": True,
        "use_content_defined_chunking": True,
    }


def _leaves(field: pa.Field, path: str = "") -> Iterator[str]:
    """Paths of a column's values, as Parquet names them."""
    path = f"{path}.{field.name}" if path else field.name
    kind = field.type
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, path = kind.value_type, f"{path}.list.element"
    if pa.types.is_struct(kind):
        for child in kind:
            yield from _leaves(child, path)
    else:
        yield path
