"""An archive of any kind -> members, safely. Nothing is ever written to disk under a member's name.

names     compared after normalising: Unicode NFC, "\\" is "/", no "." or empty components, a leading "/" is dropped
          (as GNU tar does); bytes that are not UTF-8 are surrogates, see members.decodings
".."      refused: the member is counted and not read
links     handed over as name and target, where they stay inside the archive
devices, pipes, encrypted members   refused: counted, not read
size      a member over `MAX_MEMBER_BYTES` is counted and not read
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any, BinaryIO, cast

from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.members import MAX_MEMBER_BYTES, NAME_ONLY, Member, Watch, normalise_name
from toolkit.sources.published.tars import read_tar
from toolkit.sources.published.zips import read_zip
from toolkit.sources.repository import OnRead, Repository


def read_archive(
    repository: Repository, archive: Archive, watch: Watch, *, on_read: OnRead | None = None
) -> Iterator[Member]:
    """Members in the order in which they lie.

    Args:
        on_read: told (file, bytes just read), for progress.

    Raises:
        ArchiveError: damaged or cut off, or something else in its place.
    """
    if archive.kind == "folder":
        yield from _read_folder(repository, archive, watch)
        return
    with ExitStack() as stack:
        if archive.kind == "zip":
            files = [stack.enter_context(closing(repository.open(path))) for path in archive.files]
            whole = files[0] if len(files) == 1 else cast(BinaryIO, io.BufferedReader(Joined(files)))
            yield from read_zip(whole, archive.name, watch)
        else:
            parts = cast(BinaryIO, _Sequence(repository, archive.files, on_read, stack))
            yield from read_tar(parts, archive.name, watch)


def _read_folder(repository: Repository, archive: Archive, watch: Watch) -> Iterator[Member]:
    sizes = repository.list_files()
    for path in archive.files:
        name = normalise_name(path)
        if sizes[path] > MAX_MEMBER_BYTES:
            watch.on_refused("huge_member", path)
        elif watch.wanted(name):
            if watch.names_only:
                yield Member(name, NAME_ONLY)
                continue
            with closing(repository.stream(path)) as file:
                yield Member(name, file.read())


class _Sequence(io.RawIOBase):
    """Parts read one behind the other, each opened when it is due."""

    def __init__(
        self, repository: Repository, paths: tuple[str, ...], on_read: OnRead | None, stack: ExitStack
    ) -> None:
        self._coming = iter(paths)
        self._repository, self._on_read, self._stack = repository, on_read, stack
        self._path, self._file = "", cast(BinaryIO, io.BytesIO())

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (count := self._file.readinto(buffer)):  # type: ignore[attr-defined]  # every file here has it
            path = next(self._coming, None)
            if path is None:
                return 0
            self._path, self._file = path, self._stack.enter_context(closing(self._repository.stream(path)))
        if self._on_read:
            self._on_read(self._path, count)
        return int(count)


class Joined(io.RawIOBase):
    """Parts as one seekable file."""

    def __init__(self, files: list[BinaryIO]) -> None:
        self._files, self._place = files, 0
        self._ends: list[int] = []
        for file in files:
            self._ends.append((self._ends[-1] if self._ends else 0) + file.seek(0, io.SEEK_END))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._ends[-1]}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        for number, end in enumerate(self._ends):
            if self._place < end:
                file = self._files[number]
                file.seek(self._place - (self._ends[number - 1] if number else 0))
                data = file.read(min(len(buffer), end - self._place))
                buffer[: len(data)] = data
                self._place += len(data)
                return len(data)
        return 0
