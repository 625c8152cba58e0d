"""Connected regions of a mask, by runs and union-find."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class Piece(NamedTuple):
    """A connected region: its box in the mask it came from, its own mask cut to that box, and its size in pixels."""

    x0: int
    y0: int
    x1: int
    y1: int
    mask: Mask
    area: int


def pieces(mask: Mask, least: int) -> list[Piece]:
    """Regions connected by sides, of at least `least` pixels, in reading order of their first pixel."""
    rows, starts, ends = _runs(mask)
    roots = _joined(rows, starts, ends)
    areas = np.bincount(roots, weights=ends - starts)
    chosen = ((root, roots == root) for root in np.flatnonzero(areas >= least))
    return [_piece(rows[runs], starts[runs], ends[runs], int(areas[root])) for root, runs in chosen]


def filled(mask: Mask) -> Mask:
    """The mask with every hole that the outside does not reach."""
    free = framed(~mask, 1)
    rows, starts, ends = _runs(free)
    roots = _joined(rows, starts, ends)
    holes = np.flatnonzero(roots != roots[0])
    whole = ~free
    for row, start, end in zip(rows[holes].tolist(), starts[holes].tolist(), ends[holes].tolist(), strict=True):
        whole[row, start:end] = True
    return whole[1:-1, 1:-1]


def framed(mask: Mask, by: int) -> Mask:
    """The mask in a frame of True; as `numpy.pad` makes it, which takes longer than what is asked of it here."""
    height, width = mask.shape
    wider = np.ones((height + 2 * by, width + 2 * by), dtype=bool)
    wider[by : by + height, by : by + width] = mask
    return wider


def eroded(mask: Mask, by: int) -> Mask:
    """Pixels whose whole (2 by + 1)-square lies in the mask."""
    inside = np.zeros_like(mask)
    height, width = (side - 2 * by for side in mask.shape)
    if height > 0 and width > 0:
        rows = _all_of(mask, 2 * by + 1)
        inside[by : by + height, by : by + width] = _all_of(rows.T, 2 * by + 1).T
    return inside


def _all_of(mask: Mask, count: int) -> Mask:
    """Whether each row and those after it, so many in all, are True: each step doubles how many are looked at."""
    seen = 1
    while seen < count:
        step = min(seen, count - seen)
        mask = mask[:-step] & mask[step:]
        seen += step
    return mask


def _runs(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row, first column and column after the last of each run of True, in reading order."""
    height, width = mask.shape[0], mask.shape[1] + 1  # a column of False ends each row, and one comes before all
    flat = np.zeros(1 + height * width, dtype=bool)
    flat[1:].reshape(height, width)[:, :-1] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    rows = edges[::2] // width
    return rows, edges[::2] - rows * width, edges[1::2] - rows * width


def _joined(
    rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each run, the number of the first run it is connected to."""
    parent = np.arange(len(rows))
    above, run = _neighbours(rows, starts, ends)
    while len(run):
        np.minimum.at(parent, np.maximum(parent[above], parent[run]), np.minimum(parent[above], parent[run]))
        while (parent != parent[parent]).any():
            parent = parent[parent]
        apart = parent[above] != parent[run]
        above, run = above[apart], run[apart]
    return parent


def _neighbours(
    rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of runs that share a side: of the upper and of the lower."""
    width = int(ends.max(initial=0)) + 1
    before = (rows - 1) * width
    first = np.searchsorted(rows * width + ends, before + starts, side="right")  # that ends behind the start of each
    counts = np.maximum(np.searchsorted(rows * width + starts, before + ends) - first, 0)
    lower = np.repeat(np.arange(len(rows)), counts)
    return np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(len(lower)), lower


def _piece(rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], area: int) -> Piece:
    x0, y0, x1, y1 = int(starts.min()), int(rows[0]), int(ends.max()), int(rows[-1]) + 1
    mask = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    for row, start, end in zip((rows - y0).tolist(), (starts - x0).tolist(), (ends - x0).tolist(), strict=True):
        mask[row, start:end] = True
    return Piece(x0, y0, x1, y1, mask, area)
