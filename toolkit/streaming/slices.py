"""Pictures of a local shard stay in its file: what is held of a row group is where in the file each of them lies.

A row group read whole would lie in memory until its last row is taken, times all open row groups of all workers.
"""

import mmap
import os
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.streaming.pages import Span, plain_values

IMAGES, IMAGE_BYTES, IMAGE_PATH = "images", "images.list.element.bytes", "images.list.element.path"


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


def image_slices(file: OpenFile, places: list[Span], images: pa.ChunkedArray) -> list[list[ImageSlice]] | None:
    """The pictures of a row group, a list for each row; None if some have no bytes.

    Args:
        images: the column `images`, read without the bytes.
    """
    pictures = images.combine_chunks()
    fields, ends = pictures.values, pictures.offsets.to_pylist()
    if len(places) != len(fields) or pictures.null_count or fields.null_count:
        return None
    paths = (path or "" for path in fields.field("path").to_pylist())
    found = [ImageSlice(file, offset, size, path) for (offset, size), path in zip(places, paths, strict=True)]
    return [found[start:end] for start, end in pairwise(ends)]


def image_places(file: int, group: pq.RowGroupMetaData) -> list[Span] | None:
    """Where the bytes of a row group's pictures lie in an open file; None if they are not there as they are.

    That is so where they are compressed, in a dictionary or in data pages of the second version.
    """
    columns = (group.column(index) for index in range(group.num_columns))
    column = next((column for column in columns if column.path_in_schema == IMAGE_BYTES), None)
    if column is None or column.compression != "UNCOMPRESSED" or column.has_dictionary_page:
        return None
    start, size = column.data_page_offset, column.total_compressed_size
    if start < 0 or size < 1 or start + size > os.fstat(file).st_size:
        return None
    base = start - start % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(file, start + size - base, offset=base, access=mmap.ACCESS_READ) as content:
        places = plain_values(content, start - base, start + size - base)
    return places and [(base + offset, length) for offset, length in places]
