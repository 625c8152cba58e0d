"""Pictures of a local shard stay in its file: what is held of a row group is where in the file each of them begins.

A row group read whole would lie in memory until its last row is taken, times all open row groups of all workers. An uncompressed Parquet column holds its
values as they are, each behind its length (Parquet format, encodings, PLAIN), so each value that Arrow read is found again in the file, compared, and let go.
"""

import mmap
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class OpenFile:
    """A file that is closed when nothing refers to it any more; the same bytes, should another file take its name."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.number)


class ImageSlice(NamedTuple):
    """A picture in an open file."""

    file: OpenFile
    offset: int
    size: int
    path: str

    def read(self) -> dict[str, bytes | str]:
        return {"bytes": os.pread(self.file.number, self.size, self.offset), "path": self.path}


def image_slices(file: OpenFile, parquet: pq.ParquetFile, number: int, images: pa.ChunkedArray) -> list[list[ImageSlice]] | None:
    """Where the pictures of a row group lie, a list for each row; None if they are not in the file as they are."""
    group = parquet.metadata.row_group(number)
    column = next(group.column(index) for index in range(group.num_columns) if group.column(index).path_in_schema.endswith("images.list.element.bytes"))
    if column.compression != "UNCOMPRESSED":
        return None
    start = column.dictionary_page_offset or column.data_page_offset
    pictures = images.chunk(0) if images.num_chunks == 1 else images.combine_chunks()
    fields, ends = pictures.values, pictures.offsets.to_pylist()
    content = fields.field("bytes")
    if pictures.null_count or fields.null_count or content.null_count:
        return None
    values = _values(content)
    offsets = find_values(file, start, start + column.total_compressed_size, values)
    if offsets is None:
        return None
    paths = (path or "" for path in fields.field("path").to_pylist())
    found = [ImageSlice(file, offset, value.size, path) for offset, value, path in zip(offsets, values, paths, strict=True)]
    return [found[start:end] for start, end in pairwise(ends)]


def _values(content: pa.BinaryArray) -> list[pa.Buffer]:
    """Each value, where it lies: as scalars they would be copied."""
    _, offsets, whole = content.buffers()
    ends = np.frombuffer(offsets, np.int32)[content.offset : content.offset + len(content) + 1].tolist()
    return [whole.slice(start, end - start) for start, end in pairwise(ends)]


def find_values(file: OpenFile, start: int, end: int, values: Sequence[pa.Buffer]) -> list[int] | None:
    """Offsets of byte strings that lie in a part of a file in this order, each behind its length; None if one is not there."""
    if not values:
        return []
    base = start - start % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(file.number, end - base, offset=base, access=mmap.ACCESS_READ) as content:
        offsets = _find(content, start - base, values)  # its buffer over the map is gone when the map is closed
    return offsets and [base + offset for offset in offsets]


def _find(content: mmap.mmap, at: int, values: Sequence[pa.Buffer]) -> list[int] | None:
    whole, offsets = pa.py_buffer(content), []
    for value in values:
        head = value.size.to_bytes(4, "little")
        if content[at : at + 4] != head:  # a page begins; its header is a few bytes
            at = content.find(head + value.slice(0, min(16, value.size)).to_pybytes(), at)
        if at < 0 or at + 4 + value.size > len(content) or not whole.slice(at + 4, value.size).equals(value):
            return None
        offsets.append(at + 4)
        at += 4 + value.size
    return offsets
