"""Rows -> a batch, assembled in the worker that decoded them."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch.multiprocessing import get_sharing_strategy
from torch.utils.data import get_worker_info

from toolkit.errors import UnifiedVisualError, UsageError


def collate_images(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows whose pictures are tensors of one size, as one tensor; every other column as a list. Normalise it on the
    device.

    Returns:
        pixel_values: of the type of the pictures, (M, 3, H, W), M = pictures in the batch, in reading order; in the
            memory format of the pictures.
        num_images: list of B ints, pictures of each row, as `pixel_values.split` takes them. Not a tensor: each one
            costs the way from worker to loop about as much as ten pictures of 256 pixels cost to copy.

    Raises:
        UsageError: pictures are not tensors of one size. UnifiedVisualError: in a worker, shared memory is full.
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
    if get_worker_info() is not None and get_sharing_strategy() == "file_descriptor":  # type: ignore[no-untyped-call]
        return _in_shared_memory(pictures)
    return torch.stack(pictures)


def _in_shared_memory(pictures: list[torch.Tensor]) -> torch.Tensor:
    """As torch's `default_collate` does in a worker, but written to the memory as to a file: pages need not be zeroed
    and mapped first, which is a third of the time, and full shared memory is an error, not a worker killed by a bus
    error.

    Source: torch 2.13, utils/data/_utils/collate.py, collate_tensor_fn.
    """
    size = pictures[0].nbytes
    storage = torch.UntypedStorage._new_shared(size * len(pictures))  # type: ignore[no-untyped-call]
    file = storage._share_fd_cpu_()[0]
    for number, picture in enumerate(pictures):
        try:
            written = os.pwrite(file, picture.numpy().data, number * size)
        except OSError as error:
            raise _full(size * len(pictures), str(error)) from error
        if written < size:
            raise _full(size * len(pictures), "no space is left")
    return torch.empty(0, dtype=pictures[0].dtype).set_(storage).view(len(pictures), *pictures[0].shape)


def _full(size: int, reason: str) -> UnifiedVisualError:
    return UnifiedVisualError(
        f"a batch of {size:,} bytes does not fit into shared memory ({reason}), through which workers pass batches to "
        "the loop; make it larger (docker run --shm-size=8g), or use a smaller batch_size, num_workers or "
        "prefetch_factor"
    )
