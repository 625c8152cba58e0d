"""Pictures of a run, each once, named by its sha256: `blobs/ab/<sha256>.png`. Written once, never changed."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from toolkit.errors import SourceError
from toolkit.images import image_format
from toolkit.staging.files import sweep, write_whole


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
        write_whole(path, content)
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
        return sweep(self.root)
