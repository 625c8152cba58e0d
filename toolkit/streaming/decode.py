"""Encoded bytes -> pictures, or tensors of one size.

"exact"   the pixels of `toolkit.images`, cropped and resized as Pillow does (bilinear); JPEGs are decoded by
libjpeg-turbo through simplejpeg, which gives the
          same pixels in two thirds of the time, and by Pillow where simplejpeg is not installed
"fused"   the same, resized by torch in a third of the time: one level off at most (two for one value in ten million)
"scaled"  as "fused", JPEGs decoded at the least of libjpeg's reduced sizes that is not under the target: other pixels
(0.6 levels off on average, 2.6 where
          there is grain), a little faster

Whatever is not a plain upright RGB JPEG follows `toolkit.images`, and so does whatever simplejpeg refuses: its
policies hold for all.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from toolkit.errors import ImageError, MissingExtra, UsageError
from toolkit.images import MAX_SCANS, DecodePolicy, Decoder, check_size, is_upright
from toolkit.images.files import APP1, APP14, FRAMES, PROGRESSIVE, SCAN, jpeg_scans
from toolkit.images.memory import SURE_PIXELS
from toolkit.images.modes import bands
from toolkit.streaming.counts import SharedCounts

try:
    import simplejpeg
except ImportError:
    simplejpeg = None

DecodeMode = Literal["exact", "fused", "scaled"]
Fit = Literal["crop", "pad", "stretch"]
ImageType = Literal["pil", "uint8", "float32"]
Pixels = NDArray[np.uint8]  # (H, W, 3)
Box = tuple[int, int, int, int]  # left, top, right, bottom

ROUNDING = 1e-6  # pixels; a product that is whole but for this is whole


@dataclass(frozen=True, kw_only=True)
class Target:
    """What pictures become.

    Attributes:
        size: height and width in pixels; None leaves every picture its own.
        fit: "crop" the middle, "pad" with the policy's background, or "stretch".
        image_type: "pil", "uint8" tensors (3, H, W), or "float32" tensors, 0 to 1; None is "pil" without a size, else
            "uint8".
    """

    size: tuple[int, int] | None = None
    fit: Fit = "crop"
    image_type: ImageType | None = None

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, (tuple, list)) else ()
        if self.size is not None and [isinstance(side, int) and side >= 1 for side in sides] != [True, True]:
            raise UsageError(f"image_size is {self.size!r}; expected a number of pixels, or height and width")
        for name, value, known in (
            ("fit", self.fit, get_args(Fit)),
            ("image_type", self.image_type, (None, *get_args(ImageType))),
        ):
            if value not in known:
                raise UsageError(f"{name} is {value!r}; expected one of {', '.join(map(repr, known))}")


class PictureDecoder:
    """Decodes pictures one way. Threads may share one; it travels to worker processes.

    Raises:
        UsageError: an unknown mode, or "scaled" without a size. MissingExtra: "fused" or "scaled", which are there for
            speed alone, without simplejpeg.
    """

    def __init__(
        self, mode: DecodeMode = "exact", target: Target | None = None, policy: DecodePolicy | None = None
    ) -> None:
        if mode not in get_args(DecodeMode):
            raise UsageError(
                f"decode is {mode!r}; expected None or one of {', '.join(map(repr, get_args(DecodeMode)))}"
            )
        if mode != "exact" and simplejpeg is None:
            raise MissingExtra("simplejpeg", "train")
        self.mode, self.target = mode, target or Target()
        if mode == "scaled" and self.target.size is None:
            raise UsageError('decode="scaled" needs image_size, which says how small pictures may be decoded')
        self._bad = SharedCounts()
        self._decoder = Decoder(policy, on_bad=self._bad.add)
        self.policy = self._decoder.policy

    @property
    def counts(self) -> Counter[str]:
        """Bad pictures per kind, in this process and all workers."""
        return self._bad.total()

    def decode(self, data: bytes, where: str) -> Any:
        """A picture or tensor; None only where the policy says "skip".

        Raises:
            ImageError: it is bad and the policy says "raise"; begins with `where`.
        """
        pixels = self._jpeg(data)
        if pixels is None:
            picture = self._decoder.decode(data, where)
            if picture is None:
                return None
            if self.target.size is None and self._image_type == "pil":
                return picture
            pixels = _array(self._shrunk(picture))
            del picture  # which would be one more copy while it is resized
        return self._typed(pixels if self.target.size is None else self._fitted(pixels, *self.target.size))

    def _shrunk(self, picture: Image.Image) -> Image.Image:
        """Cut and resized before it becomes an array, where Pillow resizes: two copies less."""
        if self.mode != "exact" or self.target.size is None or self.target.fit == "pad":
            return picture
        height, width = self.target.size
        box = whole = (0, 0, picture.width, picture.height)
        if self.target.fit == "crop":
            box = crop_box(picture.width, picture.height, width, height)
        cut = picture if box == whole else picture.crop(box)
        return cut if cut.size == (width, height) else cut.resize((width, height), Image.Resampling.BILINEAR)

    @property
    def _image_type(self) -> ImageType:
        return self.target.image_type or ("pil" if self.target.size is None else "uint8")

    def _jpeg(self, data: bytes) -> Pixels | None:
        """Pixels of a plain JPEG; None leaves it to Pillow and the policy."""
        size = plain_jpeg_size(data) if simplejpeg is not None else None
        if size is None or not self._may_decode(data, size[0] * size[1]):
            return None
        width, height = self._least_size(*size) if self.mode == "scaled" else (0, 0)
        try:
            return cast(Pixels, simplejpeg.decode_jpeg(data, min_width=width, min_height=height))
        except ValueError:  # cut off or damaged: Pillow may still know what to do, or say what is wrong
            return None

    def _may_decode(self, data: bytes, pixels: int) -> bool:
        if self.policy.max_pixels is not None or pixels <= SURE_PIXELS:
            return pixels <= (self.policy.max_pixels or SURE_PIXELS)
        try:
            check_size(data, "")
        except ImageError:
            return False
        return True

    def _least_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height under which the part that is kept would be smaller than the target."""
        if self.target.size is None:
            return 0, 0
        to_height, to_width = self.target.size
        if self.target.fit == "stretch":
            return to_width, to_height
        scale = (max if self.target.fit == "crop" else min)(to_width / width, to_height / height)
        return math.ceil(width * scale - ROUNDING), math.ceil(height * scale - ROUNDING)

    def _fitted(self, pixels: Pixels, height: int, width: int) -> Pixels:
        if self.target.fit == "crop":
            left, top, right, bottom = crop_box(pixels.shape[1], pixels.shape[0], width, height)
            return self._resized(pixels[top:bottom, left:right], height, width)
        if self.target.fit == "stretch":
            return self._resized(pixels, height, width)
        scale = min(height / pixels.shape[0], width / pixels.shape[1])
        inner_height, inner_width = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = self.policy.background
        top, left = (height - inner_height) // 2, (width - inner_width) // 2
        canvas[top : top + inner_height, left : left + inner_width] = self._resized(pixels, inner_height, inner_width)
        return canvas

    def _resized(self, pixels: Pixels, height: int, width: int) -> Pixels:
        if pixels.shape[:2] == (height, width):
            return pixels
        if self.mode == "exact":
            return np.array(_image(pixels).resize((width, height), Image.Resampling.BILINEAR))
        planes = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)  # in this order torch sees that channels are last
        resized = torch.nn.functional.interpolate(planes, (height, width), mode="bilinear", antialias=True)
        return cast(Pixels, resized[0].permute(1, 2, 0).numpy())

    def _typed(self, pixels: Pixels) -> Any:
        if self._image_type == "pil":
            return _image(pixels)
        planes = torch.from_numpy(pixels).permute(2, 0, 1)
        return planes if self._image_type == "uint8" else planes.to(torch.float32).div_(255)


class RowDecoder:
    """Decodes the pictures of rows."""

    def __init__(self, pictures: PictureDecoder) -> None:
        self._pictures = pictures
        self.skips = pictures.policy.on_bad == "skip"

    @classmethod
    def make(
        cls,
        mode: DecodeMode | None,
        image_size: int | tuple[int, int] | None,
        *,
        fit: Fit,
        image_type: ImageType | None,
        policy: DecodePolicy | None,
        columns: Sequence[str] = ("images",),
    ) -> "RowDecoder | None":
        """From the arguments of a dataset; None where pictures stay encoded, or are not read."""
        if mode is None or "images" not in columns:
            return None
        size = (image_size, image_size) if isinstance(image_size, int) else image_size
        return cls(PictureDecoder(mode, Target(size=size, fit=fit, image_type=image_type), policy))

    def check_ranks(self, world_size: int) -> None:
        """Raises UsageError for a policy that leaves rows out where several ranks read."""
        if world_size > 1 and self.skips:
            raise UsageError(
                'on_bad="skip" would leave ranks with different numbers of rows, which hangs training; use '
                'on_bad="placeholder"'
            )

    @property
    def counts(self) -> Counter[str]:
        return self._pictures.counts

    def decode(self, row: dict[str, Any], where: Callable[[], str]) -> dict[str, Any] | None:
        """The row with decoded pictures; None where the policy is to skip and one of them is bad.

        Args:
            where: names a row that has no columns `task` and `id`.

        Raises:
            ImageError: a picture is bad and the policy says "raise"; it names the row.
        """
        images = [None] if row["images"] is None else row["images"]
        name = (f"{row['task']}: row {row['id']!r}" if "task" in row and "id" in row else where()) if images else ""
        pictures = [
            self._pictures.decode(b"" if image is None else image["bytes"] or b"", f"{name}: images[{number}]")
            for number, image in enumerate(images)
        ]
        return None if any(picture is None for picture in pictures) else {**row, "images": pictures}


def crop_box(width: int, height: int, to_width: int, to_height: int) -> Box:
    """The largest box in the middle with the proportions of the target, in whole pixels."""
    if width * to_height > height * to_width:
        inner = max(1, round(height * to_width / to_height))
        return (width - inner) // 2, 0, (width - inner) // 2 + inner, height
    inner = max(1, round(width * to_height / to_width))
    return 0, (height - inner) // 2, width, (height - inner) // 2 + inner


def _array(picture: Image.Image) -> Pixels:
    """As numpy does it, but of a large picture without one more copy on the way."""
    if picture.width * picture.height <= SURE_PIXELS:
        return np.array(picture)
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for box in bands(picture):
        pixels[box[1] : box[3]] = np.asarray(picture.crop(box))
    return pixels


def _image(pixels: Pixels) -> Image.Image:
    """As Pillow does it, but likewise."""
    if pixels.shape[0] * pixels.shape[1] <= SURE_PIXELS:
        return Image.fromarray(pixels)
    picture = Image.new("RGB", (pixels.shape[1], pixels.shape[0]))
    for box in bands(picture):
        picture.paste(Image.fromarray(pixels[box[1] : box[3]]), box)
    return picture


def plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG with 8-bit YCbCr colours that needs no turning; None for anything else."""
    at, size = 2, None
    may_turn, may_repeat = False, False  # Exif and XMP say how it is to be turned; of scans there may be any number
    if data[:2] != b"\xff\xd8":
        return None
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == SCAN:
            may_repeat = may_repeat or data[at + 4 : at + 5] != b"\x03"  # a scan of all components is the only one
            is_costly = may_repeat and jpeg_scans(data, MAX_SCANS) > MAX_SCANS
            return None if is_costly or (may_turn and not is_upright(data)) else size
        if marker in FRAMES:
            if data[at + 4 : at + 5] != b"\x08" or data[at + 9 : at + 10] != b"\x03":  # bits, components
                return None
            size = (int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
            may_repeat = marker == PROGRESSIVE
        if marker == APP14 and data[at + 4 : at + 9] == b"Adobe" and data[at + 15 : at + 16] != b"\x01":  # not YCbCr
            return None
        may_turn = may_turn or marker == APP1
        at += 2 + length
    return None
