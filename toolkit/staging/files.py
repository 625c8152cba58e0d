"""Files that are whole or not there: written under another name, flushed to disk, renamed, and the folder flushed too.

`<folder>/.<name>.part` is locked while it is written. What a killed process left of it is taken over by the next that
writes the same file, or removed by `sweep`.
"""

import contextlib
import io
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import DiskFull, SourceError, UsageError, is_disk_full
from toolkit.staging.checksums import BUFFER_BYTES, Summed, note
from toolkit.staging.locks import WAIT_S, has_locks, open_locked, release

FEW = 64  # up to this many files are flushed one by one, more with one call for the whole disk


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes its name only when the block ends without an error; the old one stays until then.

    Raises:
        DiskFull: no space is left. SourceError: another process is writing the same file.
    """
    with disk_errors(path, lambda: "more is"):
        part, handle = _open_part(path)
    try:
        with disk_errors(path, lambda: _need_of(os.fstat(handle).st_size)):
            raw = Summed(handle, closefd=False)
            with io.BufferedWriter(raw, BUFFER_BYTES) as file:
                yield file
                file.flush()
                os.fsync(handle)
                checksum = raw.checksum()
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        release(handle)
    note(path, checksum)
    sync_folder(path.parent)


def _need_of(written_bytes: int) -> str:
    return f"more than {size_text(written_bytes)} are" if written_bytes else "more is"


def write_whole(path: Path, content: str | bytes | Iterable[bytes]) -> None:
    """A whole file of text (UTF-8), bytes, or pieces of bytes."""
    with whole_file(path) as file:
        if isinstance(content, str | bytes):
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        else:
            file.writelines(content)


def check_kind(path: Path, *suffixes: str) -> None:
    """
    Raises:
        UsageError: a file of another kind has this name; it may be one that is read.
    """
    if path.exists() and path.suffix.lower() not in suffixes:
        raise UsageError(
            f"{path} is there, and does not end in {' or '.join(suffixes)}; choose another name for what is written"
        )


def sweep(folder: Path) -> int:
    """Remove what killed processes left half written anywhere in a folder; returns how many files."""
    parts = [
        Path(place, name)
        for place, _, names in os.walk(folder)  # not rglob, which takes ten times as long
        for name in names
        if name.startswith(".") and name.endswith(".part")
    ]
    count = 0
    for part in parts:
        if (handle := open_locked(part)) is not None:
            if has_locks(handle):  # else it may be at work
                part.unlink(missing_ok=True)
                count += 1
            release(handle)
    return count


def sync_folder(folder: Path) -> None:
    """A new name is only on the disk once its folder is."""
    with contextlib.suppress(OSError):  # some file systems have no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_tree(folder: Path) -> None:
    """Bring all files and folders in a folder to the disk."""
    paths = [folder, *folder.rglob("*")]
    if len(paths) > FEW and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        sync_folder(path)


@contextmanager
def disk_errors(path: Path, need: Callable[[], str]) -> Iterator[None]:
    """
    Args:
        need: what the message says is needed, as in "about 3.0 GB are".

    Raises:
        DiskFull: what the block writes to `path` does not fit.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskFull) or not is_disk_full(error):
            raise
        raise disk_full(path, need()) from error


def check_space(path: Path, need_bytes: int) -> None:
    """
    Raises:
        DiskFull: less is free.
    """
    if shutil.disk_usage(_existing(path)).free < need_bytes:
        raise disk_full(path, f"about {size_text(need_bytes)} are")


def disk_full(path: Path, need: str) -> DiskFull:
    free = size_text(shutil.disk_usage(_existing(path)).free)
    error = DiskFull(
        f"{path}: the disk is full: {free} are free, {need} needed; free space, or choose another disk (TMPDIR for "
        "temporary files), then run the same command again: it is resumed"
    )
    error.path = path
    return error


def size_text(num_bytes: float) -> str:
    """ "3.0 MB" """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes / 1e3:,.1f} kB"


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def _open_part(path: Path) -> tuple[Path, int]:
    part = path.with_name(f".{path.name}.part")
    handle = open_locked(part, wait_s=WAIT_S)
    if handle is None:
        raise SourceError(f"{path}: another process has been writing it for {WAIT_S:.0f} s; wait for it")
    if not has_locks(handle):  # then a name of its own keeps writers apart
        part.unlink(missing_ok=True)
        release(handle)
        part = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}.part")
        handle = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    os.ftruncate(handle, 0)
    return part, handle
