"""Rows -> a batch, assembled in the worker that decoded them."""

from collections.abc import Sequence
from typing import Any

import torch

from toolkit.errors import UsageError
from toolkit.streaming.handover import stack


def collate_images(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows whose pictures are tensors of one size, as one tensor; every other column as a list. Normalise it on the
    device.

    Returns:
        pixel_values: of the type of the pictures, (M, 3, H, W), M = pictures in the batch, in reading order; in the
            memory format of the pictures.
        num_images: list of B ints, pictures of each row, as `pixel_values.split` takes them. Not a tensor: each one
            costs the way from worker to loop about as much as ten pictures of 256 pixels cost to copy.

    Raises:
        UsageError: pictures are not tensors of one size. UnifiedVisualError: in a worker, memory is short.
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
    if all(picture.is_contiguous() for picture in pictures):
        return stack(pictures)
    return stack([picture.permute(1, 2, 0).contiguous() for picture in pictures]).permute(0, 3, 1, 2)
