"""Pixels of any of Pillow's modes as RGB, in bands, so that no second whole picture of wider numbers is in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BAND_PIXELS = 1 << 18
Box = tuple[int, int, int, int]  # left, top, right, bottom


def to_rgb(
    picture: Image.Image, *, background: tuple[int, int, int] = (255, 255, 255), may_share: bool = False
) -> Image.Image:
    """Any mode as RGB, with transparency composited on the background.

    Modes with more than 8 bits become grey: I;16 by its high byte; I likewise where all values lie in 0..65535; F times
        255 where all values lie in 0..1, as they are in 0..255. Any other range is stretched so that the least value is
        0 and the largest 255.

    Args:
        may_share: the pixels of one that is RGB already may stay its own, for nobody else uses it.
    """
    picture.load()
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _from_wide(picture)
    if not (picture.mode in ("La", "RGBa") or picture.has_transparency_data):
        return picture._new(picture.im) if may_share and picture.mode == "RGB" else picture.convert("RGB")
    canvas = Image.new("RGB", picture.size, background)
    for box in bands(picture):
        band = picture.crop(box)
        if band.mode in ("La", "RGBa"):  # premultiplied
            band = band.convert(band.mode.upper())
        rgba = band.convert("RGBA")
        canvas.paste(rgba, box, mask=rgba.getchannel("A"))
    return canvas


def bands(picture: Image.Image) -> Iterator[Box]:
    """Boxes of whole rows from top to bottom, of about BAND_PIXELS each."""
    step = max(1, BAND_PIXELS // picture.width)
    for top in range(0, picture.height, step):
        yield 0, top, picture.width, min(top + step, picture.height)


def _from_wide(picture: Image.Image) -> Image.Image:
    """A picture of I;16, I or F, by the rules of `to_rgb`; what is not finite is 0."""
    ranges = [(float(band.min()), float(band.max())) for band in map(_finite, map(picture.crop, bands(picture)))]
    least, largest = min(least for least, _ in ranges), max(largest for _, largest in ranges)
    canvas = Image.new("RGB", picture.size)
    for box in bands(picture):
        grey = Image.fromarray(_grey_levels(_finite(picture.crop(box)), least, largest))
        canvas.paste(grey.convert("RGB"), box)
    return canvas


def _finite(picture: Image.Image) -> NDArray[Any]:
    values: NDArray[Any] = np.asarray(picture)
    return np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0) if values.dtype.kind == "f" else values


def _grey_levels(values: NDArray[Any], least: float, largest: float) -> NDArray[np.uint8]:
    """Part of a picture whose values range from `least` to `largest`; (H, W) -> uint8 (H, W)."""
    is_float = values.dtype.kind == "f"
    if least >= 0 and largest <= (255 if is_float else 0xFFFF):
        return (np.rint(values * (255 if largest <= 1 else 1)) if is_float else values >> 8).astype(np.uint8)
    return np.rint((values - least) * (255 / (largest - least or 1))).astype(np.uint8)
