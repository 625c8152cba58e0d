"""A shard -> its text columns and where each row lies, a row group at a time, for duckdb to read as a stream."""

from collections.abc import Callable, Iterator
from itertools import accumulate

import numpy as np
import pyarrow as pa

from toolkit.errors import ShardError
from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.manifest import Shard
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import Repository

TEXTS = ("instruction", "rationale", "answer")
METADATA = ("id", "task", "quadrant", "source", "license", "origin", "image_roles", *TEXTS)
PLACES = ("nth", "number", "place")  # a row's number in the shard, its row group, its number in that
SCHEMA = pa.schema([*(ARROW_SCHEMA.field(name) for name in METADATA), *((name, pa.int64()) for name in PLACES)])


def read_texts(
    repository: Repository, shard: Shard, on_group: Callable[[], None], failed: list[BaseException]
) -> pa.RecordBatchReader:
    """METADATA and PLACES of the rows of a shard.

    Args:
        on_group: called after each row group; what it raises ends the reading.
        failed: what goes wrong is appended, because readers pass on its message alone: ShardError, the shard is damaged
            or is not the one that the manifest tells of; SourceError, it cannot be read.
    """

    def read() -> Iterator[pa.RecordBatch]:
        try:
            for table in _row_groups(repository, shard):
                yield from table.to_batches()
                on_group()
        except BaseException as error:
            failed.append(error)
            raise

    return pa.RecordBatchReader.from_batches(SCHEMA, read())


def _row_groups(repository: Repository, shard: Shard) -> Iterator[pa.Table]:
    with open_parquet(repository, shard.path) as parquet:
        found = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        if found != list(shard.row_groups):
            where = f"{repository.name}: {shard.path}"
            raise ShardError(
                f"{where}: row groups of {found} rows; the manifest says {list(shard.row_groups)}; download it again, "
                "or pack again"
            )
        for number, (num_rows, start) in enumerate(zip(found, accumulate(found, initial=0), strict=False)):
            table = parquet.read_row_group(number, columns=list(METADATA), use_threads=False)
            table.validate(full=True)  # also that texts are UTF-8
            place = np.arange(num_rows)
            for name, values in zip(PLACES, (start + place, np.full(num_rows, number), place), strict=True):
                table = table.append_column(name, pa.array(values, pa.int64()))
            yield table.select(SCHEMA.names).cast(SCHEMA)
