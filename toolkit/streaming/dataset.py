"""A packed dataset as a torch IterableDataset: seeded order, decoded pictures, exact resume."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, fields, replace
from itertools import repeat
from typing import Any

from torch.utils.data import IterableDataset

from toolkit.errors import UsageError
from toolkit.streaming.accelerate import processes
from toolkit.streaming.arguments import ARGUMENTS, StreamingArguments
from toolkit.streaming.contents import Contents
from toolkit.streaming.counts import SharedCounts
from toolkit.streaming.cursor import SKIPPED, Cursor, chosen_ranks, this_worker
from toolkit.streaming.decode import RowDecoder
from toolkit.streaming.groups import Layout
from toolkit.streaming.guidance import make_dropout, without_prompt
from toolkit.streaming.order import shuffle_rows
from toolkit.streaming.process import settle
from toolkit.streaming.reading import RowGroups, check_columns
from toolkit.streaming.rows import read_items
from toolkit.streaming.selection import Selection
from toolkit.streaming.share import Progress, Share, check_data, check_epoch, find_progress, warn_of_shared_lanes
from toolkit.streaming.token_batches import Items, PackedRows, make_budget


class StreamingDataset(StreamingArguments, IterableDataset[dict[str, Any]]):
    """Rows of a packed dataset as dicts, in an order that seed and epoch fix.

    Call `set_epoch` before each epoch, as with DistributedSampler, or every epoch has the same order. A state can be
    taken after any batch: from a StatefulDataLoader around this dataset, or here; here, with worker processes, tell it
    how many batches the loop has got. Any such state goes into `load_state_dict` of a dataset whose loader has other
    numbers of workers, ranks or rows in a batch, before that loader is iterated.

    Args:
        path: a folder, `org/name` or `hf://datasets/org/name[@revision][/folder]` in the packed layout; or Components,
            for a mixture by weight.
        name: a config: "all", a family or a task. A mixture's components have names of their own.
        seed, shuffle, lanes, window: shape the order; see `order.Layout`.
        decode: "exact", "fused", "scaled" (see `decode`), or None, which leaves pictures as {"bytes", "path"}.
        image_size: pixels, or height and width; None leaves every picture its own.
        fit, image_type: see `decode.Target`. columns: those to read; default: all.
        rank, world_size: default: those of torch.distributed where it runs, also under Accelerate and the Trainer of
            transformers; else 0 of 1.
        batch_size: of the loader. With it the batches of an epoch are the same for any number of workers, and a state
            fits any; without it each worker makes batches of its own rows.
        tail: how ranks are kept even: "drop" at most world_size - 1 rows of an epoch, or "pad" with as many of its
            first ones; `odd_rows` counts them.
        stop: when a mixture ends; see `mixture.Mixture`.
        threads: that decode inside each worker. ahead: rows whose row groups are read before they are needed.
        policy: for bad pictures; "skip" leaves the row out, for a single rank only.
        verify: compare each page with its checksum before anything of it is used.
        prompt_dropout: share of the rows with an image in an answer that lose their prompt, others in each epoch, for
            models that draw with classifier-free guidance.
        max_tokens: of a batch, padding included. Items are then batches, lists of rows of like length, not rows, and
            the loader is `DataLoader(dataset, batch_size=None, collate_fn=collate)`. Needs lengths.
        packing: a batch is one sequence of several rows, each of which attends to itself alone.
        where, lengths, holdout, holdout_seed, split: which rows are read, decided when the dataset is opened, so that
            batches are full and ranks even; `left_out` counts. See `selection.Selection`.

    Raises:
        UsageError: the dataset is not packed, or an argument is wrong. SourceError: it cannot be read. While iterating
            also ImageError and ShardError.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._columns = check_columns(self.columns)
        self._decoder = RowDecoder.make(
            self.decode,
            self.image_size,
            fit=self.fit,
            image_type=self.image_type,
            policy=self.policy,
            columns=self._columns,
        )
        self._prompts = make_dropout(self.prompt_dropout, self.seed, self._columns)
        self._counts = SharedCounts()
        self._layout = Layout(
            seed=self.seed, shuffle=self.shuffle, lanes=self.lanes, window=self.window, run=self.batch_size
        )
        selection = Selection(**{each.name: getattr(self, each.name) for each in fields(Selection)})
        budget = make_budget(self.max_tokens, packing=self.packing, batch_size=self.batch_size)
        self._contents = Contents.open(
            self.path,
            self.name,
            selection,
            budget=budget,
            stop=self.stop,
            revision=self.revision,
            token=self.token,
            verify=self.verify,
        )
        self._checksum = zlib.crc32(repr([self._contents.checksum, self.tail]).encode())  # of what a state must fit
        self._cursor = Cursor()
        self._share()  # says what is wrong with the arguments now, not in a worker

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ARGUMENTS and "_cursor" in self.__dict__:
            raise UsageError(f"{name} of a StreamingDataset that is open cannot be changed; make another one")
        super().__setattr__(name, value)

    # What there is

    @property
    def epoch(self) -> int:
        return self._cursor.epoch

    @property
    def reads_all(self) -> bool:
        """Whether each process reads all rows, for `rank=0, world_size=1` was passed."""
        return (self.rank, self.world_size) == (0, 1)

    @property
    def makes_batches(self) -> bool:
        """Whether items are batches, for `max_tokens` was passed."""
        return self._contents.budget is not None

    @property
    def num_rows(self) -> int:
        """Rows of the epoch, of all ranks together."""
        return self._contents.order(self._layout, self.epoch).num_rows

    @property
    def odd_rows(self) -> int:
        """Rows of an epoch that are dropped (negative) or repeated (positive) so that ranks are even."""
        return self._share().odd_rows

    @property
    def shuffle_rows(self) -> tuple[int, int]:
        """Shuffle quality; see `order.shuffle_rows`."""
        return shuffle_rows(self._contents.all_groups, self._layout)

    @property
    def left_out(self) -> dict[str, int]:
        """Rows that are not read, by reason: "where", "too_long", the other side of a held-out split, and what kept a
        collator from measuring them.
        """
        return self._contents.left_out

    @property
    def bad_images(self) -> dict[str, int]:
        """Pictures skipped or replaced by kind, in all processes of the loader."""
        return dict(self._decoder.counts) if self._decoder else {}

    @property
    def dropped_prompts(self) -> int:
        """Rows read without their prompt so far, in all processes of the loader; workers read ahead of the loop."""
        return self._counts.total()["dropped_prompts"]

    def proportions(self, num_rows: int | None = None) -> list[dict[str, Any]]:
        """Components of a mixture with their shares in an epoch, or in its first rows; see `mixture.Mixture.report`."""
        return self._contents.report(self._layout, self.epoch, num_rows)

    def __len__(self) -> int:
        """Rows of this rank in a whole epoch; batches with `max_tokens`."""
        return self._share().rank_rows

    # Where it stands

    def set_epoch(self, epoch: int) -> None:
        """Reaches worker processes too, when they next begin an epoch."""
        self._cursor.epoch = epoch

    def state_dict(self, *, batches: int | None = None) -> dict[str, Any]:
        """Where this rank stands, as a few integers.

        Args:
            batches: that the loop has got from the loader in this epoch, since its beginning or since the last
                `load_state_dict`. Needed with workers in a plain DataLoader, because they work ahead; not with
                StatefulDataLoader, which asks the workers.
        """
        standing = self._cursor.standing(self._now(), is_read_here=batches is None)
        if batches is not None:
            share = self._share(start=standing.start)
            taken = batches * self.batch_size * (processes() if self.reads_all else 1)
            standing = replace(self._now(), start=share.start, taken=min(taken, share.rank_rows))
        return standing.to_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a state was taken, in the same epoch and order.

        Args:
            state: of `state_dict`, or of a loader that holds such states.

        Raises:
            UsageError: it is of other data or is not whole. When reading begins: it was taken inside a batch and the
                loader is another.
        """
        states = find_progress(state)
        check_data(states, self._checksum)
        layout = Layout(**{name: getattr(states[0], name) for name in asdict(self._layout)})
        check_epoch(states, self._contents.items(layout, states[0].epoch).num_items)
        self._layout = layout
        self._cursor.load(states)

    def skip_batches(self, batches: int, *, epoch: int) -> None:
        """That epoch then begins with so many batches of `cursor.SKIPPED`, unread, in place of rows.

        For loops that count what a checkpoint has had by taking it from the loader once more, as Trainer does.
        """
        self._cursor.skip = (epoch, batches)

    def _now(self) -> Progress:
        """The beginning of this epoch, for this worker."""
        worker, num_workers = this_worker()
        return Progress(
            epoch=self.epoch,
            start=0,
            taken=0,
            worker=worker,
            num_workers=num_workers,
            world_size=self._ranks()[1],
            batch_size=self.batch_size,
            num_rows=self._items.num_items,
            checksum=self._checksum,
            **asdict(self._layout),
        )

    # Rows

    def __iter__(self) -> Iterator[Any]:
        begin, skipped = self._cursor.begin(self._now())
        yield from repeat(SKIPPED, skipped)
        share = self._share(start=begin.start, worker=begin.worker, num_workers=begin.num_workers)
        warn_of_shared_lanes(share, self._layout)
        groups = RowGroups(self._contents.sources, self._columns)
        read = read_items(
            map(self._items.places, share.positions(begin.taken)),
            groups,
            lambda place, row: self._decoded(row, lambda: groups.where(place)),
            ahead=self.ahead,
            held=self._contents.open_groups(self._layout),
            threads=self.threads,
        )
        budget = self._contents.budget
        settle()
        with closing(read):  # also when the loop is left early
            for taken, rows in enumerate(read, begin.taken + 1):
                self._cursor.advance(begin, taken)
                if rows:  # none: the policy is to leave out rows with bad pictures
                    yield rows[0] if budget is None else PackedRows(rows) if budget.packing else rows

    def _decoded(self, row: dict[str, Any], where: Callable[[], str]) -> dict[str, Any] | None:
        if self._prompts is not None and self._prompts.hits(row, self.epoch):
            self._counts.add("dropped_prompts")
            row = without_prompt(row)
        return self._decoder.decode(row, where) if self._decoder else row

    def _share(self, *, start: int = 0, worker: int = 0, num_workers: int = 1) -> Share:
        rank, world_size = self._ranks()
        if self._decoder:
            self._decoder.check_ranks(world_size)
        return Share(
            num_rows=self._items.num_items,
            start=start,
            rank=rank,
            world_size=world_size,
            worker=worker,
            num_workers=num_workers,
            batch_size=self.batch_size,
            tail=self.tail,
        )

    @property
    def _items(self) -> Items:
        return self._contents.items(self._layout, self.epoch)

    def _ranks(self) -> tuple[int, int]:
        return chosen_ranks(self.rank, self.world_size)

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes that are spawned: torch.distributed does not run there, and rows are chosen already."""
        rank, world_size = self._ranks()
        chosen = {name: _not_copied for name in ("where", "lengths") if getattr(self, name) is not None}
        return {**self.__dict__, **chosen, "rank": rank, "world_size": world_size}


def _not_copied(_: dict[str, Any]) -> Any:
    """What chose the rows, a lambda or large, is not in a copy; `replace` must not take it for None."""
    raise UsageError("a copy of a dataset has its rows, but not what chose them; pass where= and lengths= again")
