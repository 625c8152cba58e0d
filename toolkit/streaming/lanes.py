"""One pass over some row groups, cut into lanes: every task spread over every lane, rows mixed inside windows."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.streaming.groups import (
    Layout,
    Numbering,
    Place,
    RowGroup,
    apportion,
    digest,
    groups_by_task,
    permutation,
    shuffled,
)

BLOCK = 128  # rows of a lane in which every task has its share
PHASES = 1024  # of which a task has one, so that tasks of few rows do not all come at the same time

Rows = NDArray[np.int64]
Span = tuple[int, int, Rows]  # first row, end, and the rows in their order
NO_ROWS: Rows = np.empty(0, np.int64)
NONE: Span = (0, 0, NO_ROWS)


def windows(by_task: Sequence[Sequence[RowGroup]], window: int) -> list[int]:
    """Row groups of each task that are open in a lane: its share of the window, one at least."""
    sizes = [sum(group.rows for group in task) for task in by_task]
    return [max(1, round(window * size / max(sum(sizes), 1))) for size in sizes]


class LaneOrder:
    """One pass over some row groups, cut into lanes.

    Every task is spread over the whole of every lane: a lane is a sequence of blocks of about BLOCK rows, and each
    block holds every task in proportion, to a row. Which row of its task comes next is drawn from the task's own
    windows.

    Args:
        key: what the shuffle depends on: seed, epoch and the like.
        rows: of each lane; their sum is the number of all rows.
    """

    def __init__(
        self, groups: Sequence[RowGroup], *, key: tuple[object, ...], rows: Sequence[int], layout: Layout
    ) -> None:
        self._key, self._layout = key, layout
        by_task = groups_by_task(groups) if layout.shuffle else [tuple(groups)]
        self._groups = [group for task in by_task for group in self._permuted(task)]
        self._group_starts = [0, *accumulate(group.rows for group in self._groups)]
        self._windows_of = windows(by_task, layout.window)
        self._rows = rows
        self._phases = [
            int.from_bytes(digest(*key, "phase", task)[:2], "little") % PHASES for task in range(len(by_task))
        ]
        self._shares = _shares([sum(group.rows for group in task) for task in by_task], rows)
        self._blocks: dict[int, Span] = {}  # lane -> block in use
        self._windows: dict[tuple[int, int], Span] = {}  # lane, task -> window in use

    def at(self, lane: int, index: int) -> Place:
        """The `index`-th row of a lane."""
        start, end, rows = self._blocks.get(lane, NONE)
        if not start <= index < end:
            start, end, rows = self._blocks[lane] = self._block(lane, self._block_of(lane, index))
        row = int(rows[index - start])
        number = bisect_right(self._group_starts, row) - 1
        return Place(self._groups[number], row - self._group_starts[number])

    def _permuted(self, groups: Sequence[RowGroup]) -> list[RowGroup]:
        if not self._layout.shuffle:
            return list(groups)
        return [groups[number] for number in permutation(len(groups), *self._key, groups[0].task)]

    def numbers(self, lane: int, numbering: Numbering) -> Rows:
        """Numbers of all rows of a lane, in order."""
        blocks = [self._block(lane, number)[2] for number in range(self._num_blocks(lane))] if self._rows[lane] else []
        rows = np.concatenate([NO_ROWS, *blocks])
        groups = np.searchsorted(self._group_starts, rows, side="right") - 1
        firsts = np.array([numbering.first[group] for group in self._groups], np.int64)
        found: Rows = firsts[groups] + rows - np.array(self._group_starts)[groups]
        return found

    def _block_of(self, lane: int, index: int) -> int:
        """Number of the block that holds a row of a lane."""
        number = index * self._num_blocks(lane) // self._rows[lane]
        while sum(self._before(lane, number)) > index:
            number -= 1
        while sum(self._before(lane, number + 1)) <= index:
            number += 1
        return number

    def _block(self, lane: int, number: int) -> Span:
        begin, end = self._before(lane, number), self._before(lane, number + 1)
        spans = zip(begin, end, strict=True)
        parts = (self._task_rows(lane, task, first, last) for task, (first, last) in enumerate(spans))
        rows = np.concatenate([NO_ROWS, *chain.from_iterable(parts)])
        if len(begin) > 1:
            rows = rows[shuffled(len(rows), *self._key, "block", lane, number)]
        return sum(begin), sum(end), rows

    def _num_blocks(self, lane: int) -> int:
        rows = self._rows[lane]
        return max(rows // BLOCK, min(rows // 8, 24), 1)  # smaller ones where an epoch would have few

    def _before(self, lane: int, number: int) -> list[int]:
        """Rows of each task in a lane before a block. A task of few rows has them at other times in every lane."""
        blocks, lanes = self._num_blocks(lane), len(self._rows)
        unit = PHASES * lanes
        return [
            (share.rows[lane] * number * unit + blocks * ((phase * lanes + lane * PHASES) % unit)) // (blocks * unit)
            for share, phase in zip(self._shares, self._phases, strict=True)
        ]

    def _task_rows(self, lane: int, task: int, first: int, last: int) -> Iterator[Rows]:
        """The rows from the `first`-th to before the `last`-th that a lane has of a task."""
        row, stop = self._shares[task].starts[lane] + first, self._shares[task].starts[lane] + last
        if not self._layout.shuffle:
            yield np.arange(row, stop)
            return
        while row < stop:
            start, end, order = self._windows.get((lane, task), NONE)
            if not start <= row < end:
                start, end, order = self._windows[lane, task] = self._window(lane, task, row)
            upto = min(stop, end)
            yield order[row - start : upto - start]
            row = upto

    def _window(self, lane: int, task: int, row: int) -> Span:
        """The window that holds a row. First windows differ in size from lane to lane, so that lanes do not all come to
        new row groups at once.
        """
        window, lanes = self._windows_of[task], len(self._rows)
        lane_start, lane_end = self._shares[task].starts[lane], self._shares[task].starts[lane + 1]
        first = bisect_right(self._group_starts, lane_start) - 1
        head = first + 1 + (window - 1) * (lane + 1) // lanes
        here = bisect_right(self._group_starts, row) - 1
        number = 0 if here < head else 1 + (here - head) // window
        left, right = (first, head) if number == 0 else (head + (number - 1) * window, head + number * window)
        start = max(self._group_starts[left], lane_start)
        end = min(self._group_starts[min(right, len(self._groups))], lane_end)
        return start, end, start + shuffled(end - start, *self._key, lane, task, number)


class _Share(NamedTuple):
    """How the rows of a task are cut into lanes: the rows of each lane, and where they start, which ends with where
    the last one ends.
    """

    rows: list[int]
    starts: list[int]


def _shares(sizes: Sequence[int], lanes: Sequence[int]) -> list[_Share]:
    """Cuts every task into lanes of given numbers of rows, in proportion.

    Args:
        sizes: rows of each task; their sum is that of `lanes`.
    """
    left, by_lane = list(sizes), []
    for rows in lanes:
        by_lane.append(apportion(left, rows))
        left = [have - taken for have, taken in zip(left, by_lane[-1], strict=True)]
    firsts = [0, *accumulate(sizes)]
    return [
        _Share(list(rows), list(accumulate(rows, initial=first)))
        for first, rows in zip(firsts, zip(*by_lane, strict=True), strict=False)
    ]
