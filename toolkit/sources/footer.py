"""What the footer of a Parquet file says of its column chunks.

Arrow's own answers, `RowGroupMetaData.column` and what is written of it, end the process where a chunk says what cannot
be (a histogram of another length than its schema has levels, encryption without keys): a C++ exception that nothing
catches, as of pyarrow 26. So a footer that Arrow could parse is read here once more.

Source: apache/parquet-format, parquet.thrift (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData).
"""

import os
import zlib
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa

from toolkit.sources.thrift import OtherwiseWritten, read_struct

ROW_GROUPS, COLUMNS, META_DATA = 4, 1, 3  # fields of FileMetaData, RowGroup, ColumnChunk
PATH, CODEC, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, DATA_OFFSET, DICTIONARY_OFFSET = 3, 4, 6, 7, 9, 11
WANTED_DATA = dict.fromkeys((CODEC, UNCOMPRESSED_BYTES, COMPRESSED_BYTES, DATA_OFFSET, DICTIONARY_OFFSET)) | {PATH: {}}
WANTED = {ROW_GROUPS: {COLUMNS: {META_DATA: WANTED_DATA}}}
TAIL_BYTES = 8  # the length of the footer, and "PAR1"


class Chunk(NamedTuple):
    """A column of a row group.

    Attributes:
        path: of the leaf, dotted, as Parquet names it.
        is_plain: neither compressed nor in a dictionary.
        offset, compressed_bytes: of its pages in the file.
        uncompressed_bytes: of its pages.
    """

    path: str
    is_plain: bool
    offset: int
    compressed_bytes: int
    uncompressed_bytes: int


def column_chunks(file: BinaryIO) -> list[list[Chunk]]:
    """The chunks of each row group, in the order of the schema's leaves.

    Args:
        file: seekable; one that Arrow has opened.

    Raises:
        pa.ArrowInvalid: one of them does not say what it is.
    """
    try:
        content = _footer(file)
        footer, _ = read_struct(content, 0, WANTED)
        return [[_chunk(content, each[META_DATA]) for each in group[COLUMNS]] for group in footer.get(ROW_GROUPS, ())]
    except (KeyError, ValueError, TypeError, IndexError, RecursionError, OtherwiseWritten) as error:
        raise pa.ArrowInvalid(f"a column chunk that does not say what it is: {error!r:.100}") from error


def _footer(file: BinaryIO) -> bytes:
    """With its length behind it."""
    file.seek(-TAIL_BYTES, os.SEEK_END)
    size = int.from_bytes(file.read(TAIL_BYTES)[:4], "little")
    file.seek(-TAIL_BYTES - size, os.SEEK_END)
    return file.read(size + TAIL_BYTES)


def footer_crc32(file: BinaryIO) -> int:
    """Of the footer and its length, which no page's checksum is of. `file`: as for `column_chunks`."""
    return zlib.crc32(_footer(file))


def check_footer(file: BinaryIO, crc32: int | None) -> None:
    """
    Args:
        crc32: as it was written; None = it is not known.

    Raises:
        pa.ArrowInvalid: it is another.
    """
    with suppress(OSError, ValueError):  # there is no room for one; a file of the Hub says so by ValueError
        if crc32 is None or footer_crc32(file) == crc32:
            return
    raise pa.ArrowInvalid("its footer does not have the checksum that was written")


def _chunk(content: bytes, said: dict[int, Any]) -> Chunk:
    return Chunk(
        path=".".join(content[at : at + size].decode() for at, size in said[PATH]),
        is_plain=said[CODEC] == 0 and DICTIONARY_OFFSET not in said,
        offset=said[DATA_OFFSET],
        compressed_bytes=said[COMPRESSED_BYTES],
        uncompressed_bytes=said[UNCOMPRESSED_BYTES],
    )
