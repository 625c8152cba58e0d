"""Markers: something is finished, what came of it, and what its files were like.

    <name>.done    JSON: result, a text; files beside the marker -> their checksums, a text; CRC-32 of both and the name

A marker that is not as it was written counts for nothing.
"""

import json
import shutil
import zlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.staging.checksums import Checksum, checksum_of, is_as_noted, known, note
from toolkit.staging.files import write_whole

DONE = ".done"


def mark(marker: Path, result: Any, files: Iterable[Path] = ()) -> None:
    """Say that something is finished.

    Args:
        result: JSON.
        files: that it made, in the folder of the marker or below; those that are gone again are left out.
    """
    there = sorted((path for path in files if path.is_file()), key=str)  # paths take ten times as long to compare
    checksums = {str(path.relative_to(marker.parent)): known(path) for path in there}
    texts = json.dumps(result, sort_keys=True), json.dumps(checksums)
    if marker.is_dir() and not marker.is_symlink():
        shutil.rmtree(marker)
    write_whole(marker, json.dumps([*texts, _crc(marker, *texts)]))


def result_of(marker: Path) -> tuple[Any] | None:
    """What `mark` was told; None: nothing, or the marker is not as it was written."""
    found = _texts(marker)
    return (json.loads(found[0]),) if found else None


def files_of(marker: Path) -> dict[Path, Checksum]:
    """What its files were like; {} if that cannot be read."""
    found = _texts(marker)
    listed = json.loads(found[1]) if found else {}
    return {marker.parent / name: Checksum(*checksum) for name, checksum in listed.items()}


def is_whole(marker: Path) -> bool:
    """Whether it is finished, and its files are as they were; then they count as written just now, which those are
    not that a process before has written.
    """
    files = files_of(marker)
    if result_of(marker) is None or not all(is_as_noted(path, checksum) for path, checksum in files.items()):
        return False
    for path, checksum in files.items():
        note(path, checksum)
    note(marker)
    return True


class Placed:
    """Files that a process which ended a job may have moved out of the staging folder, known by their bytes."""

    def __init__(self, out: Path, staging: Path) -> None:
        self._out, self._staging = out, staging
        self._found: dict[Path, Checksum] = {}

    def has(self, checksum: Checksum) -> bool:
        return any(self._is(path, checksum) for path in self._sizes.get(checksum.size, ()))

    def _is(self, path: Path, checksum: Checksum) -> bool:
        if checksum.inode:
            return is_as_noted(path, checksum)
        if path not in self._found:
            self._found[path] = checksum_of(path)
        return self._found[path] == checksum

    @cached_property
    def _sizes(self) -> dict[int, list[Path]]:
        sizes: dict[int, list[Path]] = {}
        for path in self._out.rglob("*"):
            if path.is_file() and not path.is_relative_to(self._staging):
                sizes.setdefault(path.stat().st_size, []).append(path)
        return sizes


def damaged(marker: Path, placed: Placed) -> list[Path]:
    """Files that are not as they were when they were marked; one that is gone may have its place in the result."""
    return [
        path
        for path, checksum in files_of(marker).items()
        if not is_as_noted(path, checksum) and (path.exists() or path.is_symlink() or not placed.has(checksum))
    ]


def remove(path: Path) -> None:
    """Whatever has this name."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _texts(marker: Path) -> tuple[str, str] | None:
    try:
        if not marker.is_file():  # nothing that is read for ever
            return None
        result, files, crc = json.loads(marker.read_bytes())
        return (result, files) if _crc(marker, result, files) == crc else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _crc(marker: Path, result: str, files: str) -> int:
    return zlib.crc32(f"{marker.stem} {result} {files}".encode())
