"""Bytes put aside until they are needed: in memory up to a budget, beyond that in a temporary file."""

import os
import tempfile
from types import TracebackType
from typing import BinaryIO

from toolkit.errors import SourceError, reason_of


class Spool:
    """Put bytes, get them back by ticket, drop them. The file has no name anyone can find, is gone when the process
    ends, and shrinks to nothing whenever nothing in it is needed any more.

    Args:
        memory_bytes: how much is kept in memory.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._budget = memory_bytes
        self._kept: dict[int, bytes] = {}
        self._written: dict[int, tuple[int, int]] = {}  # ticket -> (offset, size)
        self._file: BinaryIO | None = None
        self._end = 0
        self._tickets = 0
        self.peak_file_bytes = 0

    def put(self, data: bytes) -> int:
        self._tickets += 1
        if len(data) <= self._budget:
            self._budget -= len(data)
            self._kept[self._tickets] = data
        else:
            self._write(data)
        return self._tickets

    def get(self, ticket: int) -> bytes:
        if ticket in self._kept:
            return self._kept[ticket]
        assert self._file is not None
        offset, size = self._written[ticket]
        return os.pread(self._file.fileno(), size, offset)

    def drop(self, ticket: int) -> None:
        if ticket in self._kept:
            self._budget += len(self._kept.pop(ticket))
            return
        del self._written[ticket]
        if not self._written and self._file is not None:
            self._file.truncate(0)
            self._end = 0

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="unifiedvisual-", buffering=0)  # noqa: SIM115  # closed by __exit__
        assert self._file is not None
        try:
            written = os.pwrite(self._file.fileno(), data, self._end)
            if written < len(data):
                raise OSError(f"{written} of {len(data)} bytes written")
        except OSError as error:
            raise SourceError(
                f"{tempfile.gettempdir()}: pictures that wait for their rows do not fit ({reason_of(error)}); "
                "free space there, or set TMPDIR to a larger disk"
            ) from error
        self._written[self._tickets] = (self._end, len(data))
        self._end += len(data)
        self.peak_file_bytes = max(self.peak_file_bytes, self._end)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


class Held:
    """Bytes of one member: at hand while it is read, then in the spool as long as some picture needs them."""

    __slots__ = ("_spool", "_ticket", "archive", "data", "name", "uses")

    def __init__(self, spool: Spool, archive: int, name: str, data: bytes) -> None:
        self._spool, self._ticket, self.uses = spool, 0, 0
        self.archive, self.name, self.data = archive, name, data

    def get(self) -> bytes:
        return self._spool.get(self._ticket) if self._ticket else self.data

    def put_aside(self) -> None:
        if self.uses and not self._ticket:
            self._ticket = self._spool.put(self.data)
        self.data = b""

    def let_go(self) -> None:
        self.uses -= 1
        if not self.uses and self._ticket:
            self._spool.drop(self._ticket)
            self._ticket = 0
