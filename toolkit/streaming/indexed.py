"""A packed dataset by row number, and a sampler of the same order as StreamingDataset's.

dataset = RowDataset("folder-or-org/name", "image_editing", image_size=256)
sampler = dataset.sampler(batch_size=8)
loader = DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=2)
for epoch in range(3):
    sampler.set_epoch(epoch)
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch.utils.data import Dataset, Sampler

from toolkit.errors import UsageError
from toolkit.images import DecodePolicy
from toolkit.streaming.cursor import running_ranks
from toolkit.streaming.decode import DecodeMode, Fit, ImageType, RowDecoder
from toolkit.streaming.groups import Layout, Numbering
from toolkit.streaming.order import Order, open_groups
from toolkit.streaming.process import settle
from toolkit.streaming.reading import Encoded, RowGroups, check_columns, open_packed, with_bytes
from toolkit.streaming.selection import Selection, Split, Where
from toolkit.streaming.share import Share, Tail


class RowDataset(Dataset[dict[str, Any]]):
    """Rows of a packed dataset by number, in the order of the manifest.

    Reading a row reads its row group, and each process keeps the last `held` of them: read in the order of `sampler`,
    or in sequence.

    Args:
        path, name, decode, image_size, fit, image_type, columns, policy, verify: as of StreamingDataset.
        where, holdout, holdout_seed, split: likewise.
        held: row groups kept; default: as many as a sampler of `sampler()` has open.

    Attributes:
        left_out: reason -> rows that are not read.

    Raises:
        UsageError: the dataset is not packed, or the policy is "skip", for every number needs a row. SourceError: it
            cannot be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        name: str = "all",
        *,
        decode: DecodeMode | None = "exact",
        image_size: int | tuple[int, int] | None = None,
        fit: Fit = "crop",
        image_type: ImageType | None = None,
        columns: Sequence[str] | None = None,
        held: int | None = None,
        policy: DecodePolicy | None = None,
        verify: bool = False,
        where: Where | None = None,
        holdout: float = 0.0,
        holdout_seed: int = 0,
        split: Split = "train",
        revision: str | None = None,
        token: str | bool | None = None,
    ) -> None:
        chosen = check_columns(columns)
        self._decoder = RowDecoder.make(
            decode, image_size, fit=fit, image_type=image_type, policy=policy, columns=chosen
        )
        if self._decoder and self._decoder.skips:
            raise UsageError('on_bad="skip" leaves numbers without rows; use on_bad="placeholder", or StreamingDataset')
        selection = Selection(where=where, holdout=holdout, holdout_seed=holdout_seed, split=split)
        how: Any = {"split": selection.stored_split, "revision": revision, "token": token, "verify": verify}
        source = selection.of(open_packed(path, name, **how))
        self.left_out = dict(source.left_out)
        self._rows = Numbering(source.row_groups())
        self._reader = RowGroups([source], chosen)
        self._held = open_groups(self._rows.groups, Layout()) if held is None else held
        self._prepare()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        if not -len(self) <= number < len(self):
            raise IndexError(f"row {number}; the dataset has {len(self):,}")
        number %= len(self)
        place = self._rows.place(number)
        row: Encoded = with_bytes(self._read(place.group)[place.row])
        # Never None: a policy that skips is refused.
        return self._decoder.decode(row, lambda: self._reader.where(place)) or {} if self._decoder else dict(row)

    def sampler(
        self,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        batch_size: int = 1,
        tail: Tail = "drop",
        lanes: int = 4,
        window: int = 4,
    ) -> "OrderSampler":
        """Row numbers in the order in which StreamingDataset with the same arguments gives the rows."""
        if rank is None or world_size is None:
            rank, world_size = running_ranks()
        layout = Layout(seed=seed, shuffle=shuffle, lanes=lanes, window=window, run=batch_size)
        share = Share(num_rows=len(self), rank=rank, world_size=world_size, batch_size=batch_size, tail=tail)
        return OrderSampler(self._rows, layout, share)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_read"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _prepare(self) -> None:
        """What a process has of its own."""
        self._read = lru_cache(maxsize=self._held)(self._reader.read)
        settle()


class OrderSampler(Sampler[int]):
    """Row numbers of one rank, in seeded order.

    Args:
        rows: all row groups, in the order of the manifest.
    """

    def __init__(self, rows: Numbering, layout: Layout, share: Share) -> None:
        self._rows, self._layout, self._whole = rows, layout, share
        self._epoch, self._share = 0, share

    def set_epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch, self._share = epoch, self._whole

    def resume(self, *, epoch: int, batches: int) -> None:
        """Go on in an epoch, after so many batches of each rank; the next epoch is whole again."""
        self._epoch = epoch
        self._share = replace(
            self._whole, start=min(batches * self._whole.batch_size * self._whole.world_size, self._whole.num_rows)
        )

    def __iter__(self) -> Iterator[int]:
        share, self._share = self._share, self._whole
        order = Order(self._rows.groups, self._layout, epoch=self._epoch)
        for position in share.positions():
            yield self._rows.number(order.place(position))

    def __len__(self) -> int:
        return self._share.rank_rows
