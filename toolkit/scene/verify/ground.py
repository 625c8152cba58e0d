"""What belongs to the background of a picture, and what stands on it."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from toolkit.scene.verify.colours import most
from toolkit.scene.verify.regions import Mask, Piece, eroded, filled, pieces

Pixels: TypeAlias = npt.NDArray[np.uint8]

RING = 15 / 512  # the edge that every scene leaves free, as a fraction of the side
_LARGEST = 640  # pixels of the shorter side: larger pictures are read at half size or less
_FREQUENT = 0.015  # share of the pixels along a side, from which on a colour belongs to the ground
_NOISE = 2.5  # mean difference from the median of 3 x 3 pixels along the edge: above it, a picture is smoothed
_HALF = 0.45  # of the contrast between a thing and the ground: where its outline runs, however soft
_RIM = 10 / 512  # how wide shadows and blur are at most, as a fraction of the side
_GAP = 2  # pixels: half of the widest gap across which an outline is taken to go on
_SHADOW = 8  # levels by which a shadow may differ from the ground's own hue
_AROUND = 8  # pixels around a thing that tell what lies behind it


def normalised(pixels: Pixels) -> Pixels:
    """The picture at a size that is read quickly, with single wrong pixels smoothed where there are many."""
    image = Image.fromarray(pixels)
    if (factor := -(-min(image.size) // _LARGEST)) > 1:
        image = image.reduce(factor)
    smooth, ring = ImageFilter.MedianFilter(3), round(RING * min(image.size))
    edge = image.crop((0, 0, image.width, ring + 1))
    read, soft = (np.asarray(each)[:ring].astype(np.int16) for each in (edge, edge.filter(smooth)))
    return np.asarray(image.filter(smooth) if np.abs(read - soft).mean() > _NOISE else image)


def foreground(pixels: Pixels, least: int) -> list[Piece]:
    """Regions of at least `least` pixels that stand on the ground, and so do not reach from side to side. Each is cut
    where it is half as far from the ground's colour as its middle is.
    """
    raw = filled(stands_out(pixels))
    height, width = raw.shape
    found = [each for each in pieces(raw, least) if each.x1 - each.x0 < width and each.y1 - each.y0 < height]
    return [part for rough in found for part in _cut(pixels, raw, rough, least)]


def stands_out(pixels: Pixels) -> Mask:
    """Pixels of no colour that is frequent along two sides of the picture, where little but background may be."""
    red, green, blue = np.moveaxis((pixels >> 3).astype(np.uint16), -1, 0)
    codes = red << 10 | green << 5 | blue
    ring = round(RING * min(pixels.shape[:2]))
    sides = (codes[:ring], codes[-ring:], codes[:, :ring], codes[:, -ring:])
    frequent = np.sum([_near(side) >= _FREQUENT * side.size for side in sides], axis=0) >= 2
    other: Mask = (~frequent).take(codes)
    return other


def _near(codes: npt.NDArray[np.uint16]) -> npt.NDArray[np.int64]:
    """int64 (32768,): how many pixels have that colour, or one at most a step of 8 away in each channel."""
    counts = np.bincount(codes.ravel(), minlength=1 << 15).reshape(32, 32, 32)
    for axis in range(3):
        sums = counts.copy()
        near, alone = np.moveaxis(sums, axis, 0), np.moveaxis(counts, axis, 0)
        near[1:] += alone[:-1]
        near[:-1] += alone[1:]
        counts = sums
    return counts.reshape(-1)


def _cut(pixels: Pixels, raw: Mask, rough: Piece, least: int) -> list[Piece]:
    top, left = max(rough.y0 - _AROUND, 0), max(rough.x0 - _AROUND, 0)
    view = (slice(top, rough.y1 + _AROUND), slice(left, rough.x1 + _AROUND))
    box, free = pixels[view].astype(np.int16), ~raw[view]
    if not free.any():
        return [rough]
    behind = np.maximum(np.median(box[free], axis=0), 1)
    away = np.where(_is_shadow(box, behind), 0, most(np.abs(box - behind)))
    mine = np.zeros_like(free)
    mine[rough.y0 - top : rough.y1 - top, rough.x0 - left : rough.x1 - left] = rough.mask
    rim = mine & ~eroded(mine, 3)
    sure = eroded(mine, round(_RIM * min(pixels.shape[:2])))
    clear = mine & (sure | (away > _HALF * np.percentile(away[rim], 60)))
    closed = eroded(~eroded(~clear, _GAP), _GAP)  # parts of one thing are one, as mast and hull of a boat
    outline = filled(mine & (clear | closed))
    return [
        part._replace(x0=part.x0 + left, x1=part.x1 + left, y0=part.y0 + top, y1=part.y1 + top)
        for part in pieces(outline, least)
    ]


def _is_shadow(box: npt.NDArray[np.int16], behind: npt.NDArray[np.float64]) -> Mask:
    """Pixels that are the colour behind, only darker."""
    shares = box / behind
    share = (shares[..., 0] + shares[..., 1] + shares[..., 2]) / 3
    looks: Mask = (share > 0.4) & (share < 0.98) & (most(np.abs(box - share[..., None] * behind)) < _SHADOW)
    return looks
