"""Locks that end with their process, however it ends."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from toolkit.errors import UsageError

WAIT_S = 10.0  # for a killed process to be gone; who waits longer is told
_LOG = logging.getLogger(__name__)
_POLL_S = 0.02
_TRIES = 100  # to make a file in a folder that others may remove meanwhile
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def hold(path: Path, *, busy: str, shared: bool = False, wait_s: float = 0.0) -> Iterator[int]:
    """Hold a lock file until the block or the process ends; the last holder removes it.

    Args:
        path: made if it is not there.
        busy: the message of the error.
        shared: others may hold it too, if they also share it.
        wait_s: how long to wait for another process.

    Yields:
        A handle for `take`, to share what is held alone.

    Raises:
        UsageError: another process holds it.
    """
    handle = open_locked(path, shared=shared, wait_s=wait_s)
    if handle is None:
        raise UsageError(busy)
    try:
        yield handle
    finally:
        if take(handle) and _is_at(handle, path):
            path.unlink(missing_ok=True)
        release(handle)


def is_held(path: Path) -> bool:
    """Whether another process holds a lock file."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not take(handle, shared=True)
    finally:
        release(handle)


def open_locked(path: Path, *, shared: bool = False, wait_s: float = 0.0) -> int | None:
    """A file open for writing, made with its folder if it is not there, and locked; None: another process has it.

    Raises:
        UsageError: no file can be made there, as in /proc.
    """
    until, told_at = time.monotonic() + wait_s, time.monotonic() + min(wait_s, WAIT_S)
    while True:
        handle = _open(path)
        is_ours = take(handle, shared=shared)
        if is_ours and _is_at(handle, path):
            return handle
        release(handle)
        if not is_ours:
            if (now := time.monotonic()) >= until:
                return None
            if now >= told_at:
                _LOG.warning("%s: another process is at work there; waiting for it", path.parent)
                told_at = until
            time.sleep(_POLL_S)


def _open(path: Path) -> int:
    for _ in range(_TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # its last holder has just removed the folder
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    raise UsageError(f"{path.parent}: no file can be made there; choose another folder")


def take(handle: int, *, shared: bool = False) -> bool:
    """Lock an open file; False: another process has it locked. Without locks in the file system, always True."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            return False
        _warn()
    return True


def has_locks(handle: int) -> bool:
    """Whether the file system of a file that this process has locked has locks at all."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def release(handle: int) -> None:
    """Unlock, also where a forked process has a copy of the handle, and close."""
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


@cache
def _warn() -> None:
    _LOG.warning("this file system has no locks (flock): let only one process at a time work in a folder")


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file is still at its path: its last holder may have moved or removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
