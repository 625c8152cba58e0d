"""Parquet files of a repository, opened with errors that name them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.errors import ShardError
from toolkit.sources.repository import Repository


@contextmanager
def open_parquet(repository: Repository, path: str, *, metadata: pq.FileMetaData | None = None) -> Iterator[pq.ParquetFile]:
    """A Parquet file, closed at the end.

    Args:
        metadata: of this file, from an earlier opening, so that its footer is not read again.

    Raises:
        ShardError: cut off, damaged, or not Parquet; also while it is read inside the block.
    """
    with repository.open(path) as file:
        try:
            with pq.ParquetFile(file, pre_buffer=True, metadata=metadata) as parquet:
                yield parquet
        except (pa.ArrowException, OSError) as error:
            raise ShardError(f"{repository.name}: {path}: not a whole Parquet file ({str(error).splitlines()[0]}); download it again") from error


def read_records(parquet: pq.ParquetFile, batch_rows: int = 256) -> Iterator[dict[str, Any]]:
    """Rows as plain dicts, a batch in memory at a time."""
    for batch in parquet.iter_batches(batch_size=batch_rows):
        yield from batch.to_pylist()
