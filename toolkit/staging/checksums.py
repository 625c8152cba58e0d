"""What files were like when they were written, by which damage is told later: size and CRC-32, found on the way to the
disk, so that nothing is read again; of a link, which file it is.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from isal import isal_zlib

READ_BYTES = 1 << 20
BUFFER_BYTES, NOTED_BUFFER_BYTES = 128 << 10, 1 << 20  # of files that are written


class Checksum(NamedTuple):
    """
    Attributes:
        inode: of a link to a file that is another's: this stands for its bytes. 0: not of a link.
    """

    size: int
    crc: int
    inode: int = 0


_noted: ContextVar[dict[Path, Checksum] | None] = ContextVar("_noted", default=None)


@contextmanager
def noting() -> Iterator[dict[Path, Checksum]]:
    """Files that the block writes."""
    noted: dict[Path, Checksum] = {}
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)


def note(path: Path, checksum: Checksum | None = None) -> None:
    """A file is written.

    Args:
        checksum: None: it is read.
    """
    if (noted := _noted.get()) is not None:
        noted[path] = checksum or checksum_of(path)


def note_link(path: Path) -> None:
    """A link is made to a file that another dataset has."""
    found = path.stat()
    note(path, Checksum(found.st_size, 0, found.st_ino))


def note_bytes(path: Path, content: bytes) -> None:
    """A file is written with so many bytes."""
    note(path, Checksum(len(content), isal_zlib.crc32(content)))


def known(path: Path) -> Checksum:
    """Of a file that was noted, or that is read."""
    return (_noted.get() or {}).get(path) or checksum_of(path)


def checksum_of(path: Path) -> Checksum:
    """Of a file that is read."""
    size = crc = 0
    with path.open("rb", buffering=0) as file:
        while data := file.read(READ_BYTES):
            size, crc = size + len(data), isal_zlib.crc32(data, crc)
    return Checksum(size, crc)


def is_as_noted(path: Path, checksum: Checksum) -> bool:
    """Whether a file is as it was; False of anything else that has its name."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size != checksum.size:
            return False
        return path.stat().st_ino == checksum.inode if checksum.inode else checksum_of(path) == checksum
    except OSError:
        return False


class Summed(io.FileIO):
    """A file whose checksum is found while it is written."""

    def __init__(self, file: Path | int, **options: Any) -> None:
        super().__init__(file, "wb", **options)
        self._size = self._crc = 0

    def write(self, data: Any, /) -> int:
        count = super().write(data)
        self._size, self._crc = self._size + count, isal_zlib.crc32(memoryview(data).cast("B")[:count], self._crc)
        return count

    def checksum(self) -> Checksum | None:
        """None: it was not written from its start to its end through this."""
        is_whole = self._size == self.tell() == os.fstat(self.fileno()).st_size
        return Checksum(self._size, self._crc) if is_whole else None


class _Noted(Summed):
    def close(self) -> None:
        if not self.closed:
            checksum = self.checksum()
            super().close()
            note(Path(os.fsdecode(self.name)), checksum)


def open_noted(path: Path) -> BinaryIO:
    """A new file that is noted when it is closed, for a folder that is brought to the disk as a whole."""
    return io.BufferedWriter(_Noted(path), NOTED_BUFFER_BYTES)
