"""What an order is made of: row groups and their rows, the layout that shapes it, seeded permutations."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError


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
        for name, value in (("lanes", self.lanes), ("window", self.window), ("batch_size", self.run)):
            if not 1 <= value <= MOST:
                raise UsageError(f"{name} is {value!r}; expected a positive number up to {MOST:,}")


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


def digest(*key: object) -> bytes:
    """64 bytes that depend on the key alone."""
    return hashlib.blake2b(repr(key).encode()).digest()


def shuffled(count: int, *key: object) -> NDArray[np.int64]:
    """0 to count - 1, shuffled by the key; the same on every machine and version (numpy freezes RandomState's stream,
    NEP 19).
    """
    return np.random.RandomState(np.frombuffer(digest(*key), np.uint32)).permutation(count)


def permutation(count: int, *key: object) -> list[int]:
    """As `shuffled`, as a list."""
    order: list[int] = shuffled(count, *key).tolist()
    return order


class Numbering:
    """Rows of row groups by number, in the order of the manifest."""

    def __init__(self, groups: Sequence[RowGroup]) -> None:
        self.groups = tuple(groups)
        self._starts = [0, *accumulate(group.rows for group in groups)]
        self.first = dict(zip(self.groups, self._starts, strict=False))  # row group -> number of its first row

    def __len__(self) -> int:
        return self._starts[-1]

    def place(self, number: int) -> Place:
        index = bisect_right(self._starts, number) - 1
        return Place(self.groups[index], number - self._starts[index])

    def number(self, place: Place) -> int:
        return self.first[place.group] + place.row


def groups_by_task(groups: Sequence[RowGroup]) -> list[tuple[RowGroup, ...]]:
    """Row groups of each task, tasks in the order in which they first occur."""
    tasks = dict.fromkeys(group.task for group in groups)
    return [tuple(group for group in groups if group.task == task) for task in tasks]


def locate(position: int, *, lanes: int, run: int) -> tuple[int, int]:
    """Position -> lane, and how many rows of the lane come before it."""
    turn, inside = divmod(position, run)
    round_, lane = divmod(turn, lanes)
    return lane, round_ * run + inside


def lane_rows(num_rows: int, *, lanes: int, run: int) -> list[int]:
    """Rows of each lane, so that `locate` maps the first `num_rows` positions onto them."""
    rounds, rest = divmod(num_rows, lanes * run)
    return [rounds * run + min(max(rest - lane * run, 0), run) for lane in range(lanes)]


def apportion(weights: Sequence[int | float], total: int) -> list[int]:
    """Whole numbers in proportion to some weights, with a given sum, by largest remainder."""
    everything = sum(weights) or 1
    counts = [int(weight * total // everything) for weight in weights]
    by_remainder = sorted(range(len(counts)), key=lambda number: -(weights[number] * total % everything))
    for number in by_remainder[: total - sum(counts)]:
        counts[number] += 1
    return counts
