"""What a StreamingDataset reads: one packed dataset or a mixture, the rows selected from it, and their order."""

import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.streaming.groups import Layout, Numbering, RowGroup
from toolkit.streaming.mixture import Component, Mixture, Stop
from toolkit.streaming.order import Order, RowSequence, open_groups
from toolkit.streaming.reading import Packed, open_packed
from toolkit.streaming.selection import Selection
from toolkit.streaming.token_batches import Budget, Items, Rows, TokenBatches, pool_rows


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Attributes:
    components: of a mixture; without one, a single component whose weight says nothing.
    stop: when a mixture ends; None where there is none.
    sources: opened, one for each component, with the rows that are selected.
    budget: of a batch; None where items are rows.
    """

    components: tuple[Component, ...]
    stop: Stop | int | None
    sources: tuple[Packed, ...]
    budget: Budget | None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | Sequence[Component],
        name: str,
        selection: Selection,
        *,
        budget: Budget | None,
        stop: Stop | int,
        revision: str | None,
        token: str | bool | None,
        verify: bool,
    ) -> "Contents":
        """Raises: what `open_packed` and `Selection.of` do."""
        is_single = isinstance(path, (str, os.PathLike))
        parts = (Component(path=os.fspath(path), name=name),) if isinstance(path, (str, os.PathLike)) else tuple(path)
        how: Any = {"split": selection.stored_split, "revision": revision, "token": token, "verify": verify}
        opened = (open_packed(part.path, part.name, **how) for part in parts)
        sources = tuple(selection.of(source) for source in opened)
        return cls(components=parts, stop=None if is_single else stop, sources=sources, budget=budget)

    @cached_property
    def groups(self) -> tuple[tuple[RowGroup, ...], ...]:
        """Row groups of each source."""
        return tuple(source.row_groups(number) for number, source in enumerate(self.sources))

    @property
    def all_groups(self) -> list[RowGroup]:
        return [group for groups in self.groups for group in groups]

    @cached_property
    def checksum(self) -> int:
        """Of what a state must fit."""
        weights = [] if self.stop is None else [part.weight for part in self.components]
        rows = [source.checksum for source in self.sources]
        return zlib.crc32(repr([self.groups, rows, weights, self.stop, self.budget]).encode())

    @property
    def left_out(self) -> dict[str, int]:
        """Reason -> rows that are not read."""
        return dict(sum((Counter(source.left_out) for source in self.sources), Counter()))

    def order(self, layout: Layout, epoch: int) -> RowSequence:
        return self._made(layout, epoch)[0]

    def items(self, layout: Layout, epoch: int) -> Items:
        """Rows or batches of the order, as ranks and workers share them out."""
        return self._made(layout, epoch)[1]

    def _made(self, layout: Layout, epoch: int) -> tuple[RowSequence, Items]:
        key = (layout, epoch)
        if key not in self._last:
            self._last.clear()
            order = self._make_order(layout, epoch)
            self._last[key] = (order, self._make_items(order, layout, epoch))
        return self._last[key]

    def _make_order(self, layout: Layout, epoch: int) -> RowSequence:
        if self.stop is None:
            return Order(self.groups[0], layout, epoch=epoch)
        weights = [part.weight for part in self.components]
        return Mixture(self.groups, weights, layout, stop=self.stop, epoch=epoch)

    def _make_items(self, order: RowSequence, layout: Layout, epoch: int) -> Items:
        if self.budget is None:
            return Rows(order)
        rows = Numbering(self.all_groups)
        return TokenBatches(order, rows, self._num_tokens, self.budget, layout=layout, epoch=epoch)

    @cached_property
    def _last(self) -> dict[tuple[Layout, int], tuple[RowSequence, Items]]:
        """The order that was made last."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_last"}

    def report(self, layout: Layout, epoch: int, num_rows: int | None) -> list[dict[str, Any]]:
        """Components of a mixture with their proportions; see `Mixture.report`."""
        order = self.order(layout, epoch)
        if not isinstance(order, Mixture):
            raise UsageError("proportions are those of a mixture; pass Components to StreamingDataset")
        lines = zip(self.components, order.report(num_rows), strict=True)
        return [{**asdict(part), **line} for part, line in lines]

    def open_groups(self, layout: Layout) -> int:
        """Row groups that are open at a time, at most; those of two pools where batches are made of pools."""
        groups = sum(open_groups(groups, layout) for groups in self.groups)
        if self.budget is None:
            return groups
        mean = len(self._num_tokens) / max(len(self.all_groups), 1)
        return 2 * groups + layout.lanes * round(pool_rows(self._num_tokens, self.budget.max_tokens) / mean)

    @cached_property
    def _num_tokens(self) -> NDArray[np.int64]:
        """Of every row, by its number."""
        lengths = [self.sources[group.source].num_tokens[group.shard, group.number] for group in self.all_groups]
        return np.concatenate([np.empty(0, np.int64), *lengths])
