"""Images in every way in which they are decoded."""

import io
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzzing.mutations import changed_bytes
from tests.fuzzing.surface import outcome_of, surface
from toolkit.errors import ImageError
from toolkit.images import check_is_image, decode_image, image_format, image_size
from toolkit.streaming.decode import PictureDecoder, Target

KINDS = (
    ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "I;16"), ("PNG", "1"), ("JPEG", "RGB"), ("JPEG", "RGB"),
    ("JPEG", "L"), ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("WEBP", "RGB"), ("GIF", "P"), ("BMP", "RGB"), ("TIFF", "RGB"),
    ("TIFF", "F"), ("TIFF", "LAB"), ("AVIF", "RGB"),
)  # fmt: skip
WAYS: dict[str, tuple[Any, ...]] = {
    "exact": ("exact", Target()),
    "exact, cropped": ("exact", Target(size=(12, 20), image_type="pil")),
    "exact, padded": ("exact", Target(size=(20, 20), fit="pad")),
    "fused": ("fused", Target(size=(12, 12))),
    "fused, padded": ("fused", Target(size=(30, 9), fit="pad", image_type="float32")),
    "fused, stretched": ("fused", Target(size=(9, 30), fit="stretch")),
    "scaled": ("scaled", Target(size=(6, 6))),
    "scaled, padded": ("scaled", Target(size=(5, 7), fit="pad")),
    "scaled, stretched": ("scaled", Target(size=(3, 5), fit="stretch", image_type="pil")),
}


@cache
def image_bytes(format: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    picture = Image.frombytes("RGB", (24, 16), random.Random(1).randbytes(24 * 16 * 3)).convert(mode)
    picture.save(file, format, **({"progressive": True} if format == "JPEG" and mode == "L" else {}))
    return file.getvalue()


def changed_image(dice: random.Random) -> bytes:
    return changed_bytes(image_bytes(*dice.choice(KINDS)), dice)


@surface(changed_image)
def images(data: bytes) -> str:
    """Decoded with no more than Pillow, and asked for what it says of itself."""
    check_is_image(data, "image")
    assert image_format(data)
    size = image_size(data)
    picture = decode_image(data, "image")
    assert picture.mode == "RGB", picture
    return "pixels" if picture.size == size else "pixels, of another size than the header's"


@surface(lambda dice: (dice.choice(list(WAYS)), changed_image(dice)))
def decode_modes(given: tuple[str, bytes]) -> str:
    """Decoded as a loader does; the way of Pillow alone is the judge of whether there is an image."""
    way, data = given
    plain, said = attempt(lambda: decode_image(data, "image"))
    found, why = attempt(lambda: decoder(way).decode(data, "image"))
    assert why == said, f"Pillow alone: {said or 'pixels'}; this way: {why or 'pixels'}"
    if said:
        return said
    target = decoder(way).target
    if target.size is None:
        assert np.array_equal(np.asarray(found), np.asarray(plain)), "other pixels than Pillow's"
    else:
        shape = np.asarray(found).shape
        assert shape == ((*target.size, 3) if target.image_type == "pil" else (3, *target.size)), shape
    return "pixels"


def attempt(decode: Callable[[], Any]) -> tuple[Any, str]:
    """What is decoded, or a word for why not."""
    try:
        return decode(), ""
    except ImageError as error:
        return None, outcome_of(error)


@cache
def decoder(way: str) -> PictureDecoder:
    mode, target = WAYS[way]
    return PictureDecoder(mode, target)
