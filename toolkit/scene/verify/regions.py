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
    padded = np.pad(~mask, 1, constant_values=True)
    rows, starts, ends = _runs(padded)
    roots = _joined(rows, starts, ends)
    outside = np.zeros_like(padded)
    for row, start, end in zip(
        rows[roots == roots[0]], starts[roots == roots[0]], ends[roots == roots[0]], strict=True
    ):
        outside[row, start:end] = True
    return ~outside[1:-1, 1:-1]


def eroded(mask: Mask, by: int) -> Mask:
    """Pixels whose whole (2 by + 1)-square lies in the mask."""
    width = 2 * by + 1
    sums = np.pad(np.pad(mask, by).astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside: Mask = (
        sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width] == width * width
    )
    return inside


def _runs(mask: Mask) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row, first column and column after the last of each run of True, in reading order."""
    change = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(change == 1)
    return rows, starts, np.nonzero(change == -1)[1]


def _joined(
    rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each run, the number of the first run it is connected to."""
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    row, start, end = rows.tolist(), starts.tolist(), ends.tolist()
    above = 0
    for run in range(len(row)):
        while above < run and (row[above] < row[run] - 1 or (row[above] == row[run] - 1 and end[above] <= start[run])):
            above += 1
        other = above
        while other < run and row[other] == row[run] - 1 and start[other] < end[run]:
            one, two = root(other), root(run)
            parent[max(one, two)] = min(one, two)
            other += 1
    return np.array([root(run) for run in range(len(row))], dtype=np.int64)


def _piece(rows: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64], area: int) -> Piece:
    x0, y0, x1, y1 = int(starts.min()), int(rows[0]), int(ends.max()), int(rows[-1]) + 1
    mask = np.zeros((y1 - y0, x1 - x0), dtype=bool)
    for row, start, end in zip((rows - y0).tolist(), (starts - x0).tolist(), (ends - x0).tolist(), strict=True):
        mask[row, start:end] = True
    return Piece(x0, y0, x1, y1, mask, area)
