"""Where the values of a Parquet column lie in its file, without reading them.

An uncompressed column chunk of plain byte strings is a chain: page header, levels, then each value behind its length.
Arrow cannot be asked for the places; it reads and copies all values of a row group to give one.

Source: apache/parquet-format, README.md (data pages) and parquet.thrift.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from toolkit.sources.thrift import Content, OtherwiseWritten, read_struct

# Fields of PageHeader and DataPageHeader, and what they hold here; a second kind of data page, compression and
# dictionaries are Arrow's to read.
PAGE_TYPE, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, CRC, DATA_PAGE_HEADER = 1, 2, 3, 4, 5
ENCODING, DEFINITION_ENCODING, REPETITION_ENCODING = 2, 3, 4
DATA_PAGE, PLAIN, RLE = 0, 0, 3

Span = tuple[int, int]  # offset and size, bytes


class PlainPage(NamedTuple):
    """A data page: where it lies behind its header, its checksum (CRC-32; None if it has none), and its values."""

    offset: int
    size: int
    crc: int | None
    values: list[Span]


def plain_pages(content: Content, at: int, end: int) -> list[PlainPage] | None:
    """The pages of a repeated column that lies between two offsets; None if its values are not there as they are.

    Args:
        content: the file or a part of it, which the offsets count from.
    """
    try:
        return list(_pages(content, at, end))
    except (
        OtherwiseWritten,
        IndexError,
        RecursionError,
    ):  # IndexError: it is cut off; RecursionError: structs within structs, which no writer makes
        return None


def _pages(content: Content, at: int, end: int) -> Iterator[PlainPage]:
    while at < end:
        header, at = read_struct(content, at)
        size, crc = _page_bytes(header), header.get(CRC)
        if not at <= at + size <= end:  # it would be followed through whatever else is in the file, or far beyond it
            raise OtherwiseWritten
        yield PlainPage(
            at, size, crc & 0xFFFFFFFF if isinstance(crc, int) else None, list(_values(content, at, at + size))
        )
        at += size


def _values(content: Content, at: int, end: int) -> Iterator[Span]:
    for _ in ("repetition levels", "definition levels"):
        at += 4 + _length(content, at)
    while at < end:
        length = _length(content, at)
        yield at + 4, length
        at += 4 + length
    if at != end:
        raise OtherwiseWritten


def _page_bytes(header: dict[int, Any]) -> int:
    page, size = header.get(DATA_PAGE_HEADER), header.get(COMPRESSED_BYTES)
    encodings = (
        [page.get(field) for field in (ENCODING, DEFINITION_ENCODING, REPETITION_ENCODING)]
        if isinstance(page, dict)
        else []
    )
    if (
        header.get(PAGE_TYPE) != DATA_PAGE
        or encodings != [PLAIN, RLE, RLE]
        or not isinstance(size, int)
        or size != header.get(UNCOMPRESSED_BYTES)
    ):
        raise OtherwiseWritten
    return size


def _length(content: Content, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "little")
