"""A Parquet file per shard, written row by row in row groups of bounded size."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from conversion.shard import ShardFolder

GROUP_BYTES = 32 << 20
GROUP_ROWS = 1000


class ParquetShard:
    def __init__(self, shard: ShardFolder, name: str, schema: pa.Schema) -> None:
        self.name = f"{name}-{shard.number:05d}.parquet"
        self._shard, self._schema = shard, schema
        self._writer: pq.ParquetWriter | None = None  # opened by the first row: an empty file helps no reader
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self.row_groups = 0

    def write(self, record: dict[str, Any], num_bytes: int) -> None:
        """Adds a record whose pictures have `num_bytes` bytes."""
        self._rows.append(record)
        self._bytes += num_bytes
        self._shard.tally.records_out += 1
        if self._bytes >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        if self._writer:
            self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer = self._writer or pq.ParquetWriter(
                self._shard.path(self.name), self._schema, compression="snappy"
            )
            self._writer.write_table(
                pa.Table.from_pylist(self._rows, schema=self._schema), row_group_size=len(self._rows)
            )
            self.row_groups += 1
            self._rows, self._bytes = [], 0
