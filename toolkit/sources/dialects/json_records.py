"""JSON and JSON Lines, one record at a time, so that a file of any size fits.

A list of records, one record a line, an object of records by key, or an object with lists of records in it. A line that
is not JSON is one bad record; a list that is not JSON cannot be read further, which its last record says.
"""

import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from toolkit.errors import RowError
from toolkit.parsing import load_json

CHUNK = 1 << 20  # read at once
MAX_RECORD = 64 << 20  # characters; embedded pictures are some millions
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
# Names of lists of records in an object, and of what is no record in one.
LISTS = (
    *("data", "annotations", "questions", "examples", "instances", "items", "records", "rows", "samples", "documents"),
    "entries",
)
ABOUT = ("info", "metadata", "meta", "config", "license", "licenses")
CUT = 16  # characters at the end of a text within which a cut-off value is found wrong


def json_records(file: BinaryIO, *, lines: bool) -> Iterator[Any | RowError]:
    """
    Args:
        lines: whether the file says by its name that it holds one record a line.
    """
    buffered = io.BufferedReader(cast(io.RawIOBase, file), CHUNK)
    head = buffered.peek(CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        return
    if head.startswith(b"["):
        yield from _Text(buffered).items()
    elif lines or not _is_object_of_records(head):
        yield from _lines(buffered)
    else:
        yield from _Text(buffered).values()


def _is_json(line: bytes) -> bool:
    try:
        load_json(line)
    except ValueError:
        return False
    return True


def _is_object_of_records(head: bytes) -> bool:
    """Whether the file is one object; else each line is."""
    first, newline, rest = head.partition(b"\n")
    if not _is_json(first):
        return True
    return not (newline and rest.strip())


def _lines(file: "io.BufferedReader[Any]") -> Iterator[Any | RowError]:
    while line := file.readline(MAX_RECORD):
        if len(line) == MAX_RECORD and not line.endswith(b"\n"):
            while (rest := file.readline(CHUNK)) and not rest.endswith(b"\n"):
                pass
            yield RowError(f"a line of over {MAX_RECORD:,} bytes; at most so many are read", kind="huge_record")
        elif line.strip():
            try:
                yield load_json(line.removeprefix(b"\xef\xbb\xbf"))
            except ValueError as error:
                yield RowError(f"not JSON ({error}): {line[:80]!r}", kind="bad_json")


class _Broken(Exception):
    pass


class _Text:
    """Values of JSON in a file, one at a time."""

    def __init__(self, file: "io.BufferedReader[Any]") -> None:
        self._file = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape")
        self._text, self._place = "", 0

    def items(self) -> Iterator[Any | RowError]:
        """Of the list that begins here."""
        try:
            yield from self._items()
        except _Broken as error:
            yield _unreadable(error)

    def values(self) -> Iterator[Any | RowError]:
        """Of the object that begins here: its values if the first is an object, and items of its lists; else itself."""
        plain: dict[str, Any] = {}
        count = 0
        try:
            self._expect("{")
            while not self._ended("}"):
                key = self._value()
                self._expect(":")
                if self._next() == "[" and key in LISTS:
                    for value in self._items():
                        count += 1
                        yield value
                elif isinstance(value := self._value(), dict) and value and not plain and key not in ABOUT:
                    count += 1
                    yield {"__key__": key, **value}
                elif not count and key not in ABOUT:
                    plain[key] = value
        except _Broken as error:
            yield _unreadable(error)
            return
        if not count and plain:
            yield plain

    def _items(self) -> Iterator[Any]:
        self._expect("[")
        while not self._ended("]"):
            yield self._value()

    def _ended(self, end: str) -> bool:
        found = self._next()
        if found == ",":
            self._place += 1
            found = self._next()
        if found == end:
            self._place += 1
        return found == end

    def _next(self) -> str:
        """The next character that is not blank."""
        while True:
            found = _SPACE.match(self._text, self._place)
            self._place = found.end() if found else self._place
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                raise _Broken("the file ends in the middle; it is cut off")

    def _expect(self, character: str) -> None:
        if (found := self._next()) != character:
            raise _Broken(f"{found!r} where {character!r} was expected")
        self._place += 1

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
            except RecursionError:
                raise _Broken("nested too deeply to be read") from None
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - CUT
                if not (is_cut and self._more()):
                    raise _Broken(f"{error.msg}{'; the file is cut off' if is_cut else ''}") from error
            except ValueError as error:  # a number of thousands of digits
                raise _Broken(str(error)) from error
            else:  # a number or word at the very end of the text may go on in the next piece
                if end < len(self._text) or not self._more():
                    self._place = end
                    return value

    def _more(self) -> bool:
        rest = self._text[self._place :]
        if len(rest) > MAX_RECORD:
            raise _Broken(f"a record of over {MAX_RECORD:,} characters; at most so many are read")
        found = self._file.read(max(CHUNK, len(rest)))  # as much again: a record of n pieces is parsed log n times
        self._text, self._place = rest + found, 0
        return bool(found)


def _unreadable(error: _Broken) -> RowError:
    return RowError(f"not JSON: {error}; the rest of the file cannot be read", kind="bad_json")
