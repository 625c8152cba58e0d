"""An order cut into batches of a bounded number of tokens: a pure function of the order, the lengths and the bound.

    rows of a lane  ->  pools of some POOL batches  ->  rows of like length side by side, or packed  ->  batches of a
    pool in seeded order  ->  lanes take turns, a batch each

A batch is an item like a row: ranks and workers take whole ones in turn, and a position among them says where to
resume.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.streaming.groups import Layout, Numbering, Place, permutation
from toolkit.streaming.order import RowSequence

POOL = 32  # batches among whose rows those of like length are found; more is less padding, and more open row groups

Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a batch may hold.

    Attributes:
        max_tokens: rows of a batch times its longest row, as padding makes them; with `packing` the sum of its rows.
        packing: rows of a batch make one sequence.
    """

    max_tokens: int
    packing: bool = False


def make_budget(max_tokens: int | None, *, packing: bool, batch_size: int) -> Budget | None:
    """From the arguments of a dataset; raises UsageError where they do not go together."""
    if max_tokens is None:
        if packing:
            raise UsageError("packing=True needs max_tokens=, how long a sequence may become")
        return None
    if batch_size != 1:
        raise UsageError(
            f"max_tokens={max_tokens} and batch_size={batch_size}: how many rows a batch has follows from their "
            "lengths; leave batch_size out, and give the loader batch_size=None"
        )
    return Budget(max_tokens=max_tokens, packing=packing)


class PackedRows(list[dict[str, Any]]):
    """Rows that a collator puts into one sequence, each of which attends to itself alone."""


class Items(Protocol):
    """What ranks and workers share out: rows, or batches of them."""

    @property
    def num_items(self) -> int: ...
    def places(self, position: int) -> Sequence[Place]: ...


class Rows:
    """Each row of an order is an item."""

    def __init__(self, order: RowSequence) -> None:
        self._order, self.num_items = order, order.num_rows

    def places(self, position: int) -> Sequence[Place]:
        return (self._order.place(position),)


class TokenBatches:
    """Batches within a budget.

    Args:
        num_tokens: of every row by number, none over the budget.
        epoch: another epoch, another order of the batches of a pool.
    """

    def __init__(
        self,
        order: RowSequence,
        rows: Numbering,
        num_tokens: Numbers,
        budget: Budget,
        *,
        layout: Layout,
        epoch: int,
    ) -> None:
        self._rows, self._num_tokens = rows, num_tokens
        self._max_tokens, self._cut = budget.max_tokens, _packed if budget.packing else _alike
        self._key = (layout.seed, epoch, "pool") if layout.shuffle else None
        self._pool_rows = pool_rows(num_tokens, budget.max_tokens)
        batches = _in_turn([list(self._lane(order, lane)) for lane in range(order.lanes)])
        self._starts = [0, *accumulate(map(len, batches))]
        self._numbers = np.concatenate([np.empty(0, np.int64), *batches])

    @property
    def num_items(self) -> int:
        return len(self._starts) - 1

    def places(self, position: int) -> Sequence[Place]:
        numbers = self._numbers[self._starts[position] : self._starts[position + 1]]
        return [self._rows.place(number) for number in numbers.tolist()]

    def _lane(self, order: RowSequence, lane: int) -> Iterator[Numbers]:
        """The batches of a lane."""
        rows = order.numbers(lane, self._rows)
        for pool, first in enumerate(range(0, len(rows), self._pool_rows)):
            numbers = rows[first : first + self._pool_rows]
            batches = self._cut(self._num_tokens[numbers], self._max_tokens)
            turn = permutation(len(batches), *self._key, lane, pool) if self._key else range(len(batches))
            yield from (numbers[batches[number]] for number in turn)


def pool_rows(num_tokens: Numbers, max_tokens: int) -> int:
    """Rows of about POOL batches."""
    return max(1, POOL * max_tokens // max(1, int(num_tokens.mean())))


def _alike(lengths: Numbers, max_tokens: int) -> list[Numbers]:
    """Rows from the longest to the shortest, cut where the next one would be over the bound once padded."""
    order, batches, start = np.argsort(-lengths, kind="stable"), [], 0
    while start < len(order):
        rows = max_tokens // int(lengths[order[start]])
        batches.append(np.sort(order[start : start + rows]))
        start += rows
    return batches


def _packed(lengths: Numbers, max_tokens: int) -> list[Numbers]:
    """Best fit, longest first: each row goes where it leaves the least room, or into a new batch.

    Source: arXiv 2404.10830, "Fewer Truncations Improve Language Modeling", section 3.
    """
    batches: list[list[int]] = []
    room: list[tuple[int, int]] = []  # left in each batch, ascending, and its number
    for row in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[row])
        at = bisect_left(room, (length, -1))
        left, number = room.pop(at) if at < len(room) else (max_tokens, len(batches))
        if number == len(batches):
            batches.append([])
        batches[number].append(row)
        insort(room, (left - length, number))
    return [np.sort(np.array(batch)) for batch in batches]


def _in_turn(lanes: Sequence[Sequence[Numbers]]) -> list[Numbers]:
    """A batch of each lane in turn; lanes that are at their end are passed over."""
    return [lane[turn] for turn in range(max(map(len, lanes))) for lane in lanes if turn < len(lane)]
