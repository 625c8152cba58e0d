"""The order of an epoch: a pure function of row-group sizes, seed and epoch; any position is found without reading
data.

    row groups of a task, permuted, laid end to end  ->  cut into lanes  ->  rows permuted inside windows of a lane  ->
    tasks interleaved in proportion  ->  lanes take turns, a run of rows each

A lane is what one reader needs: where ranks x workers divide `lanes`, no row group is read by two readers (but those
that a cut goes through). The next row of a lane is drawn from `window` row groups, shared out among the tasks, one at
least for each; `open_groups` says how many are open in all.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.streaming.groups import Layout, Numbering, Place, RowGroup, groups_by_task, lane_rows, locate
from toolkit.streaming.lanes import LaneOrder, windows


class RowSequence(Protocol):
    """Rows in the order in which all ranks together take them."""

    @property
    def num_rows(self) -> int: ...
    @property
    def lanes(self) -> int: ...
    def place(self, position: int) -> Place: ...
    def numbers(self, lane: int, numbering: Numbering) -> NDArray[np.int64]:
        """Numbers of all rows of a lane, in order."""
        ...


class Order:
    """Every row once.

    Args:
        groups: all row groups, in the order of the manifest.
        layout: see Layout.
        epoch: another epoch, another order.
    """

    def __init__(self, groups: Sequence[RowGroup], layout: Layout, *, epoch: int = 0) -> None:
        self.lanes = layout.lanes if layout.shuffle else 1
        self._run = layout.run
        self.num_rows = sum(group.rows for group in groups)
        rows = lane_rows(self.num_rows, lanes=self.lanes, run=self._run)
        self._pass = LaneOrder(groups, key=(layout.seed, epoch), rows=rows, layout=layout)

    def place(self, position: int) -> Place:
        lane, index = locate(position, lanes=self.lanes, run=self._run)
        return self._pass.at(lane, index)

    def numbers(self, lane: int, numbering: Numbering) -> NDArray[np.int64]:
        return self._pass.numbers(lane, numbering)


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
