"""Picture -> things, from pixels alone: connected regions find things, hand-drawn silhouettes name shapes."""

from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.verify.colours import COLOURS, Labels, colour_labels, is_clear_colour, most
from toolkit.scene.verify.ground import RING as _RING
from toolkit.scene.verify.ground import foreground, normalised
from toolkit.scene.verify.overlaps import Overlap, Part, may_be_two, parted
from toolkit.scene.verify.patterns import pattern_of
from toolkit.scene.verify.regions import Mask, Piece, eroded, filled, pieces
from toolkit.scene.verify.silhouettes import shape_of
from toolkit.scene.verify.text import ReadScene, ReadThing
from toolkit.scene.verify.writing import Word, read_marks

Pixels: TypeAlias = npt.NDArray[np.uint8]

# Typical ground of each style, 8-bit sRGB: read off pictures.
GROUNDS = {
    "storybook": (250, 242, 222),
    "comic": (255, 255, 255),
    "pastel": (252, 247, 245),
    "chalkboard": (46, 67, 59),
    "neon": (22, 20, 38),
    "blueprint": (36, 66, 110),
    "sticker": (184, 216, 231),
}
_LEAST = 200 / 512**2  # smaller regions are dust
_LINE = 9 / 512  # no outline is wider
_SMALL, _MEDIUM = 0.137, 0.215  # longer side, outline included: up to which a thing is small, or medium
_NEVER_MARKED = ("house", "crown", "flower", "boat", "tree", "moon")  # inner lines or thin parts, but no pattern
# How near to the border between two names a value is too near to be sure of either.
_SIZE_ROOM, _PLACE_ROOM = 0.008, 0.012  # fractions of the side
_SHAPE_ROOM = 0.012  # by how much the best silhouette beats the next
_WRITTEN_ON = ("square", "circle")
_BAND = (0.3, 0.7)  # of a thing's height: marks that keep between are no pattern
_MARKED, _STROKE = 40, 30 / 512**2  # levels by which writing differs from what it is on; its least stroke


class Found(NamedTuple):
    """A thing in a picture.

    Attributes:
        thing: in the words of captions.
        box: x0 y0 x1 y1, fractions of width and height.
        unsure: attributes of `thing` that are near another name: "size", "pattern", "colour", "shape", "place";
            "hidden", if it is not clear which of two things is in front, or whether it is two; "text".
        hidden_by: colour and shape of what hides a part of it, "" if nothing.
        text: what is written on it, "" if nothing.
    """

    thing: ReadThing
    box: tuple[float, float, float, float]
    unsure: frozenset[str] = frozenset()
    hidden_by: str = ""
    text: str = ""


def read_picture(pixels: Pixels) -> ReadScene:
    """What a scene picture shows, in the words of captions."""
    things = sorted(found.thing for found in find_things(pixels, overlapping=True, written=True))
    return ReadScene(tuple(things), read_background(pixels), read_style(pixels))


def read_hidden(pixels: Pixels) -> list[tuple[str, str]]:
    """What hides a part of what, as in `text.read_hidden`; pairs of which it is not clear are left out."""
    return sorted(
        (back.hidden_by, f"{back.thing.colour} {back.thing.shape}")
        for front, back in pairwise(find_things(pixels, overlapping=True))
        if back.hidden_by and not {"hidden", "shape"} & (front.unsure | back.unsure)
    )


def read_signs(pixels: Pixels) -> list[tuple[str, str]]:
    """What is written on what, as in `text.read_signs`; what is unclear is left out."""
    return sorted(
        (f"{each.thing.colour} {each.thing.shape}", each.text)
        for each in find_things(pixels, written=True)
        if each.text and not {"text", "shape", "colour"} & each.unsure
    )


def find_things(pixels: Pixels, *, overlapping: bool = False, written: bool = False) -> list[Found]:
    """Every thing in the picture; what lies inside another follows it.

    Args:
        pixels: uint8 (height, width, 3), at least 64 pixels wide and high.
        overlapping: two things that touch are told apart by their colours; the one behind follows the one in front.
        written: what is written on a thing is read, and is no pattern.
    """
    pixels = normalised(pixels)
    found: list[Found] = []
    side = min(pixels.shape[:2])
    for piece in foreground(pixels, int(_LEAST * side**2)):
        labels = colour_labels(pixels[piece.y0 : piece.y1, piece.x0 : piece.x1])
        if overlapping and (pair := parted(piece, labels, side)):
            found += _pair(piece, pair, pixels)
            continue
        body = _main_colour(labels, piece.mask)
        inside = [_moved(inner, piece) for inner in _inner(piece, labels * piece.mask, body, side)]
        outer = _thing(pixels, piece, body, labels, holds=bool(inside))
        if written and not inside:
            outer = _with_text(pixels, piece, labels == body, outer)
        if overlapping and may_be_two(piece, labels, side):
            outer = outer._replace(unsure=outer.unsure | {"hidden"})
        found.append(outer)
        for inner in inside:
            inner_labels = colour_labels(pixels[inner.y0 : inner.y1, inner.x0 : inner.x1])
            colour = _main_colour(np.where(inner_labels == body, 0, inner_labels), inner.mask)
            held_by = f"{outer.thing.colour} {outer.thing.shape}"
            found.append(_thing(pixels, inner, colour, inner_labels, inside=held_by))
    return found


def _pair(piece: Piece, pair: Overlap, pixels: Pixels) -> list[Found]:
    front, back = (_whole(piece, part, pixels) for part in (pair.front, pair.back))
    unsure = frozenset() if pair.is_sure else frozenset(("hidden",))
    hidden_by = f"{front.thing.colour} {front.thing.shape}"
    return [
        front._replace(unsure=front.unsure | unsure),
        back._replace(unsure=back.unsure | unsure, hidden_by=hidden_by),
    ]


def _whole(piece: Piece, part: Part, pixels: Pixels) -> Found:
    """A thing of which a part may be hidden; what could be a pattern is not looked for."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = (part.box[axis] + (piece.x0, piece.y0)[axis % 2] for axis in range(4))
    x, y, longer = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, max(x1 - x0, y1 - y0) / min(width, height)
    thing = ReadThing(_size(longer), "plain", COLOURS[part.label], part.shape, place_at(x, y), "")
    clear = {"size": _is_clear_size(longer), "shape": part.is_sure, "place": _is_clear_place(x, y)}
    unsure = frozenset(name for name, is_clear in clear.items() if not is_clear)
    return Found(thing, (x0 / width, y0 / height, x1 / width, y1 / height), unsure)


def _size(longer: float) -> str:
    return "small" if longer < _SMALL else "medium" if longer < _MEDIUM else "large"


def _is_clear_size(longer: float) -> bool:
    return min(abs(longer - _SMALL), abs(longer - _MEDIUM)) > _SIZE_ROOM


def _is_clear_place(x: float, y: float) -> bool:
    return min(abs(each - border) for each in (x, y) for border in (1 / 3, 2 / 3)) > _PLACE_ROOM


def _moved(inner: Piece, by: Piece) -> Piece:
    return inner._replace(x0=inner.x0 + by.x0, x1=inner.x1 + by.x0, y0=inner.y0 + by.y0, y1=inner.y1 + by.y0)


def _main_colour(labels: Labels, mask: Mask) -> int:
    """The colour of the widest areas away from the outline: where colours blend, areas are narrow."""
    core = labels * eroded(mask, 3)
    for depth in (2, 1, 0):
        areas = [int(eroded(core == name, depth).sum()) for name in range(1, len(COLOURS))]
        if max(areas) >= 12:
            break
    return int(np.argmax(areas)) + 1


def _inner(piece: Piece, labels: Labels, body: int, side: int) -> list[Piece]:
    """Regions of another colour that the body's colour surrounds."""
    other = piece.mask & (labels != body)
    found = []
    for region in pieces(filled_from(other, piece.mask), int(_LEAST * side**2)):
        box = labels[region.y0 : region.y1, region.x0 : region.x1] * region.mask
        if (
            eroded((box != body) & (box != 0), 1).sum() >= 0.04 * region.area
        ):  # thicker than the blend of two colours along an edge
            found.append(region)
    return found


def filled_from(other: Mask, whole: Mask) -> Mask:
    """Of `other`, the regions that do not reach the rim of `whole`, holes filled."""
    rim = whole & ~eroded(whole, 1)
    keep = np.zeros_like(other)
    for region in pieces(other, 40):
        view = (slice(region.y0, region.y1), slice(region.x0, region.x1))
        if not (rim[view] & region.mask).any():
            keep[view] |= region.mask
    return filled(keep)


def _thing(pixels: Pixels, piece: Piece, body: int, labels: Labels, *, inside: str = "", holds: bool = False) -> Found:
    height, width = pixels.shape[:2]
    shape, lead = shape_of(filled(piece.mask))
    longer = max(piece.x1 - piece.x0, piece.y1 - piece.y0) / min(width, height)
    size = _size(longer)
    box = pixels[piece.y0 : piece.y1, piece.x0 : piece.x1].astype(np.float64)
    core = eroded(filled(piece.mask), round(_LINE * min(width, height)))
    own = piece.mask & (labels == body)
    colour = np.median(box[own & core if (own & core).any() else own], axis=0) if own.any() else np.zeros(3)
    pattern, is_pattern_clear = "plain", True
    if not (size == "small" or holds or shape in _NEVER_MARKED):
        pattern, is_pattern_clear = pattern_of(most(np.abs(box - colour)), core, min(width, height))
    x, y = (piece.x0 + piece.x1) / 2 / width, (piece.y0 + piece.y1) / 2 / height
    clear = {
        "size": _is_clear_size(longer),
        "pattern": is_pattern_clear,
        "colour": is_clear_colour(colour),
        "shape": lead > _SHAPE_ROOM,
        "place": _is_clear_place(x, y),
    }
    return Found(
        ReadThing(size, pattern, COLOURS[body], shape, place_at(x, y), inside),
        (piece.x0 / width, piece.y0 / height, piece.x1 / width, piece.y1 / height),
        frozenset(name for name, is_clear in clear.items() if not is_clear),
    )


def _with_text(pixels: Pixels, piece: Piece, is_body: Mask, found: Found) -> Found:
    """The thing with what is written on it: marks that keep to a band across its middle."""
    if found.thing.size != "large" or found.thing.shape not in _WRITTEN_ON:
        return found
    word = _written(pixels, piece, is_body)
    if not word.text:
        return found
    unsure = (found.unsure - {"pattern"}) | ({"text"} if word.unsure else set())
    return found._replace(thing=found.thing._replace(pattern="plain"), text=word.text, unsure=frozenset(unsure))


def _written(pixels: Pixels, piece: Piece, is_body: Mask) -> Word:
    side = min(pixels.shape[:2])
    box = pixels[piece.y0 : piece.y1, piece.x0 : piece.x1].astype(np.float64)
    core = eroded(filled(piece.mask), round(_LINE * side))
    own = core & is_body
    if not own.any():
        return Word("", False)
    colour = np.median(box[own], axis=0)
    marks = core & (most(np.abs(box - colour)) > _MARKED)
    rows = np.flatnonzero(marks.any(axis=1)) / len(marks)
    if not len(rows) or rows[0] < _BAND[0] or rows[-1] > _BAND[1]:
        return Word("", False)
    return read_marks(marks, max(int(_STROKE * side**2), 1))


def place_at(x: float, y: float) -> str:
    """The ninth of the picture that a point lies in, in words."""
    row, column = min(int(y * 3), 2), min(int(x * 3), 2)
    names = (("top left", "top", "top right"), ("left", "centre", "right"), ("bottom left", "bottom", "bottom right"))
    return names[row][column]


def read_style(pixels: Pixels) -> str:
    """The style whose ground is nearest to the median colour of the top edge (where a shaded ground begins)."""
    ring = round(_RING * min(pixels.shape[:2]))
    edge = np.median(pixels[:ring].reshape(-1, 3), axis=0)
    return min(GROUNDS, key=lambda name: float(np.abs(edge - GROUNDS[name]).sum()))


def read_background(pixels: Pixels) -> str:
    """What varies along the free edge: nothing, only from row to row, smoothly or by jumps, along both, or here and
    there.
    """
    ring = round(_RING * min(pixels.shape[:2]))
    left, top = pixels[:, :ring].astype(np.int64), pixels[:ring].astype(np.int64)
    if np.ptp(left, axis=(0, 1)).max() <= 2:
        return "plain"
    if np.ptp(left, axis=1).max() <= 1:
        jump = np.abs(np.diff(left[:, 0], axis=0)).max()
        return "lined" if jump > 2 else "shaded"
    plain_rows = np.ptp(top, axis=1).max(axis=1) <= 1
    columns_at_top = np.ptp(top[:4], axis=(0, 1)).max()
    return "dotted" if columns_at_top <= 1 and not plain_rows.all() else "grid"
