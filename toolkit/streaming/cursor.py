"""Where a dataset stands, across the process of the loop and its workers."""

import os
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch.utils.data import get_worker_info

from toolkit.errors import UsageError
from toolkit.streaming.accelerate import leave_streams_alone, processes
from toolkit.streaming.share import MAX_WORKERS, Progress, resume_position


def this_worker() -> tuple[int, int]:
    """Number of this worker process and of all of its loader; 0 of 1 in the process of the loop."""
    info = get_worker_info()
    return (info.id, info.num_workers) if info else (0, 1)


def running_ranks() -> tuple[int, int]:
    """Rank and world size of torch.distributed; 0 of 1 where it does not run.

    Raises:
        UsageError: Accelerate runs with several processes and would share out once more what a rank reads.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    if processes() > 1 and not leave_streams_alone():
        raise UsageError(
            "this version of Accelerate shares out the loaders it prepares by itself: pass rank=0, world_size=1, and "
            'dispatch_batches=False to Accelerate (accelerator_config={"dispatch_batches": False} of '
            "TrainingArguments); for a loader that is not prepared pass its real rank= and world_size="
        )
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def chosen_ranks(rank: int | None, world_size: int | None) -> tuple[int, int]:
    """Those given, or those of torch.distributed. Raises UsageError for one without the other, and as
    `running_ranks`.
    """
    if rank is not None and world_size is not None:
        return rank, world_size
    if rank is not None or world_size is not None:
        raise UsageError(f"rank is {rank!r} and world_size {world_size!r}; expected both or neither")
    return running_ranks()


class Skipped:
    """Stands for a row, or with `max_tokens` a batch, that a loop has had before a checkpoint."""


SKIPPED = Skipped()


class Cursor:
    """Epoch and position. Worker processes that already run see `epoch` change; each worker goes on from a loaded state
    once.
    """

    def __init__(self) -> None:
        leave_streams_alone()
        self.skip = (0, 0)  # epoch, batches
        self._reading: tuple[int, Progress, int] | None = (
            None  # process, where the iteration in it began, rows taken; a forked worker has that of its parent
        )
        self._loaded: Sequence[Progress] = ()
        self._loads = 0
        self._shared = torch.zeros(2, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]  # epoch, loads in the process of the loop
        self._began = torch.zeros(MAX_WORKERS, dtype=torch.bool).share_memory_()  # type: ignore[no-untyped-call]  # since the last load, by worker

    @property
    def epoch(self) -> int:
        return int(self._shared[0])

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._shared[0] = epoch

    @property
    def reading(self) -> Progress | None:
        """The iteration in this process."""
        if self._reading is None or self._reading[0] != os.getpid():
            return None
        return replace(self._reading[1], taken=self._reading[2])

    def advance(self, begin: Progress, taken: int) -> None:
        """To be called for each row of an iteration, so it costs next to nothing."""
        self._reading = (os.getpid(), begin, taken)

    def load(self, states: Sequence[Progress]) -> None:
        self._loaded, self._reading = states, None
        self.epoch = states[0].epoch
        if get_worker_info() is None:
            self._shared[1] += 1
            self._loads = int(self._shared[1])
            self._began[:] = False
        else:
            self._began[this_worker()[0]] = False

    def begin(self, now: Progress) -> tuple[Progress, int]:
        """Where an iteration of this epoch begins, and what of its rows before that are skipped; `now` says who reads.

        Raises:
            UsageError: the loaded state does not fit this loader, or was loaded when its workers already ran.
        """
        if self._loads != int(self._shared[1]):
            raise UsageError(
                "a state was loaded after the workers of this loader had started; load it before the loader is first "
                "iterated, or make a new loader"
            )
        start = now if self._began[now.worker] else self._start(now)
        epoch, batches = self.skip
        own = len(range(now.worker, batches, now.num_workers)) if epoch == now.epoch else 0
        start = replace(start, taken=start.taken + (skipped := own * now.batch_size))
        self.advance(start, start.taken)
        self._began[now.worker] = True
        if now.num_workers == 1 or get_worker_info() is not None:
            self._loaded = ()
        return start, skipped

    def standing(self, now: Progress, *, is_read_here: bool) -> Progress:
        """Where reading is, or would begin.

        Raises:
            UsageError: `is_read_here`, but workers read.
        """
        if is_read_here and self._workers_read:
            raise UsageError(
                "rows are read in worker processes, which work ahead of the loop; pass batches=, or use torchdata's "
                "StatefulDataLoader"
            )
        reading = self.reading
        return reading if reading and reading.epoch == now.epoch else self._start(now)

    def _start(self, now: Progress) -> Progress:
        if not self._loaded or self._loaded[0].epoch != now.epoch:
            return now
        mine = next(
            (
                state
                for state in self._loaded
                if state.worker == now.worker and state.same_run(replace(now, start=state.start))
            ),
            None,
        )
        if mine and len(self._loaded) == 1:
            return mine
        try:
            return replace(now, start=resume_position(self._loaded))
        except UsageError:
            if mine is None:
                raise
            return mine

    @property
    def _workers_read(self) -> bool:
        """Whether workers have begun to read, of whose progress this process cannot know."""
        return self.reading is None and get_worker_info() is None and bool(self._began.any())
