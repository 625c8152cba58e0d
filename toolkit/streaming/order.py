"""The order of an epoch: a pure function of row-group sizes, seed and epoch; any position is found without reading
data.

    row groups of a task, permuted, laid end to end  ->  cut into lanes  ->  rows permuted inside windows of a lane  ->
    tasks interleaved in proportion  ->  lanes take turns, a run of rows each

A lane is what one reader needs: where ranks x workers divide `lanes`, no row group is read by two readers (but those
that a cut goes through). The next row of a lane is drawn from `window` row groups, shared out among the tasks, one at
least for each; `open_groups` says how many are open in all.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import NamedTuple, Protocol

import numpy as np

from toolkit.errors import UsageError

BLOCK = 64  # rows of a lane in which every task has its share
PHASES = 1024  # of which a task has one, so that tasks of few rows do not all come at the same time


class RowGroup(NamedTuple):
    """`number` in shard `shard` (both count from 0) of source `source`, the rows it holds, and their task."""

    source: int
    shard: int
    number: int
    rows: int
    task: str = ""


class Place(NamedTuple):
    """Where a row lies."""

    group: RowGroup
    row: int


MOST = 1 << 20  # lanes, row groups of a window, rows of a run: more take memory without end, and are no setting


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What, next to seed and epoch, shapes an order; it stays the same for a whole training.

    Attributes:
        shuffle: False gives rows in the order of the manifest.
        lanes: parts that are read side by side; best a multiple of ranks x workers.
        window: row groups of a lane whose rows are mixed; each task has its share of them, one at least.
        run: rows taken from a lane before the next has its turn; the batch size, so that a batch needs one lane.
    """

    seed: int = 0
    shuffle: bool = True
    lanes: int = 4
    window: int = 4
    run: int = 1

    def __post_init__(self) -> None:
        for name in ("lanes", "window", "run"):
            if not 1 <= getattr(self, name) <= MOST:
                raise UsageError(f"{name} is {getattr(self, name)!r}; expected a positive number up to {MOST:,}")


class RowSequence(Protocol):
    """Rows in the order in which all ranks together take them."""

    @property
    def num_rows(self) -> int: ...
    def place(self, position: int) -> Place: ...


def row_groups(
    counts: Iterable[Sequence[int]], *, tasks: Iterable[str] = repeat(""), source: int = 0
) -> tuple[RowGroup, ...]:
    """Row groups of shards, given the row counts and the task of each; empty ones are left out."""
    return tuple(
        RowGroup(source, shard, number, rows, task)
        for shard, (groups, task) in enumerate(zip(counts, tasks, strict=False))
        for number, rows in enumerate(groups)
        if rows
    )


def _digest(*key: object) -> bytes:
    return hashlib.blake2b(repr(key).encode()).digest()


def permutation(count: int, *key: object) -> list[int]:
    """0 to count - 1, shuffled by the key; the same on every machine and version (numpy freezes RandomState's stream,
    NEP 19).
    """
    words = np.frombuffer(_digest(*key), np.uint32)
    order: list[int] = np.random.RandomState(words).permutation(count).tolist()
    return order


def apportion(weights: Sequence[int | float], total: int) -> list[int]:
    """Whole numbers in proportion to some weights, with a given sum, by largest remainder."""
    everything = sum(weights) or 1
    counts = [int(weight * total // everything) for weight in weights]
    by_remainder = sorted(range(len(counts)), key=lambda number: -(weights[number] * total % everything))
    for number in by_remainder[: total - sum(counts)]:
        counts[number] += 1
    return counts


def groups_by_task(groups: Sequence[RowGroup]) -> list[tuple[RowGroup, ...]]:
    """Row groups of each task, tasks in the order in which they first occur."""
    tasks = dict.fromkeys(group.task for group in groups)
    return [tuple(group for group in groups if group.task == task) for task in tasks]


def windows(by_task: Sequence[Sequence[RowGroup]], window: int) -> list[int]:
    """Row groups of each task that are open in a lane: its share of the window, one at least."""
    sizes = [sum(group.rows for group in task) for task in by_task]
    return [max(1, round(window * size / max(sum(sizes), 1))) for size in sizes]


def locate(position: int, *, lanes: int, run: int) -> tuple[int, int]:
    """Position -> lane, and how many rows of the lane come before it."""
    turn, inside = divmod(position, run)
    round_, lane = divmod(turn, lanes)
    return lane, round_ * run + inside


def lane_rows(num_rows: int, *, lanes: int, run: int) -> list[int]:
    """Rows of each lane, so that `locate` maps the first `num_rows` positions onto them."""
    rounds, rest = divmod(num_rows, lanes * run)
    return [rounds * run + min(max(rest - lane * run, 0), run) for lane in range(lanes)]


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
            int.from_bytes(_digest(*key, "phase", task)[:2], "little") % PHASES for task in range(len(by_task))
        ]
        self._shares = _shares([sum(group.rows for group in task) for task in by_task], rows)
        self._blocks: dict[int, tuple[int, int, list[int]]] = {}  # lane -> block in use: first row, end, rows
        self._windows: dict[tuple[int, int], tuple[int, int, list[int]]] = {}  # lane, task -> window in use, alike

    def at(self, lane: int, index: int) -> Place:
        """The `index`-th row of a lane."""
        start, end, rows = self._blocks.get(lane, (0, 0, []))
        if not start <= index < end:
            start, end, rows = self._blocks[lane] = self._block(lane, index)
        row = rows[index - start]
        number = bisect_right(self._group_starts, row) - 1
        return Place(self._groups[number], row - self._group_starts[number])

    def _permuted(self, groups: Sequence[RowGroup]) -> list[RowGroup]:
        if not self._layout.shuffle:
            return list(groups)
        return [groups[number] for number in permutation(len(groups), *self._key, groups[0].task)]

    def _block(self, lane: int, index: int) -> tuple[int, int, list[int]]:
        """The block that holds a row of a lane."""
        number = index * self._num_blocks(lane) // self._rows[lane]
        while sum(self._before(lane, number)) > index:
            number -= 1
        while sum(self._before(lane, number + 1)) <= index:
            number += 1
        begin, end = self._before(lane, number), self._before(lane, number + 1)
        rows = [
            row
            for task, (first, last) in enumerate(zip(begin, end, strict=True))
            for row in self._task_rows(lane, task, first, last)
        ]
        if len(begin) > 1:
            rows = [rows[slot] for slot in permutation(len(rows), *self._key, "block", lane, number)]
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

    def _task_rows(self, lane: int, task: int, first: int, last: int) -> Iterator[int]:
        """The rows from the `first`-th to before the `last`-th that a lane has of a task."""
        row, stop = self._shares[task].starts[lane] + first, self._shares[task].starts[lane] + last
        if not self._layout.shuffle:
            yield from range(row, stop)
            return
        while row < stop:
            start, end, order = self._windows.get((lane, task), (0, 0, []))
            if not start <= row < end:
                start, end, order = self._windows[lane, task] = self._window(lane, task, row)
            upto = min(stop, end)
            yield from (start + number for number in order[row - start : upto - start])
            row = upto

    def _window(self, lane: int, task: int, row: int) -> tuple[int, int, list[int]]:
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
        return start, end, permutation(end - start, *self._key, lane, task, number)


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


class Order:
    """Every row once.

    Args:
        groups: all row groups, in the order of the manifest.
        layout: see Layout.
        epoch: another epoch, another order.
    """

    def __init__(self, groups: Sequence[RowGroup], layout: Layout, *, epoch: int = 0) -> None:
        self._lanes = layout.lanes if layout.shuffle else 1
        self._run = layout.run
        self.num_rows = sum(group.rows for group in groups)
        rows = lane_rows(self.num_rows, lanes=self._lanes, run=self._run)
        self._pass = LaneOrder(groups, key=(layout.seed, epoch), rows=rows, layout=layout)

    def place(self, position: int) -> Place:
        lane, index = locate(position, lanes=self._lanes, run=self._run)
        return self._pass.at(lane, index)


def open_groups(groups: Sequence[RowGroup], layout: Layout) -> int:
    """Row groups that are open in all lanes together, at most."""
    if not layout.shuffle:
        return 1
    by_task = groups_by_task(groups)
    each = zip(by_task, windows(by_task, layout.window), strict=True)
    return sum(min(len(task), window * layout.lanes) for task, window in each)


def shuffle_rows(groups: Sequence[RowGroup], layout: Layout) -> tuple[int, int]:
    """Shuffle quality in rows, on average: from how many the next row of a batch is drawn, and how many are within
    reach of all lanes together.
    """
    if not layout.shuffle or not groups:
        return 1, 1
    by_task = groups_by_task(groups)
    sizes = [sum(group.rows for group in task) for task in by_task]
    each = list(zip(sizes, map(len, by_task), windows(by_task, layout.window), strict=True))

    def reach(lanes: int) -> int:
        return round(sum(min(size / groups * window * lanes, size) for size, groups, window in each))

    return reach(1), reach(layout.lanes)
