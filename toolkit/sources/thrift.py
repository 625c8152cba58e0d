"""Thrift's compact protocol, as far as Parquet's headers and footers use it.

Source: apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

import mmap
from collections.abc import Mapping
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
SIZES = {TRUE: 0, FALSE: 0, BYTE: 1, DOUBLE: 8}  # in bytes; a field's type says whether it is true

Content = bytes | bytearray | mmap.mmap
Wanted = Mapping[int, "Wanted | None"]  # fields -> what is wanted of what is in them


class OtherwiseWritten(Exception):
    """A type that the headers of plain pages do not have, or a number over 64 bits."""


def read_struct(content: Content, at: int, wanted: Wanted | None = None) -> tuple[dict[int, Any], int]:
    """A struct by the numbers of its fields, and where it ends; a string as its offset and size.

    Args:
        wanted: the fields that are read, and what of them if they are structs or lists of structs; the others are
            passed over. None: all fields; none may be a list, which may say that it is as long as it likes.

    Raises:
        OtherwiseWritten: see there. IndexError: it is cut off. RecursionError: structs within structs.
    """
    fields, number = {}, 0
    while head := content[at]:
        kind, step, at = head & 15, head >> 4, at + 1
        if not step:  # the number is written out
            number, at = _integer(content, at)
        number += step
        if wanted is not None and number not in wanted:
            at = _end(content, at, kind)
        elif I16 <= kind <= I64 and (byte := content[at]) < 128:  # most are; a footer has thousands
            fields[number], at = (byte >> 1) ^ -(byte & 1), at + 1
        else:
            fields[number], at = _field(content, at, kind, None if wanted is None else wanted[number])
    return fields, at + 1


def _field(content: Content, at: int, kind: int, wanted: Wanted | None) -> tuple[Any, int]:
    if I16 <= kind <= I64:
        return _integer(content, at)
    if kind == BINARY:
        length, at = _varint(content, at)
        return (at, length), at + length
    if kind == STRUCT:
        return read_struct(content, at, wanted)
    if kind == LIST and wanted is not None:
        size, kind, at = _list_head(content, at)
        found = []
        for _ in range(size):
            value, at = _field(content, at, kind, wanted)
            found.append(value)
        return found, at
    if kind == LIST:
        raise OtherwiseWritten
    return content[at] if kind == BYTE else kind == TRUE, _end(content, at, kind)


def _end(content: Content, at: int, kind: int) -> int:
    """Where a field ends."""
    if I16 <= kind <= I64:
        return at + 1 if content[at] < 128 else at + 2 if content[at + 1] < 128 else _varint(content, at)[1]
    if kind == BINARY:
        length, at = _varint(content, at)
        return at + length
    if kind == STRUCT:
        while head := content[at]:
            kind, at = head & 15, at + 1 if head >> 4 else _varint(content, at + 1)[1]
            is_short = I16 <= kind <= I64 and content[at] < 128
            at = at + 1 if is_short else _end(content, at, kind)
        return at + 1
    if kind == LIST:
        size, kind, at = _list_head(content, at)
        if kind in SIZES:
            return at + size * SIZES[kind]
        for _ in range(size):
            at = _end(content, at, kind)
        return at
    if kind in SIZES:
        return at + SIZES[kind]
    raise OtherwiseWritten


def _list_head(content: Content, at: int) -> tuple[int, int, int]:
    """How many there are, of which type, and where the first is."""
    head, at = content[at], at + 1
    size, kind = head >> 4, head & 15
    if size == 15:  # or more, which is written out
        size, at = _varint(content, at)
    return size, BYTE if kind in (TRUE, FALSE) else kind, at


def _integer(content: Content, at: int) -> tuple[int, int]:
    """A signed number: zigzag, so that small ones are short."""
    number, at = _varint(content, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(content: Content, at: int) -> tuple[int, int]:
    """Seven bits in each byte, low ones first; the highest bit says that more follow."""
    if (number := content[at]) < 128:
        return number, at + 1
    number, at = number & 127, at + 1
    for shift in range(7, 70, 7):
        byte, at = content[at], at + 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise OtherwiseWritten
