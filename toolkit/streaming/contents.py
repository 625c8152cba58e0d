"""What a StreamingDataset reads: one packed dataset or a mixture, the rows selected from it, and their order."""

import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from toolkit.streaming.groups import Layout, RowGroup
from toolkit.streaming.mixture import Component, Mixture, Stop
from toolkit.streaming.order import Order, RowSequence, open_groups
from toolkit.streaming.reading import Packed, open_packed
from toolkit.streaming.selection import Selection


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Attributes:
    components: of a mixture; without one, a single component whose weight says nothing.
    stop: when a mixture ends; None where there is none.
    sources: opened, one for each component, with the rows that are selected.
    """

    components: tuple[Component, ...]
    stop: Stop | int | None
    sources: tuple[Packed, ...]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | Sequence[Component],
        name: str,
        selection: Selection,
        *,
        stop: Stop | int,
        revision: str | None,
        token: str | bool | None,
    ) -> "Contents":
        """Raises: what `open_packed` and `Selection.of` do."""
        is_single = isinstance(path, (str, os.PathLike))
        parts = (Component(path=os.fspath(path), name=name),) if isinstance(path, (str, os.PathLike)) else tuple(path)
        opened = (open_packed(part.path, part.name, revision=revision, token=token) for part in parts)
        return cls(
            components=parts, stop=None if is_single else stop, sources=tuple(selection.of(source) for source in opened)
        )

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
        return zlib.crc32(repr([self.groups, rows, weights, self.stop]).encode())

    @property
    def left_out(self) -> dict[str, int]:
        """Reason -> rows that are not read."""
        return dict(sum((Counter(source.left_out) for source in self.sources), Counter()))

    def order(self, layout: Layout, epoch: int) -> RowSequence:
        if self.stop is None:
            return Order(self.groups[0], layout, epoch=epoch)
        weights = [part.weight for part in self.components]
        return Mixture(self.groups, weights, layout, stop=self.stop, epoch=epoch)

    def open_groups(self, layout: Layout) -> int:
        """Row groups that are open at a time, at most."""
        return sum(open_groups(groups, layout) for groups in self.groups)
