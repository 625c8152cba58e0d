"""Images -> data URIs, small enough that a page of one file stays under a size.

One file serves as thumbnail and large: a page that may be mailed has no room for both. Every image is decoded by
`toolkit.images` and encoded anew, so
that nothing of the bytes in a row but its pixels gets into a page: no scripts in SVG, no places in EXIF, no animation.
"""

import base64
import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from PIL import Image

from toolkit.images import decode_image, image_format
from toolkit.report.rendering import Shown
from toolkit.schema import Row

PICTURES_BYTES = 16_000_000  # of all images of a page; base64 adds a third
LARGEST_PX, LEAST_PX = 1024, 96  # longer side
LARGEST_BYTES = 160_000  # of one image
QUALITY = 80
BITS_PER_PIXEL = 1.2  # of photographs at QUALITY, about; where the first try starts
DRAWINGS = (
    "png",
    "gif",
    "bmp",
)  # formats of drawings: kept to the pixel where that takes no more than DRAWING_SHARE of an image's share
DRAWING_SHARE = 0.25
MARGIN = 0.94


@contextmanager
def embedded(rows: Sequence[Row], budget_bytes: int = PICTURES_BYTES) -> Iterator[list[list[Future[Shown]]]]:
    """The images of some rows, made in threads while the block runs; what is not asked for by its end is not made.

    Yields:
        For each row its images; `result()` raises ImageError for one that cannot be decoded.
    """
    share = min(budget_bytes // max(sum(len(row.images) for row in rows), 1), LARGEST_BYTES)
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="embed")
    try:
        yield [
            [pool.submit(embed, image.bytes, where(row, number), share) for number, image in enumerate(row.images)]
            for row in rows
        ]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def where(row: Row, number: int) -> str:
    name = row.images[number].path
    return f"{row.task}: row {row.id!r}: image {number + 1}" + (f" ({name})" if name else "")


def embed(data: bytes, name: str, share_bytes: int) -> Shown:
    """An image as a data URI of at most `share_bytes` before base64, unless it would have to be smaller than LEAST_PX.

    Raises:
        ImageError: it cannot be decoded.
    """
    picture = decode_image(data, name)
    encoded, size = _fitted(picture, share_bytes, is_drawing=image_format(data) in DRAWINGS)
    note = (
        "" if size == picture.size else f"shown at {size[0]} x {size[1]} of {picture.width} x {picture.height} pixels"
    )
    url = f"data:image/webp;base64,{base64.b64encode(encoded).decode('ascii')}"
    return Shown(thumbnail=url, full=url, width_px=picture.width, height_px=picture.height, note=note)


def _fitted(picture: Image.Image, share_bytes: int, *, is_drawing: bool) -> tuple[bytes, tuple[int, int]]:
    pixels = picture.width * picture.height
    if (
        is_drawing
        and max(picture.size) <= LARGEST_PX
        and len(exact := _encoded(picture, lossless=True)) <= DRAWING_SHARE * share_bytes
    ):
        return exact, picture.size
    smaller = _scaled(
        picture, min(1.0, LARGEST_PX / max(picture.size), (share_bytes * 8 / BITS_PER_PIXEL / pixels) ** 0.5)
    )
    while len(encoded := _encoded(smaller, lossless=False)) > share_bytes and max(smaller.size) > LEAST_PX:
        smaller = _scaled(smaller, MARGIN * (share_bytes / len(encoded)) ** 0.5)
    return encoded, smaller.size


def _scaled(picture: Image.Image, scale: float) -> Image.Image:
    scale = max(scale, min(1.0, LEAST_PX / max(picture.size)))
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(
        size, Image.Resampling.BICUBIC, reducing_gap=1.1
    )  # a third of the time of a larger gap, and no difference to see


def _encoded(picture: Image.Image, *, lossless: bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(
        buffer, "WEBP", lossless=lossless, quality=QUALITY, method=0 if lossless else 2
    )  # a fifth of the time, and drawings hardly grow
    return buffer.getvalue()
