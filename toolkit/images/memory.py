"""How much memory an image takes while it is decoded, told from its header, and how much it may take.

An image of many pixels is welcome where its file is large too, as photographs are; a small file that unpacks to a huge
image is not. Figures are upper bounds: benchmarks/decode_memory.py measures them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from toolkit.errors import ImageError
from toolkit.images.avif import frame_pixels
from toolkit.images.upright import UPRIGHT, orientation

FREE_BYTES = 300_000_000  # that an image of any file may take
FILE_TIMES = 10  # and so many times its file more
MAX_PIXELS = 89_478_485  # whatever the file; where Pillow begins to warn of decompression bombs: 256 MiB as RGB
SURE_PIXELS = 10_000_000  # of which every format and mode stays under FREE_BYTES

WORK_BYTES = 10_000_000  # that do not grow with pixels: bands of rows, tables, buffers of decoders
IMAGE_BYTES = 4  # a pixel, as Pillow stores it at most
MADE_BYTES = 8  # a pixel: the image as it was stored and as RGB, or turned
PLAIN_BYTES = 7  # likewise, of what is RGB and upright from the beginning: as RGB and as an array
# A pixel, kept by Pillow's readers beside the image: what a frame leaves behind, two canvases, planes of 16 bits.
READER_BYTES = {"GIF": 2, "WEBP": 8, "AVIF": 8}
FRAME_BYTES = 8  # a pixel of an AVIF's frame
TIFF_BITS, TIFF_COMPRESSION, TIFF_SAMPLES, TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT = 258, 259, 277, 322, 323
# libtiff holds a strip or tile, which may be the image, and its decoders a window on it, or coefficients of a JPEG.
TIFF_TIMES, TIFF_JPEG_TIMES, TIFF_JPEG = 2, 3, (6, 7)
COEFFICIENT_BYTES = 2  # of a JPEG of more than one scan, for each sample
_pillow_limit = threading.Lock()


def check_memory(picture: Image.Image, data: bytes, where: str, max_pixels: int | None = None) -> None:
    """Whether an image that is opened, but not loaded, may be decoded.

    Args:
        max_pixels: the most pixels; None = as many as take FREE_BYTES and FILE_TIMES the file, and MAX_PIXELS at most.

    Raises:
        ImageError: "too_large".
    """
    largest, frames = frame_pixels(data) if picture.format == "AVIF" else (0, 0)
    pixels = picture.width * picture.height
    told = f"{picture.width} x {picture.height} pixels"
    if largest > pixels:
        pixels, told = largest, f"{told} made of {largest:,}"
    if pixels > (MAX_PIXELS if max_pixels is None else max_pixels):
        raise too_large(where, told, max_pixels)
    if max_pixels is not None or (max(pixels, frames / 2) <= SURE_PIXELS and not _is_tiled(picture)):
        return
    needed, allowed = decoding_bytes(picture, frames), FREE_BYTES + FILE_TIMES * len(data)
    if needed > allowed:
        raise ImageError(
            f"{where}: {told} in a file of {len(data):,} bytes, which take {needed / 1e6:,.0f} MB of memory to "
            f"decode; expected at most {FREE_BYTES / 1e6:,.0f} MB and {FILE_TIMES} times the file, "
            f"{allowed / 1e6:,.0f} MB in all; save it smaller, or read it with DecodePolicy(max_pixels={pixels:_}) if "
            "it is meant to be this large",
            kind="too_large",
        )


def decoding_bytes(picture: Image.Image, frames: int = 0) -> int:
    """The most memory, in bytes, in which an opened image becomes upright RGB, or an array of it; its file aside.

    Args:
        frames: pixels of all frames of an AVIF.
    """
    kind, pixels = picture.format or "", picture.width * picture.height
    is_plain = kind == "JPEG" and picture.mode != "CMYK" and orientation(picture) not in UPRIGHT
    made = pixels * (PLAIN_BYTES if is_plain else MADE_BYTES + READER_BYTES.get(kind, 0))
    loading = {"JPEG": _jpeg_bytes, "TIFF": _tiff_bytes}.get(kind, lambda _: 0)(picture)
    return WORK_BYTES + max(made, loading, frames and pixels * MADE_BYTES + frames * FRAME_BYTES)


def too_large(where: str, found: str, max_pixels: int | None) -> ImageError:
    return ImageError(
        f"{where}: {found}; expected at most {MAX_PIXELS if max_pixels is None else max_pixels:,} pixels; raise "
        "max_pixels if it is meant to be this large",
        kind="too_large",
    )


@contextmanager
def pillow_allows(max_pixels: int) -> Iterator[None]:
    """Pillow's own limit, of the whole process, is put up to ours."""
    with _pillow_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _jpeg_bytes(picture: Any) -> int:
    """Of the image and all coefficients, as if it had several scans."""
    factors = [(across, down) for _, across, down, _ in picture.layer]
    most = max(across for across, _ in factors) * max(down for _, down in factors)
    samples = sum(across * down for across, down in factors) / most
    return int(picture.width * picture.height * (IMAGE_BYTES + samples * COEFFICIENT_BYTES))


def _tiff_bytes(picture: Any) -> int:
    """Of the largest strip or tile, and of the image twice, for the reader itself brings it upright."""
    tags = picture.tag_v2
    width, height = picture.size
    if _is_tiled(picture):
        width, height = max(width, tags[TIFF_TILE_WIDTH]), max(height, tags.get(TIFF_TILE_HEIGHT, 0))
    bits = tags.get(TIFF_BITS, (1,))
    raw = width * height * max(sum(bits), bits[0] * tags.get(TIFF_SAMPLES, 1)) / 8
    times = TIFF_JPEG_TIMES if tags.get(TIFF_COMPRESSION) in TIFF_JPEG else TIFF_TIMES
    return int(raw * times + picture.width * picture.height * 2 * IMAGE_BYTES)


def _is_tiled(picture: Any) -> bool:
    return bool(picture.format == "TIFF" and TIFF_TILE_WIDTH in picture.tag_v2)
