"""Pictures of a local shard stay in its file: what is held of a row group is where in the file each of them lies.

A row group read whole would lie in memory until its last row is taken, times all open row groups of all workers.
"""

import mmap
import os
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import pyarrow as pa
from isal import isal_zlib

from toolkit.errors import ShardError, SourceError, reason_of
from toolkit.schema import to_dicts
from toolkit.sources.footer import Chunk
from toolkit.streaming.pages import PlainPage, plain_pages

IMAGES, IMAGE_BYTES, IMAGE_PATH = "images", "images.list.element.bytes", "images.list.element.path"


class OpenFile:
    """A file that is closed when nothing refers to it any more; the same bytes, should another file take its name."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.number = path, -1
        try:
            self.number = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise SourceError(f"{path}: cannot be opened: {reason_of(error)}") from error

    def read(self, offset: int, size: int) -> bytes:
        """
        Raises:
            ShardError: it cannot be read, or ends before.
        """
        try:
            data = os.pread(self.number, size, offset)
        except OSError as error:
            raise ShardError(f"{self.path}: cannot be read: {reason_of(error)}") from error
        if len(data) < size:
            raise ShardError(f"{self.path}: ends at byte {offset + len(data):,}, within a page; download it again")
        return data

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


class CheckedPage:
    """A page that is compared with its checksum when the first of its pictures is read."""

    def __init__(self, page: PlainPage) -> None:
        self._page, self._is_good = page, False

    def check(self, file: OpenFile) -> None:
        """
        Raises:
            ShardError: the page has another checksum, or none.
        """
        if self._is_good:
            return
        offset, size, crc, _ = self._page
        if isal_zlib.crc32(file.read(offset, size)) != crc:
            raise ShardError(
                f"{file.path}: the page of {size:,} bytes at {offset:,} does not have the checksum that was written; "
                "download it again, or pack again"
            )
        self._is_good = True


class ImageSlice(NamedTuple):
    """A picture in an open file; `page` if it is to be checked."""

    file: OpenFile
    offset: int
    size: int
    path: str
    page: CheckedPage | None = None

    def read(self) -> dict[str, bytes | str]:
        """
        Raises:
            ShardError: the file is damaged, as far as that is looked at.
        """
        if self.page is not None:
            self.page.check(self.file)
        return {"bytes": self.file.read(self.offset, self.size), "path": self.path}


def image_slices(
    file: OpenFile, pages: list[PlainPage], images: pa.ChunkedArray, *, verify: bool = False
) -> list[list[ImageSlice]] | None:
    """The pictures of a row group, a list for each row; None if some have no bytes.

    Args:
        images: the column `images`, read without the bytes.
        verify: pages are compared with their checksums when they are first read.
    """
    pictures = images.combine_chunks()
    fields, ends = pictures.values, pictures.offsets.to_pylist()
    if sum(len(page.values) for page in pages) != len(fields) or pictures.null_count or fields.null_count:
        return None
    paths = (row["path"] or "" for row in to_dicts(pa.table({"path": fields.field("path")})))
    found = []
    for page in pages:
        checked = CheckedPage(page) if verify else None
        found += [ImageSlice(file, offset, size, next(paths), checked) for offset, size in page.values]
    return [found[start:end] for start, end in pairwise(ends)]


def image_chunk(chunks: Iterable[Chunk]) -> Chunk | None:
    """The chunk of a row group that holds the bytes of its pictures."""
    return next((chunk for chunk in chunks if chunk.path == IMAGE_BYTES), None)


def image_pages(file: int, chunk: Chunk | None) -> list[PlainPage] | None:
    """The pages that hold the bytes of a row group's pictures in an open file; None if these are not there as they are.

    Args:
        chunk: see `image_chunk`.

    That is so where they are compressed, in a dictionary or in data pages of the second version.
    """
    if chunk is None or not chunk.is_plain:
        return None
    start, size = chunk.offset, chunk.compressed_bytes
    if start < 0 or size < 1 or start + size > os.fstat(file).st_size:
        return None
    base = start - start % mmap.ALLOCATIONGRANULARITY
    with mmap.mmap(file, start + size - base, offset=base, access=mmap.ACCESS_READ) as content:
        pages = plain_pages(content, start - base, start + size - base)
    return pages and [
        PlainPage(base + offset, size, crc, [(base + start, length) for start, length in values])
        for offset, size, crc, values in pages
    ]
