"""Encoded bytes become a picture here and nowhere else.

    bytes -> Pillow -> RGB -> upright, or what the policy says about a bad one

For an ordinary RGB file the pixels equal `Image.open(...).convert("RGB")`. Of an animation the first frame counts;
colour profiles are not applied.

An image that would take more than 300 MB of memory and ten times its file is bad; memory.py knows how much one takes.
"""

import importlib
import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from PIL import Image

from toolkit.errors import ImageError, UsageError
from toolkit.images.files import (
    PNG_END,
    PNG_ORIENTATION,
    PNG_PIXELS,
    SUFFIXES,
    format_name,
    jpeg_scans,
    says_nothing_of_pixels,
    without_chunks,
)
from toolkit.images.memory import MAX_PIXELS, SURE_PIXELS, check_memory, pillow_allows, too_large
from toolkit.images.modes import to_rgb
from toolkit.images.upright import UPRIGHT, orientation, turned

OnBadImage = Literal["raise", "skip", "placeholder"]
T = TypeVar("T")

MAX_SCANS = 100  # of a JPEG; usual are 1, or 10 of a progressive one. At MAX_PIXELS each empty one takes 30 ms
UNLIMITED = 1 << 62  # pixels

# Pillow's readers; opened by name, and not through Image.open, which tries others too and has a limit of its own.
READERS = {
    "JPEG": "JpegImagePlugin:JpegImageFile",
    "PNG": "PngImagePlugin:PngImageFile",
    "WebP": "WebPImagePlugin:WebPImageFile",
    "GIF": "GifImagePlugin:GifImageFile",
    "BMP": "BmpImagePlugin:BmpImageFile",
    "TIFF": "TiffImagePlugin:TiffImageFile",
    "AVIF": "AvifImagePlugin:AvifImageFile",
}
TIFF_WIDTH, TIFF_HEIGHT = 256, 257
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)

# What a failed download leaves in place of a picture.
IMPOSTORS = {
    "an HTML page": rb"\s*<(!doctype html|html|head|body)",
    "XML": rb"\s*<",
    "a Git LFS pointer": rb"version https://git-lfs",
    "JSON": rb"\s*[\[{]",
    "text": rb"[\x09-\x0d\x20-\x7e]{1,16}",
}


@dataclass(frozen=True, kw_only=True)
class DecodePolicy:
    """What to do with pictures.

    Attributes:
        on_bad: "raise" an ImageError, "skip" (`decode` gives None), or a "placeholder" of the background colour. All
            are counted.
        max_pixels: width times height above which a picture is bad; None = where decoding it would take more than 300
            MB of memory and ten times its file, or above 89,478,485. Read from headers, before anything is decoded.
            Above Pillow's own limit it holds in its place, for one such picture at a time.
        background: RGB, 0 to 255, shown through transparent pixels.
        placeholder_size: width and height in pixels.
    """

    on_bad: OnBadImage = "raise"
    max_pixels: int | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    placeholder_size: tuple[int, int] = (64, 64)

    def __post_init__(self) -> None:
        if self.on_bad not in get_args(OnBadImage):
            raise UsageError(f"on_bad is {self.on_bad!r}; expected one of {', '.join(get_args(OnBadImage))}")
        if self.max_pixels is not None and self.max_pixels < 1:
            raise UsageError(f"max_pixels is {self.max_pixels!r}; expected a positive number")


class Decoder:
    """Decodes under a policy and counts what was bad. Threads may share one.

    Args:
        on_bad: also called with the kind of each bad picture.
    """

    def __init__(self, policy: DecodePolicy | None = None, *, on_bad: Callable[[str], None] | None = None) -> None:
        self.policy, self._on_bad = policy or DecodePolicy(), on_bad
        self._bad: list[str] = []  # appending is atomic, counting up is not

    @property
    def counts(self) -> Counter[str]:
        """Bad pictures per kind; see `decode_image`."""
        return Counter(self._bad)

    def decode(self, data: bytes, where: str) -> Image.Image | None:
        """An upright RGB picture; None only where the policy says "skip".

        Args:
            data: the encoded file.
            where: names the picture in errors: "image_editing: row 'ie-00000042': images[2]".

        Raises:
            ImageError: it is bad and the policy says "raise". Nothing else, whatever the bytes.
        """
        try:
            return decode_image(data, where, max_pixels=self.policy.max_pixels, background=self.policy.background)
        except ImageError as error:
            self._bad.append(error.kind)
            if self._on_bad:
                self._on_bad(error.kind)
            if self.policy.on_bad == "raise":
                raise
        if self.policy.on_bad == "skip":
            return None
        return Image.new("RGB", self.policy.placeholder_size, self.policy.background)


def decode_image(
    data: bytes, where: str, *, max_pixels: int | None = None, background: tuple[int, int, int] = (255, 255, 255)
) -> Image.Image:
    """An upright RGB picture.

    Raises:
        ImageError: `kind` says why: empty, not_an_image, unsupported, truncated, too_large (as `DecodePolicy` says, or
            over MAX_SCANS scans of a JPEG), broken.
    """

    def to_upright(picture: Image.Image) -> Image.Image:
        check_memory(picture, data, where, max_pixels)
        if picture.format == "JPEG":
            _check_scans(data, where)
        rgb = to_rgb(turned(picture), background=background, may_share=True)
        rgb.info.clear()  # nobody is to turn it once more
        return rgb

    return _opened(data, where, to_upright, max_pixels)


def image_format(data: bytes) -> str:
    """Suffix by which such files are named, from the first bytes: "jpg", "png", "webp", "gif", "bmp", "tiff", "avif";
    "" = none of these.
    """
    return SUFFIXES.get(format_name(data), "")


def image_size(data: bytes, where: str = "picture") -> tuple[int, int]:
    """Width and height in pixels of the upright picture, from the header; nothing is decoded, so no limit holds.

    Raises:
        ImageError: the header cannot be read.
    """

    def size_of(picture: Image.Image) -> tuple[int, int]:
        size = picture.size
        if picture.format == "TIFF":  # whose reader turns the picture itself, and in some versions the size at once
            tags: Any = picture.tag_v2  # type: ignore[attr-defined]
            size = int(tags[TIFF_WIDTH]), int(tags[TIFF_HEIGHT])
        return size if orientation(picture) < 5 else size[::-1]

    head = without_chunks(data, PNG_PIXELS.__contains__) + PNG_END if format_name(data) == "PNG" else data
    return _opened(head, where, size_of, UNLIMITED)


def check_size(data: bytes, where: str, max_pixels: int | None = None) -> None:
    """Whether an image may be decoded, by its header; see `DecodePolicy.max_pixels`.

    Raises:
        ImageError: "too_large", or the header cannot be read.
    """
    _opened(data, where, lambda picture: check_memory(picture, data, where, max_pixels), max_pixels)


def is_upright(data: bytes) -> bool:
    """Whether a picture is shown as it is stored; True also where the header cannot be read."""
    try:
        return orientation(_open(data, "")) not in UPRIGHT
    except Exception:  # the decoder says what is wrong
        return True


def check_is_image(data: bytes, where: str) -> None:
    """Whether the first bytes are those of a picture that can be decoded here; costs next to nothing.

    Raises:
        ImageError: "empty", "not_an_image" or "unsupported".
    """
    if not data:
        raise ImageError(f"{where}: no bytes; expected an encoded picture; fetch the file again", kind="empty")
    found = format_name(data)
    if found in READERS:
        return
    expected = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
    if found:
        raise ImageError(f"{where}: {found}, which is not decoded here; convert it to {expected}", kind="unsupported")
    head = data[:64].lstrip(b"\xef\xbb\xbf")
    looks = next((name for name, pattern in IMPOSTORS.items() if re.match(pattern, head, re.IGNORECASE)), "")
    raise ImageError(
        f"{where}: {looks or 'unknown bytes'} beginning {data[:32]!r}; expected {expected}; fetch the file again",
        kind="not_an_image",
    )


def _opened(data: bytes, where: str, use: Callable[[Image.Image], T], max_pixels: int | None) -> T:
    """What is made of the opened picture, which is not loaded yet; whatever Pillow raises becomes an ImageError."""
    try:
        return use(_open(data, where))
    except ImageError:
        raise
    except BOMBS as error:
        most = MAX_PIXELS if max_pixels is None else max_pixels
        if Image.MAX_IMAGE_PIXELS is None or most <= Image.MAX_IMAGE_PIXELS:
            raise too_large(where, str(error), max_pixels) from error
        with pillow_allows(most):
            return _opened(data, where, use, max_pixels)
    except Exception as error:  # Pillow's readers raise almost anything on bad bytes
        for left_out in (says_nothing_of_pixels, PNG_ORIENTATION.__eq__) if format_name(data) == "PNG" else ():
            if len(plain := without_chunks(data, left_out)) < len(data):
                return _opened(plain, where, use, max_pixels)
        raise _unreadable(data, where, error) from error


def _open(data: bytes, where: str) -> Image.Image:
    check_is_image(data, where)
    module, _, reader = READERS[format_name(data)].partition(":")
    reader_class: Any = getattr(importlib.import_module(f"PIL.{module}"), reader)
    opened: Image.Image = reader_class(io.BytesIO(data))
    if opened.format == "PNG" and opened.width * opened.height > SURE_PIXELS:  # its texts may unpack to 64 MB
        opened = reader_class(io.BytesIO(without_chunks(data, says_nothing_of_pixels)))
    return opened


def _check_scans(data: bytes, where: str) -> None:
    if (scans := jpeg_scans(data, MAX_SCANS)) > MAX_SCANS:
        raise ImageError(
            f"{where}: a JPEG of {scans:,} scans, each as much work as a whole picture; expected at most {MAX_SCANS}; "
            "save it again as a baseline JPEG",
            kind="too_large",
        )


def _unreadable(data: bytes, where: str, error: Exception) -> ImageError:
    found = f"{type(error).__name__}: {error}"
    is_cut = re.search(r"truncated|EOFError|not enough|unexpected end", found, re.IGNORECASE)
    return ImageError(
        f"{where}: {len(data):,} bytes that cannot be decoded ({found}); fetch the file again",
        kind="truncated" if is_cut else "broken",
    )
