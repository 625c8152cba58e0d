"""Parquet files of a repository, opened with errors that name them.

Reading never uses Arrow's threads: they hold pieces of Python files, and where the interpreter ends before they let go
of them, it aborts ("terminate called without an active exception"; seen in 5 of 40 scripts that left a stream early).
Hence no pre_buffer, and use_threads=False wherever a file is read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.errors import ShardError
from toolkit.sources.repository import Repository


@contextmanager
def open_parquet(
    repository: Repository, path: str, *, metadata: pq.FileMetaData | None = None
) -> Iterator[pq.ParquetFile]:
    """A Parquet file, closed at the end.

    Args:
        metadata: of this file, from an earlier opening, so that its footer is not read again.

    Raises:
        ShardError: cut off, damaged, or not Parquet; also while it is read inside the block.
    """
    broken = (
        pa.ArrowException,
        OSError,
    )  # bound here: a stream that ends with the interpreter is closed when modules are empty already
    with repository.open(path) as file:
        try:
            with pq.ParquetFile(file, pre_buffer=False, metadata=metadata) as parquet:
                yield parquet
        except broken as error:
            raise ShardError(
                f"{repository.name}: {path}: not a whole Parquet file ({str(error).splitlines()[0]}); download it again"
            ) from error


def read_records(parquet: pq.ParquetFile, batch_rows: int = 256) -> Iterator[dict[str, Any]]:
    """Rows as plain dicts, a batch in memory at a time."""
    for batch in parquet.iter_batches(batch_size=batch_rows, use_threads=False):
        yield from batch.to_pylist()
