"""Pictures of a JSON Lines file with their vectors, for exact search. Vectors are kept beside the file, and only new or
changed pictures are embedded.

`pictures.jsonl` -> `pictures.<model>.npz`: one row a picture, by sha256; size and time of a file tell whether it must
be hashed again.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.errors import SourceError
from toolkit.generation.backends.embedder import Embedder, Vectors
from toolkit.staging.files import whole_file

SAVE_EVERY = 1024  # pictures; the work on this many is lost when a build is stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    path: Path
    caption: str


@dataclass(frozen=True, kw_only=True)
class PictureIndex:
    """
    Attributes:
        entries: in the order of the file.
        sha256s: of their pictures.
        vectors: float32 (N, D), unit length.
    """

    entries: list[Entry]
    sha256s: list[str]
    vectors: Vectors

    def read(self, number: int) -> bytes:
        """
        Raises:
            SourceError: the picture is no longer the one that was embedded.
        """
        content = self.entries[number].path.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.sha256s[number]:
            raise SourceError(f"{self.entries[number].path}: changed while the run was using it; run again")
        return content


def read_entries(path: Path) -> list[Entry]:
    """Lines of {"image": path relative to the file, "caption": text}.

    Raises:
        SourceError: cannot be read as such.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [Entry(path=path.parent / line["image"], caption=str(line.get("caption") or "")) for line in lines]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path}: cannot be read as JSON Lines of image and caption: {type(error).__name__}: {error}"
        ) from error


def open_index(path: Path, embedder: Embedder) -> PictureIndex:
    """Read the index of a file, made or brought up to date first.

    Raises:
        SourceError: a picture is missing or broken, or nothing is listed.
    """
    entries = read_entries(path)
    if not entries:
        raise SourceError(f"{path}: lists no picture; expected lines of image and caption")
    stored = path.with_suffix(f".{hashlib.sha256(embedder.revision.encode()).hexdigest()[:12]}.npz")
    stamps, vectors = _load(stored)
    fresh = {entry.path: _stamp(entry.path, stamps) for entry in entries}
    missing = {sha256: place for place, (_, sha256) in fresh.items() if sha256 not in vectors}
    for start in range(0, len(missing), SAVE_EVERY):
        part = list(missing.items())[start : start + SAVE_EVERY]
        vectors |= zip(
            (sha256 for sha256, _ in part), embedder.images([place.read_bytes() for _, place in part]), strict=True
        )
        _save(stored, fresh, vectors)
    if not missing and fresh != stamps:
        _save(stored, fresh, vectors)
    sha256s = [fresh[entry.path][1] for entry in entries]
    return PictureIndex(entries=entries, sha256s=sha256s, vectors=np.stack([vectors[sha256] for sha256 in sha256s]))


_Stamps = dict[Path, tuple[str, str]]  # picture -> size and time, sha256


def _stamp(path: Path, known: _Stamps) -> tuple[str, str]:
    try:
        found = path.stat()
        stamp = f"{path.resolve()}:{found.st_size}:{found.st_mtime_ns}"
        if known.get(path, ("", ""))[0] == stamp:
            return known[path]
        return stamp, hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}; remove its line or restore the file") from error


def _load(stored: Path) -> tuple[_Stamps, dict[str, Vectors]]:
    if not stored.exists():
        return {}, {}
    with np.load(stored, allow_pickle=False) as found:
        stamps = {Path(path): (stamp, sha256) for path, stamp, sha256 in found["stamps"].tolist()}
        return stamps, dict(zip(found["sha256s"].tolist(), found["vectors"], strict=True))


def _save(stored: Path, stamps: _Stamps, vectors: dict[str, Vectors]) -> None:
    listed = {sha256 for _, sha256 in stamps.values()}
    kept = [sha256 for sha256 in vectors if sha256 in listed]
    buffer = io.BytesIO()
    np.savez(
        buffer,
        stamps=np.array([(str(path), *stamp) for path, stamp in stamps.items()]),
        sha256s=np.array(kept),
        vectors=np.stack([vectors[sha256] for sha256 in kept]).astype(np.float32),
    )
    with whole_file(stored) as file:
        file.write(buffer.getbuffer())
