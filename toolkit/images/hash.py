"""What a picture looks like, in few numbers: the same for another size or encoding, or nearly so.

pHash: 32 x 32 grey, the 8 x 8 lowest frequencies of a DCT, each above their median or not. Source: hackerfactor.com,
"Looks Like It" (2011).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.images import decode_image

THUMB_PX = 16
_SIDE, _LOW = 32, 8
_DCT = np.cos(np.pi / _SIDE * (np.arange(_SIDE) + 0.5) * np.arange(_LOW)[:, None])  # (8, 32), DCT-II


def phash(picture: bytes) -> int:
    """64 bits; pictures that look alike differ in few of them."""
    return phash_of(decode_image(picture, "picture"))


def phash_of(picture: Image.Image) -> int:
    """As `phash`, of a decoded picture."""
    grey = np.asarray(picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), dtype=np.float64)
    low = _DCT @ grey @ _DCT.T
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def thumbnail(picture: Image.Image) -> bytes:
    """RGB of 16 x 16 pixels, each the mean of a part of a decoded picture: uint8 (16, 16, 3)."""
    return picture.resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX).tobytes()


def differences(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean and largest difference of thumbnails, of 255.

    Args:
        one, other: uint8 (N, 768).

    Returns:
        float64 (N,), int64 (N,).
    """
    apart = np.abs(one.astype(np.int64) - other)
    return apart.mean(axis=1), apart.max(axis=1)
