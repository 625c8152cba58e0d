"""Who takes which positions of the global sequence, and where a run stopped.

Rank r of w takes batches r, r + w, r + 2 w, ... of the sequence from `start` on (with batches of one row: positions r,
r + w, ...), and worker k of n of a rank takes every n-th of its batches. So after any step all ranks together have
taken a prefix of the sequence, whatever the number of workers; one integer says where to go on, and other numbers of
ranks or workers can.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from numbers import Integral
from typing import Any, Literal, get_args

from toolkit.errors import UsageError, shown
from toolkit.streaming.groups import Layout

log = logging.getLogger(__name__)

Tail = Literal["drop", "pad"]


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one worker takes of an epoch.

    Every rank takes the same number of rows and steps. What does not divide is dropped (at most `world_size - 1` rows),
    or padded with as many rows from the beginning of the epoch.

    Attributes:
        num_rows: of the whole sequence.
        start: position at which this run began.
        batch_size: rows that a rank takes at a time.
    """

    num_rows: int
    start: int = 0
    rank: int = 0
    world_size: int = 1
    worker: int = 0
    num_workers: int = 1
    batch_size: int = 1
    tail: Tail = "drop"

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise UsageError(f"rank is {self.rank!r} of {self.world_size!r}; expected 0 to world_size - 1")
        if self.batch_size < 1:
            raise UsageError(f"batch_size is {self.batch_size!r}; expected a positive number")
        if self.tail not in get_args(Tail):
            raise UsageError(f"tail is {self.tail!r}; expected 'drop' or 'pad'")

    @property
    def rank_rows(self) -> int:
        """Rows that each rank takes from `start` on."""
        rows = self.num_rows - self.start
        return rows // self.world_size if self.tail == "drop" else -(-rows // self.world_size)

    @property
    def odd_rows(self) -> int:
        """Rows dropped (negative) or repeated (positive) so that ranks are even."""
        return self.rank_rows * self.world_size - (self.num_rows - self.start)

    def positions(self, taken: int = 0) -> Iterator[int]:
        """Global positions in the order in which this worker takes them, after the first `taken`."""
        batch, skipped = divmod(taken, self.batch_size)
        full, rest = divmod(self.rank_rows, self.batch_size)
        for step in range(batch * self.num_workers + self.worker, full + bool(rest), self.num_workers):
            rows = self.batch_size if step < full else rest
            first = self.start + step * self.world_size * self.batch_size + self.rank * rows
            yield from ((first + row) % self.num_rows for row in range(skipped, rows))
            skipped = 0


def warn_of_shared_lanes(share: Share, layout: Layout) -> None:
    """Says which number of lanes has each row group read once."""
    readers = share.world_size * share.num_workers
    if layout.shuffle and layout.lanes % readers and share.rank == share.worker == 0:
        lanes = -(-layout.lanes // readers) * readers
        log.warning(
            "%d readers share %d lanes, so row groups are read more than once; pass lanes=%d",
            readers,
            layout.lanes,
            lanes,
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a worker has come in an epoch: a few integers, as `state_dict` gives them.

    Attributes:
        taken: rows that this worker has taken since `start`.
        layout: seed, lanes, window and run of the order, and a checksum of the row groups.
    """

    epoch: int
    start: int
    taken: int
    worker: int
    num_workers: int
    world_size: int
    batch_size: int
    num_rows: int
    seed: int
    shuffle: bool
    lanes: int
    window: int
    run: int
    checksum: int

    def to_dict(self) -> dict[str, Any]:
        return {KIND: VERSION, **asdict(self)}

    def same_run(self, other: "Progress") -> bool:
        """Whether both come from workers of one loader, or of two alike."""
        return all(
            getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
            if field.name not in ("taken", "worker")
        )


KIND = "unifiedvisual_stream"  # marks a state of ours among those of loaders
VERSION = 2  # to be raised when the same fields come to mean another position
MAX_WORKERS = 1024
MOST = {"num_workers": MAX_WORKERS}  # what the numbers of a state may be; those not named: 0 to 2^40
LEAST = {"world_size": 1, "num_workers": 1, "batch_size": 1, "lanes": 1, "window": 1, "run": 1}


def find_progress(state: Any) -> list[Progress]:
    """Our states inside the state of any loader, one for each worker.

    Raises:
        UsageError: there is none, or one of another version, or with numbers that cannot be.
    """
    found = list(_walk(state))
    if not found:
        raise UsageError(
            "the state holds no state of a StreamingDataset; pass what its state_dict, or that of a "
            "StatefulDataLoader around it, gave"
        )
    if unknown := [each[KIND] for each in found if each[KIND] != VERSION]:
        raise UsageError(
            f"the state is of version {shown(unknown[0], 40)}; expected {VERSION}; finish the epoch with the version "
            "of this package that wrote it"
        )
    try:
        states = [Progress(**{name: value for name, value in each.items() if name != KIND}) for each in found]
    except TypeError as error:
        raise UsageError(
            f"the state is of another version ({error}); finish the epoch with the version that wrote it"
        ) from error
    for each in states:
        _check(each)
    return states


def _check(state: Progress) -> None:
    for name, value in vars(state).items():
        if name == "shuffle":
            is_good = isinstance(value, bool)
        else:
            is_good = isinstance(value, Integral) and not isinstance(value, bool)
            is_good = is_good and (name == "seed" or LEAST.get(name, 0) <= value <= MOST.get(name, 1 << 40))
        if not is_good:
            raise UsageError(f"the state says that {name} is {shown(value, 40)}, which cannot be; it is damaged")
    if state.worker >= state.num_workers or max(state.start, state.taken) > state.num_rows:
        raise UsageError(
            f"the state says that worker {state.worker} of {state.num_workers} took {state.taken} of {state.num_rows} "
            f"rows from position {state.start} on, which cannot be; it is damaged"
        )


def check_data(states: Sequence[Progress], checksum: int) -> None:
    """Raises UsageError for states of other data."""
    if (found := states[0].checksum) != checksum:
        raise UsageError(
            f"the state is of other data, config or mixture (checksum {found}, here {checksum}); open what it was "
            "taken of"
        )


def check_epoch(states: Sequence[Progress], num_rows: int) -> None:
    """Raises UsageError for states of an epoch of another length."""
    if wrong := [each.num_rows for each in states if each.num_rows != num_rows]:
        raise UsageError(f"the state is of an epoch of {wrong[0]} rows, here of {num_rows}; it is damaged")


def _walk(state: Any) -> Iterator[Mapping[str, Any]]:
    """In order, and however deep: a list of what is left, instead of frames."""
    left = [state]
    while left:
        each = left.pop()
        if isinstance(each, Mapping):
            if KIND in each:
                yield each
            else:
                left += reversed(list(each.values()))
        elif isinstance(each, (list, tuple)):
            left += reversed(each)


def resume_position(states: Sequence[Progress]) -> int:
    """The global position up to which all rows were taken, from the states of all workers of any one rank.

    Raises:
        UsageError: a worker's state is missing, or rows were not taken in whole batches, so that what was taken is no
            prefix of the sequence.
    """
    first = states[0]
    by_worker = {state.worker: state.taken for state in states if state.same_run(first)}
    if sorted(by_worker) != list(range(first.num_workers)):
        raise UsageError(
            f"the state has workers {sorted(by_worker)} of {first.num_workers}; pass the whole state of the loader"
        )
    share = Share(num_rows=first.num_rows, start=first.start, world_size=first.world_size, batch_size=first.batch_size)
    taken, size = sum(by_worker.values()), first.batch_size
    steps = -(-taken // size)
    expected = [
        sum(min(size, taken - step * size) for step in range(worker, steps, first.num_workers))
        for worker in range(first.num_workers)
    ]
    if [by_worker[worker] for worker in range(first.num_workers)] != expected:
        raise UsageError(
            f"workers took {[by_worker[worker] for worker in range(first.num_workers)]} rows, not whole batches of "
            f"{size} in turn; give StreamingDataset the "
            "batch_size of its loader, or resume in a loader that is like the one that stopped"
        )
    if taken < share.rank_rows and taken % size and first.world_size > 1:
        raise UsageError(
            f"stopped after {taken} rows of each rank, inside a batch of {size}; stop after a whole batch to change "
            "the number of ranks"
        )
    return min(first.start + taken * first.world_size, first.num_rows)
