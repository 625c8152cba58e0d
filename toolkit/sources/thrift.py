"""Thrift's compact protocol, as far as Parquet's headers and footers use it.

Source: apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

import mmap
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12

Content = bytes | bytearray | mmap.mmap


class OtherwiseWritten(Exception):
    """A type that the headers of plain pages do not have, or a number over 64 bits."""


def read_struct(content: Content, at: int, *, with_lists: bool = False) -> tuple[dict[int, Any], int]:
    """A struct by the numbers of its fields, and where it ends; a string as its offset and size.

    Args:
        with_lists: for content that is known to be whole; a list may say that it is as long as it likes.

    Raises:
        OtherwiseWritten: see there. IndexError: it is cut off. RecursionError: structs within structs.
    """
    fields, number = {}, 0
    while head := content[at]:
        kind, step, at = head & 15, head >> 4, at + 1
        if not step:  # the number is written out
            number, at = _integer(content, at)
        number += step
        if I16 <= kind <= I64 and (byte := content[at]) < 128:  # most are; a footer has thousands
            fields[number], at = (byte >> 1) ^ -(byte & 1), at + 1
        else:
            fields[number], at = _field(content, at, kind, with_lists)
    return fields, at + 1


def _field(content: Content, at: int, kind: int, with_lists: bool) -> tuple[Any, int]:
    if I16 <= kind <= I64:
        return _integer(content, at)
    if kind == BINARY:
        length, at = _varint(content, at)
        return (at, length), at + length
    if kind == STRUCT:
        return read_struct(content, at, with_lists=with_lists)
    if kind in (TRUE, FALSE):
        return kind == TRUE, at
    if kind == BYTE:
        return content[at], at + 1
    if kind == DOUBLE:
        return None, at + 8
    if kind == LIST and with_lists:
        return _list(content, at)
    raise OtherwiseWritten


def _list(content: Content, at: int) -> tuple[list[Any], int]:
    head, at = content[at], at + 1
    size, kind = head >> 4, head & 15
    if size == 15:  # or more, which is written out
        size, at = _varint(content, at)
    found = []
    for _ in range(size):
        value, at = _field(content, at, BYTE if kind in (TRUE, FALSE) else kind, True)
        found.append(value)
    return found, at


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
