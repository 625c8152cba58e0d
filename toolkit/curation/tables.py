"""Rows as Arrow has them -> row groups, cut where `pack` cuts them; no picture becomes a Python object."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.packing.shards import RowGroup
from toolkit.schema import ARROW_SCHEMA, COLUMNS

COUNTED = ("instruction", "rationale", "answer", "provenance")  # in the size of a row, with messages and pictures
Sizes = NDArray[np.int64]


def payload_bytes(table: pa.Table) -> Sizes:
    """Of each row: bytes of its pictures and characters of its texts, as `packing.shards` counts them."""
    sizes = _summed(table["images"], lambda images: pc.binary_length(images.field("bytes")))
    sizes += _summed(table["messages"], _message_lengths)
    for column in COUNTED:
        sizes += pc.utf8_length(table[column]).to_numpy()
    return sizes


def image_lengths(table: pa.Table) -> Sizes:
    """Bytes of all pictures of each row."""
    return _summed(table["images"], lambda images: pc.binary_length(images.field("bytes")))


class Grouper:
    """Cuts rows into groups of at least so many bytes; the last may be smaller. Where depends on the rows alone, and is
    where `packing.shards.RowGrouper` cuts.
    """

    def __init__(self, row_group_bytes: int) -> None:
        self._row_group_bytes, self._waiting, self._size = row_group_bytes, list[pa.Table](), 0

    def add(self, table: pa.Table) -> Iterator[RowGroup]:
        """The groups that these rows end."""
        start = 0
        for row, size in enumerate(payload_bytes(table).tolist(), 1):
            self._size += size
            if self._size >= self._row_group_bytes:
                self._waiting.append(table.slice(start, row - start))
                start = row
                if group := self.rest():
                    yield group
        if start < len(table):
            self._waiting.append(table.slice(start))

    def rest(self) -> RowGroup | None:
        """The last group, unless it is empty."""
        tables, self._waiting, self._size = self._waiting, [], 0
        return row_group_of(pa.concat_tables(tables)) if tables else None


def row_group_of(table: pa.Table) -> RowGroup:
    """
    Args:
        table: with the columns of a row.
    """
    table = table.select(list(COLUMNS)).cast(ARROW_SCHEMA).combine_chunks()
    quadrants = Counter(table["quadrant"].to_pylist())
    images = int(np.sum(pc.list_value_length(table["images"]).to_numpy()))
    return RowGroup(table, images, int(image_lengths(table).sum()), int(payload_bytes(table).sum()), quadrants)


def _summed(column: pa.ChunkedArray, measure: Any) -> Sizes:
    """Sum over the elements of each row of a list column.

    Args:
        measure: elements -> a number of each.
    """
    sums = [_sums_of(chunk, measure(chunk.flatten())) for chunk in column.chunks]
    return np.concatenate([np.empty(0, np.int64), *sums])


def _sums_of(lists: pa.ListArray, values: pa.Array) -> Sizes:
    ends = np.cumsum(np.concatenate([[0], pc.list_value_length(lists).to_numpy(zero_copy_only=False)]))
    totals = np.concatenate([[0], np.cumsum(values.to_numpy(zero_copy_only=False), dtype=np.int64)])
    sums: Sizes = totals[ends[1:]] - totals[ends[:-1]]
    return sums


def _message_lengths(messages: pa.StructArray) -> pa.Array:
    content = messages.field("content")
    parts = content.flatten()
    return pa.array(_sums_of(content, pc.utf8_length(parts.field("text"))))
