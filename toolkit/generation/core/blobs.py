"""Pictures of a run, each once, named by its sha256: `blobs/ab/<sha256>.png`. Written once, never changed."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from toolkit.errors import SourceError
from toolkit.images import image_format


class Blob(NamedTuple):
    sha256: str
    suffix: str  # "png"; "" = unknown

    @property
    def name(self) -> str:
        return f"{self.sha256}.{self.suffix}" if self.suffix else self.sha256


class Blobs:
    """A folder of pictures. Threads and processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, blob: Blob) -> Path:
        return self.root / blob.sha256[:2] / blob.name

    def put(self, content: bytes) -> Blob:
        """Keep a picture; it is on the disk, under its name, when this returns."""
        blob = Blob(hashlib.sha256(content).hexdigest(), image_format(content))
        path = self.path(blob)
        if path.exists():
            return blob
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(path.parent)
        return blob

    def read(self, blob: Blob) -> bytes:
        """
        Raises:
            SourceError: it is gone, or no longer what it was.
        """
        try:
            content = self.path(blob).read_bytes()
        except OSError as error:
            raise SourceError(
                f"{self.path(blob)}: cannot be read: {error.strerror}; remove its sample with `generate retry`"
            ) from error
        if hashlib.sha256(content).hexdigest() != blob.sha256:
            raise SourceError(
                f"{self.path(blob)}: {len(content):,} bytes that do not hash to its name; restore the file"
            )
        return content

    def sweep(self) -> int:
        """Remove what killed processes left half written; returns how many files."""
        stray = list(self._stray())
        for path in stray:
            path.unlink(missing_ok=True)
        return len(stray)

    def _stray(self) -> Iterator[Path]:
        for path in self.root.glob("*/.*.part"):
            if not _is_alive(int(path.name.split(".")[-3])):
                yield path


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """A rename is only on the disk once its folder is."""
    with contextlib.suppress(OSError):  # some file systems have no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
