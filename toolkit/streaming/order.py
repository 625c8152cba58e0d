"""The order of an epoch: a pure function of row-group sizes, seed and epoch; any position is found without reading
data.

    row groups, permuted, laid end to end  ->  cut into lanes  ->  rows permuted inside windows of a lane  ->  lanes
    take turns, a run of rows each

A lane is what one reader needs: where ranks x workers divide `lanes`, no row group is read by two readers (but those
that a cut goes through). The next row of a lane is drawn from `window` row groups, so a batch is as mixed as that many
row groups; `lanes * window` row groups are open in all.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np

from toolkit.errors import UsageError


class RowGroup(NamedTuple):
    """`number` in shard `shard` (both count from 0) of source `source`, and the rows it holds."""

    source: int
    shard: int
    number: int
    rows: int


class Place(NamedTuple):
    """Where a row lies."""

    group: RowGroup
    row: int


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What, next to seed and epoch, shapes an order; it stays the same for a whole training.

    Attributes:
        shuffle: False gives rows in the order of the manifest.
        lanes: parts that are read side by side; best a multiple of ranks x workers.
        window: row groups of a lane whose rows are mixed.
        run: rows taken from a lane before the next has its turn; the batch size, so that a batch needs one lane.
    """

    seed: int = 0
    shuffle: bool = True
    lanes: int = 4
    window: int = 4
    run: int = 1

    def __post_init__(self) -> None:
        for name in ("lanes", "window", "run"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)!r}; expected a positive number")


class RowSequence(Protocol):
    """Rows in the order in which all ranks together take them."""

    @property
    def num_rows(self) -> int: ...
    def place(self, position: int) -> Place: ...


def row_groups(counts: Iterable[Sequence[int]], *, source: int = 0) -> tuple[RowGroup, ...]:
    """Row groups of shards, given the row counts of each; empty ones are left out."""
    return tuple(
        RowGroup(source, shard, number, rows)
        for shard, groups in enumerate(counts)
        for number, rows in enumerate(groups)
        if rows
    )


def permutation(count: int, *key: object) -> list[int]:
    """0 to count - 1, shuffled by the key; the same on every machine and version (numpy freezes RandomState's stream,
    NEP 19).
    """
    words = np.frombuffer(hashlib.blake2b(repr(key).encode()).digest(), np.uint32)
    order: list[int] = np.random.RandomState(words).permutation(count).tolist()
    return order


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

    Args:
        key: what the shuffle depends on: seed, epoch and the like.
        rows: of each lane; their sum is the number of all rows.
    """

    def __init__(
        self, groups: Sequence[RowGroup], *, key: tuple[object, ...], rows: Sequence[int], layout: Layout
    ) -> None:
        self._key, self._layout = key, layout
        self._groups = [groups[number] for number in permutation(len(groups), *key)] if layout.shuffle else list(groups)
        self._group_starts = [0, *accumulate(group.rows for group in self._groups)]
        self._lane_starts = [0, *accumulate(rows)]
        self._windows: dict[int, tuple[int, int, list[int]]] = {}  # lane -> window in use: first row, end, permutation

    def at(self, lane: int, index: int) -> Place:
        """The `index`-th row of a lane."""
        row = self._lane_starts[lane] + index
        if self._layout.shuffle:
            start, end, order = self._windows.get(lane, (0, 0, []))
            if not start <= row < end:
                start, end, order = self._windows[lane] = self._window(lane, row)
            row = start + order[row - start]
        number = bisect_right(self._group_starts, row) - 1
        return Place(self._groups[number], row - self._group_starts[number])

    def _window(self, lane: int, row: int) -> tuple[int, int, list[int]]:
        """The window that holds a row. First windows differ in size from lane to lane, so that lanes do not all come to
        new row groups at once.
        """
        window, lanes = self._layout.window, self._layout.lanes
        first = bisect_right(self._group_starts, self._lane_starts[lane]) - 1
        head = first + 1 + (window - 1) * (lane + 1) // lanes
        here = bisect_right(self._group_starts, row) - 1
        number = 0 if here < head else 1 + (here - head) // window
        left, right = (first, head) if number == 0 else (head + (number - 1) * window, head + number * window)
        start = max(self._group_starts[left], self._lane_starts[lane])
        end = min(self._group_starts[min(right, len(self._groups))], self._lane_starts[lane + 1])
        return start, end, permutation(end - start, *self._key, lane, number)


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


def shuffle_rows(groups: Sequence[RowGroup], layout: Layout) -> tuple[int, int]:
    """Shuffle quality in rows, on average: from how many the next row of a batch is drawn, and how many are within
    reach of all lanes together.
    """
    if not layout.shuffle or not groups:
        return 1, 1
    mean = sum(group.rows for group in groups) / len(groups)
    total = sum(group.rows for group in groups)
    return min(round(mean * layout.window), total), min(round(mean * layout.window * layout.lanes), total)
