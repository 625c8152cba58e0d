"""Several sources drawn by weight: a pure function of their row-group sizes, seed and epoch, like `order`.

Each lane repeats blocks of BLOCK draws. A block holds every source as often as its weight says and is shuffled on its
own, so realised proportions are exact after each block, and how often a source was drawn before any position is
arithmetic, not a count kept while reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.streaming.groups import Layout, Numbering, Place, RowGroup, apportion, lane_rows, locate, permutation
from toolkit.streaming.lanes import LaneOrder

Stop = Literal["first_exhausted", "all_exhausted"]
BLOCK = 1000


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of a mixture.

    Attributes:
        path: a packed dataset: folder, `org/name` or hf:// URL.
        name: a config of it: "all", a family or a task.
        weight: relative to the other components; kept to one part in BLOCK.
    """

    path: str
    name: str = "all"
    weight: float = 1.0


class Mixture:
    """Rows of several sources by weight; what is used up begins again, in another order.

    Args:
        groups: row groups of each source.
        weights: of each source, positive.
        stop: "first_exhausted": before any source would repeat a row; "all_exhausted": when every row was drawn at
            least once; or a number of rows.

    Raises:
        UsageError: a weight that is not positive or under one part in BLOCK, an unknown rule, a source without rows.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[RowGroup]],
        weights: Sequence[float],
        layout: Layout,
        *,
        stop: Stop | int,
        epoch: int = 0,
    ) -> None:
        sizes = [sum(group.rows for group in each) for each in groups]
        if not sizes or min(sizes) < 1:
            raise UsageError(f"sources hold {sizes} rows; expected at least one row in each; check names and paths")
        self._groups, self._layout, self._epoch = groups, layout, epoch
        self.lanes = min(layout.lanes, *sizes) if layout.shuffle else 1
        self._sizes = [lane_rows(size, lanes=self.lanes, run=1) for size in sizes]  # source -> lane -> rows
        self._quotas = quotas(weights)
        self._block = lru_cache(maxsize=2 * self.lanes)(self._make_block)
        self._pass = lru_cache(maxsize=4 * len(sizes))(self._make_pass)
        self.num_rows = self._num_rows(stop)

    def place(self, position: int) -> Place:
        lane, index = locate(position, lanes=self.lanes, run=self._layout.run)
        number, inside = divmod(index, BLOCK)
        source, before = self._block(lane, number)[inside]
        pass_, row = divmod(number * self._quotas[source] + before, self._sizes[source][lane])
        return self._pass(source, pass_).at(lane, row)

    def numbers(self, lane: int, numbering: Numbering) -> NDArray[np.int64]:
        """Numbers of all rows that a lane draws, in order."""
        run = self._layout.run
        rows = lane_rows(self.num_rows, lanes=self.lanes, run=run)[lane]
        first = ((index // run * self.lanes + lane) * run + index % run for index in range(rows))
        return np.fromiter((numbering.number(self.place(position)) for position in first), np.int64, rows)

    def drawn(self, num_rows: int | None = None) -> list[int]:
        """How often each source is drawn in the first N rows; default: in all of them."""
        total = self.num_rows if num_rows is None else num_rows
        counts = [0] * len(self._quotas)
        for lane, index in enumerate(lane_rows(total, lanes=self.lanes, run=self._layout.run)):
            number, inside = divmod(index, BLOCK)
            for source, quota in enumerate(self._quotas):
                counts[source] += number * quota
            for source, _ in self._block(lane, number)[:inside]:
                counts[source] += 1
        return counts

    def report(self, num_rows: int | None = None) -> list[dict[str, Any]]:
        """Per source: rows it holds, rows drawn, share wanted and realised, and passes over it."""
        drawn = self.drawn(num_rows)
        sizes = [sum(lanes) for lanes in self._sizes]
        return [
            {
                "rows": size,
                "drawn": count,
                "wanted": quota / BLOCK,
                "realised": count / max(sum(drawn), 1),
                "passes": count / size,
            }
            for size, count, quota in zip(sizes, drawn, self._quotas, strict=True)
        ]

    def _make_block(self, lane: int, number: int) -> list[tuple[int, int]]:
        """The draws of a block: source, and how often it was drawn before in this block."""
        sources = [source for source, quota in enumerate(self._quotas) for _ in range(quota)]
        counts = [0] * len(self._quotas)
        draws = []
        for slot in permutation(BLOCK, self._layout.seed, self._epoch, "block", lane, number):
            source = sources[slot]
            draws.append((source, counts[source]))
            counts[source] += 1
        return draws

    def _make_pass(self, source: int, number: int) -> LaneOrder:
        key = (self._layout.seed, self._epoch, "source", source, number)
        return LaneOrder(self._groups[source], key=key, rows=self._sizes[source], layout=self._layout)

    def _num_rows(self, stop: Stop | int) -> int:
        if isinstance(stop, int) and not isinstance(stop, bool) and stop > 0:
            return stop
        if stop not in get_args(Stop):
            raise UsageError(f"stop is {stop!r}; expected a number of rows, {' or '.join(map(repr, get_args(Stop)))}")
        run, lanes = self._layout.run, range(self.lanes)
        ends = [
            [self._end(lane, source, repeats=stop == "first_exhausted") for source in range(len(self._quotas))]
            for lane in lanes
        ]
        if stop == "first_exhausted":
            return self.lanes * run * (min(map(min, ends)) // run)
        return self.lanes * run * -(-max(map(max, ends)) // run)

    def _end(self, lane: int, source: int, *, repeats: bool) -> int:
        """Rows of a lane before it draws the first row of a source a second time, or up to the last of its rows."""
        wanted = self._sizes[source][lane] if repeats else self._sizes[source][lane] - 1
        number, before = divmod(wanted, self._quotas[source])
        inside = next(slot for slot, draw in enumerate(self._block(lane, number)) if draw == (source, before))
        return number * BLOCK + inside + (0 if repeats else 1)


def quotas(weights: Sequence[float]) -> list[int]:
    """Draws of each source in a block: its share of BLOCK, by largest remainder.

    Raises:
        UsageError: a weight is not positive, or too small to be drawn at all.
    """
    if not all(0 < weight < float("inf") for weight in weights):
        raise UsageError(f"weights are {list(weights)}; expected positive numbers")
    counts = apportion(weights, BLOCK)
    if min(counts) < 1:
        raise UsageError(
            f"weights are {list(weights)}; the least is under one part in {BLOCK}; give it more, or leave it out"
        )
    return counts
