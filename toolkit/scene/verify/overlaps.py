"""Two things of which one hides a part of the other: which is in front, and what the other is as a whole.

Of two areas of colour that both reach the rim of a region, the front one has a whole silhouette, into which nothing of
the other's colour reaches. The other is taken to go on behind it: every shape is tried in every box that its visible
part allows, compared only where it can be seen.
"""

import math
from itertools import permutations, product
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.verify.regions import Mask, Piece, eroded, filled, framed, pieces
from toolkit.scene.verify.silhouettes import ASPECT_WEIGHT, ASPECTS, CELLS, drawings

Box: TypeAlias = tuple[int, int, int, int]  # x0 y0 x1 y1, pixels of a region

_LEAST = 0.03  # share of a region that an area of colour has at least, away from its outline
_TRACE = 0.005  # the same, from which on a region may be two things
_CORE = 2  # pixels: blends of two colours are narrower
_LINE = 4 / 512  # half of an outline and a little, as a fraction of the side
_RIM = 24 / 512  # an area nearer than this to the rim reaches it
_STEPS = 5  # boxes tried for each side that may be hidden
_WIDEST = 9 / 512  # no outline is wider
_POKING = 0.25  # share of the rim along which an outline, grown too wide, sticks out of the region
_SURE = 0.02  # by how much the best shape beats the next
_WITHIN = 3  # pixels: nearer to its edge, a drawing of 12 x 12 cells does not tell inside from outside
# Colour of the other inside the silhouette of the one in front, as a fraction of a picture: so little is stray, and so
# much shows that it is not in front.
_STRAY, _INTO = 5 / 512**2, 40 / 512**2
_FITS = 0.14  # cost up to which a shape may be believed


class Part(NamedTuple):
    """A thing of a pair.

    Attributes:
        label: of its colour.
        box: of the whole thing, also where it is hidden.
        is_sure: whether no other shape fits nearly as well.
    """

    label: int
    shape: str
    box: Box
    is_sure: bool


class Overlap(NamedTuple):
    """A pair; `is_sure` says whether it is clear which is in front."""

    front: Part
    back: Part
    is_sure: bool


class _Fit(NamedTuple):
    cost: float
    shape: str
    box: Box
    lead: float


class _Reading(NamedTuple):
    """One of the two orders; `into`: pixels of the back one's colour inside the front one's silhouette."""

    label: int
    other: int
    front: _Fit
    back: _Fit
    into: int


_NONE = _Fit(1.0, "", (0, 0, 1, 1), 0.0)


def parted(piece: Piece, labels: npt.NDArray[Any], side: int) -> Overlap | None:
    """The two things that a region is made of; None if it is one.

    Args:
        labels: number of the colour of each pixel of the region's box, 0 = none.
        side: shorter side of the picture, pixels.
    """
    areas = _areas(piece, labels, side)
    if len(areas) != 2 or any(_holds(one, other, side) for one, other in permutations(areas.values(), 2)):
        return None
    one, other = areas
    likely, less = sorted(
        (_ordered(piece.mask, areas, *each, side) for each in ((one, other), (other, one))), key=_order
    )
    fits = max(likely.front.cost, likely.back.cost) < _FITS
    is_sure = fits and likely.into <= _STRAY * side**2 and less.into >= _INTO * side**2
    front, back = (
        Part(label, fit.shape, fit.box, _is_sure(fit))
        for label, fit in ((likely.label, likely.front), (likely.other, likely.back))
    )
    return Overlap(front, back, is_sure)


def _order(reading: _Reading) -> tuple[int, float]:
    return reading.into, reading.front.cost + reading.back.cost


def _ordered(whole: Mask, areas: dict[int, Mask], label: int, other: int, side: int) -> _Reading:
    """Both things, if the one of that colour is in front."""
    front, back = _read(whole, areas[label], side)
    return _Reading(label, other, front, back, int((_solid(front, whole) & areas[other]).sum()))


def _solid(fit: _Fit, whole: Mask) -> Mask:
    """What surely lies inside a silhouette."""
    x0, y0, x1, y1 = fit.box
    rows, columns = np.arange(y1 - y0) * CELLS // (y1 - y0), np.arange(x1 - x0) * CELLS // (x1 - x0)
    solid = np.zeros_like(whole)
    if fit.shape:
        solid[y0:y1, x0:x1] = (drawings()[fit.shape] == 1)[rows][:, columns]
    return eroded(solid, _WITHIN)


def may_be_two(piece: Piece, labels: npt.NDArray[Any], side: int) -> bool:
    """Whether a region that is not told apart may still be several things: another colour reaches its rim."""
    areas = _areas(piece, labels, side, _TRACE)
    return len(areas) > 1 and not any(_holds(one, other, side) for one, other in permutations(areas.values(), 2))


def _holds(one: Mask, other: Mask, side: int) -> bool:
    """Whether one area lies inside the other, as a thing does that hides nothing but what is behind it."""
    around = filled(_widened(one, max(round(_LINE * side), 1)))
    return bool((other & ~around).sum() < 0.02 * other.sum())


def _is_sure(fit: _Fit) -> bool:
    return fit.lead > _SURE and fit.cost < _FITS


def _areas(piece: Piece, labels: npt.NDArray[Any], side: int, least: float = _LEAST) -> dict[int, Mask]:
    """Colour -> where it is, of those that are wide and reach the rim."""
    rim = ~eroded(piece.mask, max(round(_RIM * side), 1))
    found: dict[int, Mask] = {}
    for label in np.unique(labels[piece.mask]):
        own = piece.mask & (labels == label)
        core = eroded(own, _CORE)
        if label and core.sum() >= least * piece.area and (core & rim).any():
            wide = np.zeros_like(own)
            for part in pieces(own, max(int(0.01 * piece.area), 1)):
                if eroded(part.mask, _CORE).any():
                    wide[part.y0 : part.y1, part.x0 : part.x1] |= part.mask
            found[int(label)] = wide
    return found


def _read(whole: Mask, front: Mask, side: int) -> tuple[_Fit, _Fit]:
    """Both things, if the one whose colour covers `front` is the front one."""
    silhouette = filled(_with_outline(front, whole, round(_WIDEST * side)))
    rest = whole & ~silhouette
    rest &= _widened(eroded(rest, _CORE), _CORE)  # what is left of the front one's outline is narrow
    everywhere, line = np.ones_like(whole), max(round(_LINE * side), 1)
    if not rest.any():
        return _best(silhouette, everywhere, 0), _NONE
    return _best(silhouette, everywhere, 0), _best(_filled_but(rest, silhouette), ~silhouette, line)


def _with_outline(front: Mask, whole: Mask, widest: int) -> Mask:
    """A colour's area and the outline around it, which ends where all of the region does."""
    fill = filled(front)
    rim = int((fill & ~eroded(fill, 1)).sum())
    grown = fill
    for by in range(1, widest + 1):
        wider = _widened(fill, by)
        if (wider & ~whole).sum() > _POKING * rim:
            break
        grown = wider
    return grown & whole


def _filled_but(mask: Mask, without: Mask) -> Mask:
    """The mask with its holes filled, where they are not of another."""
    return filled(mask | without) & ~without


def _widened(mask: Mask, by: int) -> Mask:
    return ~eroded(framed(~mask, by), by)[by:-by, by:-by]


def _best(seen: Mask, known: Mask, line: int) -> _Fit:
    """The shape and the box that fit best to what is seen of a thing, compared where that is known.

    Args:
        line: 0 = all of the thing is seen, so its box is known; else how near the hidden part is to what hides it.
    """
    costs: dict[str, tuple[float, Box]] = {}
    for box in _boxes(seen, known, line):
        cells, weight = _cells(seen, box), _cells(known, box)
        if weight.sum() < 0.4 * CELLS**2:
            continue
        aspect = (box[2] - box[0]) / (box[3] - box[1])
        for shape, drawn in drawings().items():
            cost = float(np.abs(cells - drawn * weight).sum() / weight.sum())
            cost += ASPECT_WEIGHT * abs(math.log(aspect / ASPECTS[shape]))
            if shape not in costs or cost < costs[shape][0]:
                costs[shape] = (cost, box)
    ordered = sorted((cost, shape, box) for shape, (cost, box) in costs.items())
    if len(ordered) < 2:
        return _NONE
    return _Fit(*ordered[0], ordered[1][0] - ordered[0][0])


def _boxes(seen: Mask, known: Mask, line: int) -> list[Box]:
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if not line:
        return [(x0, y0, x1, y1)]
    hidden = np.argwhere(~known)
    (top, left), (bottom, right) = hidden.min(axis=0), hidden.max(axis=0) + 1
    near = _widened(~known, 2 * line)
    lows = _tried(x0, int(left), bool((near[:, x0 : x0 + line] & seen[:, x0 : x0 + line]).any()) and left < x0)
    highs = _tried(x1, int(right), bool((near[:, x1 - line : x1] & seen[:, x1 - line : x1]).any()) and right > x1)
    tops = _tried(y0, int(top), bool((near[y0 : y0 + line] & seen[y0 : y0 + line]).any()) and top < y0)
    bottoms = _tried(y1, int(bottom), bool((near[y1 - line : y1] & seen[y1 - line : y1]).any()) and bottom > y1)
    return [(a, b, c, d) for a, b, c, d in product(lows, tops, highs, bottoms) if c - a > 8 and d - b > 8]


def _tried(edge: int, furthest: int, goes_on: bool) -> list[int]:
    """Where a side of the box may be: where it is seen, or further on behind what hides it."""
    return sorted({round(each) for each in np.linspace(edge, furthest, _STEPS + 1)}) if goes_on else [edge]


def _cells(mask: Mask, box: Box) -> npt.NDArray[np.float64]:
    """Share of each of 12 x 12 cells of a box that the mask fills; the box may reach beyond the mask."""
    x0, y0, x1, y1 = box
    rows = np.minimum((np.arange(y0, y1) - y0) * CELLS // (y1 - y0), CELLS - 1)
    columns = np.minimum((np.arange(x0, x1) - x0) * CELLS // (x1 - x0), CELLS - 1)
    cut = mask[y0:y1, x0:x1]
    index = rows[: cut.shape[0], None] * CELLS + columns[None, : cut.shape[1]]
    size = CELLS * CELLS
    share = np.bincount(index.ravel(), weights=cut.ravel(), minlength=size) / np.maximum(
        np.bincount(index.ravel(), minlength=size), 1
    )
    result: npt.NDArray[np.float64] = share.reshape(CELLS, CELLS)
    return result
