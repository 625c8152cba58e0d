"""Encoded bytes become a picture here and nowhere else.

    bytes -> Pillow -> RGB -> upright, or what the policy says about a bad one

For an ordinary RGB file the pixels equal `Image.open(...).convert("RGB")`. Of an animation the first frame counts;
colour profiles are not applied.
"""

import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from toolkit.errors import ImageError, UsageError

OnBadImage = Literal["raise", "skip", "placeholder"]
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_PIXELS = 89_478_485  # where Pillow begins to warn of decompression bombs: 256 MiB as RGB

# EXIF 2.32, tag 274: how a picture stored with this orientation is brought upright.
ORIENTATION_TAG = 274
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
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
        max_pixels: width times height above which a picture is bad; read from the header, before anything is decoded.
        background: RGB, 0 to 255, shown through transparent pixels.
        placeholder_size: width and height in pixels.
    """

    on_bad: OnBadImage = "raise"
    max_pixels: int = MAX_PIXELS
    background: tuple[int, int, int] = (255, 255, 255)
    placeholder_size: tuple[int, int] = (64, 64)

    def __post_init__(self) -> None:
        if self.on_bad not in get_args(OnBadImage):
            raise UsageError(f"on_bad is {self.on_bad!r}; expected one of {', '.join(get_args(OnBadImage))}")
        if self.max_pixels < 1:
            raise UsageError(f"max_pixels is {self.max_pixels!r}; expected a positive number")


class Decoder:
    """Decodes under a policy and counts what was bad. Threads may share one."""

    def __init__(self, policy: DecodePolicy | None = None) -> None:
        self.policy = policy or DecodePolicy()
        self._bad: list[str] = []  # appending is atomic, counting up is not

    @property
    def counts(self) -> Counter[str]:
        """Bad pictures per kind: empty, not_an_image, truncated, too_large, broken."""
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
            if self.policy.on_bad == "raise":
                raise
        return (
            None
            if self.policy.on_bad == "skip"
            else Image.new("RGB", self.policy.placeholder_size, self.policy.background)
        )


def decode_image(
    data: bytes, where: str, *, max_pixels: int = MAX_PIXELS, background: tuple[int, int, int] = (255, 255, 255)
) -> Image.Image:
    """An upright RGB picture.

    Raises:
        ImageError: `kind` says why: empty, not_an_image, truncated, too_large, broken.
    """
    try:
        picture = _open(data, where)
        if picture.width * picture.height > max_pixels:
            raise _too_large(where, f"{picture.width} x {picture.height} pixels", max_pixels)
        rgb = to_rgb(picture, background=background)
        orientation = _orientation(picture)  # now: some readers turn the picture while loading, and say so here
        upright = (
            rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb.copy() if rgb is picture else rgb
        )
        upright.info.clear()  # nobody is to turn it once more
        return upright
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(where, str(error), max_pixels) from error
    except Exception as error:  # Pillow's readers raise almost anything on bad bytes
        kind = (
            "truncated"
            if re.search(
                r"truncated|EOFError|not enough|unexpected end", f"{type(error).__name__} {error}", re.IGNORECASE
            )
            else "broken"
        )
        raise ImageError(
            f"{where}: {len(data):,} bytes that cannot be decoded ({type(error).__name__}: {error}); fetch the file "
            "again",
            kind=kind,
        ) from error


def image_format(data: bytes) -> str:
    """Suffix by which such files are named, from the first bytes: "jpg", "png", "webp", "gif", "bmp", "tiff", "avif";
    "" = none of these.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "tiff"
    if data[4:8] == b"ftyp" and (b"avif" in data[8:32] or b"avis" in data[8:32]):
        return "avif"
    return "bmp" if data.startswith(b"BM") and len(data) > 26 else ""


def image_size(data: bytes, where: str = "picture") -> tuple[int, int]:
    """Width and height in pixels of the upright picture, from the header (TIFF: by decoding).

    Raises:
        ImageError: the header cannot be read.
    """
    try:
        picture = _open(data, where)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"{where}: {len(data):,} bytes whose header cannot be read ({error}); fetch the file again", kind="broken"
        ) from error
    if picture.format == "TIFF":  # whose reader turns the picture itself, and says so only once it is loaded
        return decode_image(data, where, max_pixels=max(MAX_PIXELS, picture.width * picture.height)).size
    return picture.size if _orientation(picture) < 5 else picture.size[::-1]


def is_upright(data: bytes) -> bool:
    """Whether a picture is shown as it is stored; True also where the header cannot be read."""
    try:
        return _orientation(Image.open(io.BytesIO(data), formats=FORMATS)) not in UPRIGHT
    except Exception:  # whoever decodes it will say what is wrong
        return True


def to_rgb(picture: Image.Image, *, background: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Any mode as RGB, with transparency composited on the background.

    Modes with more than 8 bits become grey: I;16 by its high byte; I likewise where all values lie in 0..65535; F times
        255 where all values lie in 0..1, as they are in 0..255. Any other range is stretched so that the least value is
        0 and the largest 255.
    """
    picture.load()
    if picture.mode == "F" or picture.mode.startswith("I"):
        return Image.fromarray(_to_8_bits(np.asarray(picture))).convert("RGB")
    if picture.mode in ("La", "RGBa"):  # premultiplied
        picture = picture.convert(picture.mode.upper())
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        canvas = Image.new("RGB", picture.size, background)
        canvas.paste(rgba, mask=rgba.getchannel("A"))
        return canvas
    return picture.convert("RGB")


def check_is_image(data: bytes, where: str) -> None:
    """Whether the first bytes are those of a picture; costs next to nothing.

    Raises:
        ImageError: "empty" or "not_an_image".
    """
    if not data:
        raise ImageError(f"{where}: no bytes; expected an encoded picture; fetch the file again", kind="empty")
    if not image_format(data):
        looks = next(
            (
                name
                for name, pattern in IMPOSTORS.items()
                if re.match(pattern, data.lstrip(b"\xef\xbb\xbf"), re.IGNORECASE)
            ),
            "unknown bytes",
        )
        expected = "expected JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF; fetch the file again"
        raise ImageError(f"{where}: {looks} beginning {data[:32]!r}; {expected}", kind="not_an_image")


def _open(data: bytes, where: str) -> Image.Image:
    check_is_image(data, where)
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _orientation(picture: Image.Image) -> int:
    try:
        value: Any = picture.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # a broken EXIF block is no reason to lose the picture
        return 1
    return value if isinstance(value, int) else 1


def _too_large(where: str, found: str, max_pixels: int) -> ImageError:
    return ImageError(
        f"{where}: {found}; expected at most {max_pixels:,} pixels; raise max_pixels if it is meant to be this large",
        kind="too_large",
    )


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey levels (H, W) of 16 bits, int32 or float32 -> uint8 (H, W), by the rules of `to_rgb`; what is not finite is
    0.
    """
    is_float = values.dtype.kind == "f"
    if is_float:
        values = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    least, largest = float(values.min()), float(values.max())
    if least >= 0 and largest <= (255 if is_float else 0xFFFF):
        return (np.rint(values * (255 if largest <= 1 else 1)) if is_float else values >> 8).astype(np.uint8)
    return np.rint((values - least) * (255 / (largest - least or 1))).astype(np.uint8)
