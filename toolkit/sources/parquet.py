"""Parquet files of a repository, opened with errors that name them.

Reading never uses Arrow's threads: they hold pieces of Python files, and where the interpreter ends before they let go
of them, it aborts ("terminate called without an active exception"; seen in 5 of 40 scripts that left a stream early).
Hence no pre_buffer, and use_threads=False wherever a file is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.errors import ShardError, is_disk_full, reason_of
from toolkit.sources.footer import Chunk, check_footer, column_chunks
from toolkit.sources.impostors import impostor
from toolkit.sources.repository import Repository

BATCH_ROWS, BATCH_BYTES = 256, 64 << 20
UNEVEN = 8  # rows of a batch may be so many times as large as they are on average before it is larger than meant
FEW_ROWS = 32  # in a batch of a large row group, should all that is large in it lie together
BUFFER_BYTES = 1 << 20
MAX_COLUMNS = 1_000  # of a file or a record: each takes its time, and what is found is told to a person


@contextmanager
def open_parquet(
    repository: Repository,
    path: str,
    *,
    metadata: pq.FileMetaData | None = None,
    verify: bool = False,
    footer: int | None = None,
) -> Iterator["Parquet"]:
    """A Parquet file, closed at the end.

    Args:
        metadata: of this file, from an earlier opening, so that its footer is not read again.
        verify: pages that have a checksum are compared with it when they are read.
        footer: its CRC-32 as the manifest has it, which it is compared with when it is read.

    Raises:
        ShardError: cut off, damaged, or not Parquet; also while it is read inside the block.
    """
    broken = (
        pa.ArrowException,
        OSError,
    )  # bound here: a stream that ends with the interpreter is closed when modules are empty already
    with repository.open(path) as file:
        try:
            if metadata is None:
                check_footer(file, footer)
            with parquet_file(file, metadata, verify=verify) as parquet:
                check_width(parquet.metadata.num_columns)
                yield parquet
        except broken as error:
            if is_disk_full(error):  # of what the block writes
                raise
            raise ShardError(f"{repository.name}: {path}: {_impostor(file) or cause_of(error)}") from error


def check_width(count: int) -> None:
    """Raises ArrowInvalid for more columns than are read, those inside others counted."""
    if count > MAX_COLUMNS:
        raise pa.ArrowInvalid(f"{count:,} columns, with those in others; at most {MAX_COLUMNS:,} are read")


def _impostor(file: BinaryIO) -> str:
    """What lies in place of a Parquet file; "" if it begins as one."""
    try:
        file.seek(0)
        return impostor(file.read(64))
    except (OSError, ValueError):
        return ""


@contextmanager
def parquet_file(
    file: BinaryIO, metadata: pq.FileMetaData | None = None, *, verify: bool = False
) -> Iterator["Parquet"]:
    """A Parquet file in an open one. If it has row groups over BATCH_BYTES, columns are read page by page: else Arrow
    has a whole column of a row group in memory to give a batch of it.
    """
    options = {"pre_buffer": False, "page_checksum_verification": verify}
    with _opened(file, metadata=metadata, **options) as parquet:
        if metadata is not None or not _has_large_groups(parquet.metadata):  # in vain where it was looked at before
            yield parquet
            return
        with _opened(file, metadata=parquet.metadata, buffer_size=BUFFER_BYTES, **options) as by_page:
            yield by_page


class Parquet(pq.ParquetFile):  # type: ignore[misc]
    """One that knows its file."""

    def __init__(self, file: BinaryIO, **options: Any) -> None:
        self.file = file
        super().__init__(file, **options)

    @cached_property
    def chunks(self) -> list[list[Chunk]]:
        """Of each row group. Raises as `column_chunks`."""
        return column_chunks(self.file)


def _opened(file: BinaryIO, **options: Any) -> Parquet:
    try:
        return Parquet(file, **options)
    except UnicodeDecodeError as error:  # raised by Arrow's Python side alone
        raise pa.ArrowInvalid(f"the name of a column is not UTF-8: {error}") from error


def _has_large_groups(metadata: pq.FileMetaData) -> bool:
    return any(metadata.row_group(number).total_byte_size > BATCH_BYTES for number in range(metadata.num_row_groups))


def cause_of(error: Exception) -> str:
    """What is wrong with a file that could not be read, and what to do."""
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, MemoryError):
        return f"not enough memory ({found}); use fewer workers, or pack it with smaller row groups"
    if isinstance(error, pa.ArrowNotImplementedError):
        return f"cannot be read by Arrow ({found}); write it again, with row groups under 2 GiB"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read: {reason_of(error)}"
    return f"not a whole Parquet file ({found}); download it again"


def read_tables(parquet: pq.ParquetFile) -> Iterator[pa.Table]:
    """A table a row group, in order; of one over BATCH_BYTES several, of about that size at most."""
    for number in range(parquet.num_row_groups):
        yield from read_group(parquet, number)


def read_group(parquet: pq.ParquetFile, number: int) -> Iterator[pa.Table]:
    """A row group as one table; of one over BATCH_BYTES several, of about that size at most."""
    if parquet.metadata.row_group(number).total_byte_size <= BATCH_BYTES:
        yield parquet.read_row_group(number, use_threads=False)
    else:
        yield from (pa.Table.from_batches([batch]) for batch in _read_batches(parquet, number))


def read_records(parquet: Parquet) -> Iterator[dict[str, Any]]:
    """Rows as plain dicts, a batch of BATCH_ROWS, and of about BATCH_BYTES at most, in memory at a time."""
    for batch in read_batches(parquet):
        yield from batch.to_pylist()


def read_batches(parquet: Parquet, leaves: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of BATCH_ROWS, and of about BATCH_BYTES at most, in order.

    Args:
        leaves: Parquet's paths of what is read; None = everything.
    """
    sizes: list[int | None] = [None] * parquet.num_row_groups
    if leaves is not None:
        sizes = [sum(each.uncompressed_bytes for each in chunks if each.path in leaves) for chunks in parquet.chunks]
    for number, size in enumerate(sizes):
        yield from _read_batches(parquet, number, leaves, size)


def _read_batches(
    parquet: pq.ParquetFile, number: int, leaves: list[str] | None = None, size: int | None = None
) -> Iterator[pa.RecordBatch]:
    """
    Args:
        size: of what is read, bytes; None = of all columns.
    """
    group = parquet.metadata.row_group(number)
    rows = _batch_rows(group.num_rows, group.total_byte_size if size is None else size)
    yield from parquet.iter_batches(rows, row_groups=[number], columns=leaves, use_threads=False)


def _batch_rows(rows: int, size: int) -> int:
    if size <= BATCH_BYTES:
        return BATCH_ROWS
    mean = size // max(rows, 1)
    return int(max(1, min(FEW_ROWS, BATCH_BYTES // max(UNEVEN * mean, 1))))
