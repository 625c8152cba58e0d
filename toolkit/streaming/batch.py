"""Rows -> a batch, assembled in the worker that decoded them."""

import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.multiprocessing import get_sharing_strategy
from torch.utils.data import get_worker_info

from toolkit.errors import UnifiedVisualError, UsageError, reason_of

KEPT_FILES = 4  # two that wait, as is usual, one in the loop, one to write to
_kept: dict[tuple[int, int], list[int]] = {}


def collate_images(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows whose pictures are tensors of one size, as one tensor; every other column as a list. Normalise it on the
    device.

    Returns:
        pixel_values: of the type of the pictures, (M, 3, H, W), M = pictures in the batch, in reading order; in the
            memory format of the pictures.
        num_images: list of B ints, pictures of each row, as `pixel_values.split` takes them. Not a tensor: each one
            costs the way from worker to loop about as much as ten pictures of 256 pixels cost to copy.

    Raises:
        UsageError: pictures are not tensors of one size. UnifiedVisualError: in a worker, memory is full.
    """
    pictures: list[torch.Tensor] = [picture for row in rows for picture in row["images"]]
    shapes = {tuple(getattr(picture, "shape", ())) for picture in pictures}
    if len(shapes) > 1 or () in shapes:
        raise UsageError(
            f"pictures have shapes {sorted(shapes)}; expected tensors of one size: pass image_size, and no "
            "image_type='pil'"
        )
    return {
        "pixel_values": _together(pictures) if pictures else torch.empty((0, 3, 0, 0), dtype=torch.uint8),
        "num_images": [len(row["images"]) for row in rows],
        **{column: [row[column] for row in rows] for column in rows[0] if column != "images"},
    }


def _together(pictures: list[torch.Tensor]) -> torch.Tensor:
    """One new tensor, in the memory format of the pictures: they are copied as they lie, which is several times as fast
    as turning them round.
    """
    if not all(picture.is_contiguous() for picture in pictures):
        return _together([picture.permute(1, 2, 0).contiguous() for picture in pictures]).permute(0, 3, 1, 2)
    if get_worker_info() and get_sharing_strategy() == "file_descriptor" and hasattr(os, "memfd_create"):  # type: ignore[no-untyped-call]
        return _in_shared_memory(pictures)
    return torch.stack(pictures)


def _in_shared_memory(pictures: list[torch.Tensor]) -> torch.Tensor:
    """As torch's `default_collate` does in a worker, but in memory without a name, so that the size of /dev/shm (64 MB
    in Docker) is no limit; and written as a file: pages need not be zeroed and mapped first.

    Source: torch 2.13, utils/data/_utils/collate.py, collate_tensor_fn; multiprocessing/reductions.py,
    rebuild_storage_fd.
    """
    size, file, lent, storage = sum(picture.nbytes for picture in pictures), _free_file(), None, None
    try:
        if sum(os.write(file, picture.numpy().data) for picture in pictures) < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        lent = _lent(file)
        storage = torch.UntypedStorage._new_shared_fd_cpu(lent or file, size)  # type: ignore[attr-defined]
    except OSError as error:
        raise UnifiedVisualError(
            f"a batch of {size:,} bytes, which a worker passes to the loop, does not fit into memory "
            f"({reason_of(error)}); use a smaller batch_size, num_workers or prefetch_factor"
        ) from error
    finally:
        if lent and storage is not None:
            _files().append(file)
        else:
            os.close(file)
        if lent:
            os.close(lent)
    return torch.empty(0, dtype=pictures[0].dtype).set_(storage).view(len(pictures), *pictures[0].shape)


def _files() -> list[int]:
    """Kept by this thread; a fork must not write to those of its parent."""
    return _kept.setdefault((os.getpid(), threading.get_ident()), [])


def _free_file() -> int:
    """A file in memory to write to: one of an earlier batch that is held no more, for a new page costs several times
    what it costs to write to it.
    """
    for file in list(_files()):
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
            _files().remove(file)
            os.lseek(file, 0, os.SEEK_SET)
            return file
    return os.memfd_create("batch")


def _lent(file: int) -> int | None:
    """What travels with the batch in the place of the file, which is kept to be written to again: an open file
    description with a lock, that Linux drops with the last descriptor and the last mapping of it, in any process.

    Source: flock(2), mmap(2).
    """
    if len(_files()) >= KEPT_FILES:
        return None
    try:
        lent = os.open(f"/proc/self/fd/{file}", os.O_RDWR)
    except OSError:  # no /proc
        return None
    try:
        fcntl.flock(lent, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # no locks
        os.close(lent)
        return None
    return lent
