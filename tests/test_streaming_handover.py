"""Batches from worker to loop: what is still referred to is never written to, whatever the loop, the worker or their
children do with it.
"""

import copy
import errno
import gc
import io
import os
import pickle
import random
import signal
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from toolkit.errors import UnifiedVisualError
from toolkit.streaming import handover
from toolkit.streaming.handover import HOARD, stack

BATCH, BATCHES = 4, 60
needs_memfd = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="without memfd_create, batches are torch's own"
)


class Numbered(Dataset):
    """Pictures that tell their number in every value."""

    def __init__(self, rows: int = BATCH * BATCHES) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, number: int) -> torch.Tensor:
        return torch.full((3, 16, 16), number, dtype=torch.int32)


def expected(batch: int) -> torch.Tensor:
    return torch.arange(batch * BATCH, (batch + 1) * BATCH, dtype=torch.int32).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)


def loader(collate=stack, workers: int = 2, **options) -> DataLoader:
    return DataLoader(Numbered(), BATCH, num_workers=workers, collate_fn=collate, **options)


def buffers_of_worker(pictures) -> tuple[torch.Tensor, int, int]:
    batch = stack(pictures)
    return batch, len(handover._buffers), os.getpid()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def mapped_buffers() -> int:
    return sum("memfd:unifiedvisual-batch" in line for line in Path("/proc/self/maps").read_text().splitlines())


@needs_memfd
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_memory_is_used_again(context):
    made = {}
    for number, (batch, buffers, worker) in enumerate(loader(buffers_of_worker, multiprocessing_context=context)):
        assert torch.equal(batch, expected(number))
        made[worker] = buffers
    assert len(made) == 2
    assert (
        max(made.values()) <= 6
    )  # two on their way, one in the loop, one being written, and what falls between; of 30


@needs_memfd
def test_nothing_stays_behind():
    gc.collect()
    before = mapped_buffers(), open_files()
    for _ in range(3):
        last = list(loader())[-1]
        assert torch.equal(last, expected(BATCHES - 1))
        del last
    gc.collect()
    assert (mapped_buffers(), open_files()) == before


@pytest.mark.parametrize("held", [1, 2, HOARD, HOARD + 5, BATCHES])
@pytest.mark.parametrize("workers", [1, 3])
def test_batches_that_the_loop_holds_keep_their_pixels(held, workers):
    kept = []
    for number, batch in enumerate(loader(workers=workers)):
        kept = [*kept, (number, batch)][-held:]
        del batch
        assert all(torch.equal(batch, expected(number)) for number, batch in kept)
    assert len(kept) == held


@needs_memfd
def test_of_batches_that_are_hoarded_the_worker_lets_the_oldest_go():
    kept = list(loader(buffers_of_worker, workers=1))
    assert max(buffers for _, buffers, _ in kept) <= HOARD + 2 + 2  # two on their way
    assert all(torch.equal(batch, expected(number)) for number, (batch, _, _) in enumerate(kept))


KEEP = {
    "view": lambda batch: batch[1:3],
    "row": lambda batch: batch[2],
    "permuted": lambda batch: batch.permute(0, 2, 3, 1)[:, ::2],
    "array": lambda batch: batch.numpy(),
    "memory": lambda batch: memoryview(batch.numpy()),
    "storage": lambda batch: batch.untyped_storage(),
    "other type": lambda batch: batch.view(torch.uint8),
    "detached": lambda batch: batch.detach(),
    "parameter": lambda batch: torch.nn.Parameter(batch, requires_grad=False),
    "dlpack": lambda batch: torch.from_dlpack(batch),
    "graph": lambda batch: torch.ones(batch.shape, requires_grad=True) * batch,
}


def pixels(kept) -> bytes:
    if isinstance(kept, torch.UntypedStorage):
        return pixels(torch.empty(0, dtype=torch.uint8).set_(kept))
    return np.ascontiguousarray(kept.grad_fn._saved_other if getattr(kept, "grad_fn", None) else kept).tobytes()


@pytest.mark.parametrize("keep", KEEP)
def test_whatever_refers_to_a_batch_keeps_its_pixels(keep):
    kept, copies = [], []
    for batch in loader():
        kept.append(KEEP[keep](batch))
        copies.append(pixels(KEEP[keep](batch.clone())))
        del batch
    assert [pixels(each) for each in kept] == copies
    assert len(set(copies)) == BATCHES


def with_a_view(pictures):
    batch = stack(pictures)
    return (batch, batch[:1]) if int(pictures[0][0, 0, 0]) % 5 == 0 else (batch, batch)


def test_batches_in_a_hurry():
    """The thread that sends batches and the one that puts them together collide as often as they can."""
    chance, kept = random.Random(0), []
    for number, batches in enumerate(
        DataLoader(Numbered(3000), 1, num_workers=2, prefetch_factor=8, collate_fn=with_a_view)
    ):
        kept += [(number, batch) for batch in batches if chance.random() < 0.5]
        while len(kept) > chance.choice((1, 2, 20)):
            kept.pop(chance.randrange(len(kept)))
        assert all((batch == number).all() for batch in batches)
        assert all((batch == number).all() for number, batch in kept[-3:])


def test_the_loop_may_write_into_its_batches():
    for number, batch in enumerate(loader()):
        assert torch.equal(batch, expected(number))
        batch.fill_(-1)


def test_a_forked_process_keeps_what_it_saw():
    """The loop cannot know when its child has done with a batch."""
    batches = enumerate(loader(workers=1))
    number, batch = next(batches)
    assert torch.equal(batch, expected(number))
    asked, ask = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(asked, 1)  # until the loop has let go, and is at its end
        os._exit(0 if torch.equal(batch, expected(number)) else 1)
    del batch
    for number, later in batches:
        assert torch.equal(later, expected(number))
    os.write(ask, b"1")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_child_that_lets_go_does_not_let_go_for_the_loop():
    batches = loader(workers=1)
    kept = []
    for number, batch in enumerate(batches):
        kept.append(batch)
        if number % 10 == 0:
            child = os.fork()
            if child == 0:
                kept.clear()
                del batch
                os._exit(0)
            os.waitpid(child, 0)
    assert all(torch.equal(batch, expected(number)) for number, batch in enumerate(kept))


_children: list[int] = []


def fork_and_stack(pictures):
    """A worker whose first batches are held by children, which put batches together too while the worker goes on."""
    batch, number = stack(pictures), int(pictures[0][0, 0, 0]) // BATCH
    time.sleep(0.002)
    if number < 6:
        child = os.fork()
        if child == 0:
            is_right = True
            for _ in range(50):
                mine = stack([torch.zeros_like(picture) for picture in pictures])
                time.sleep(0.002)
                is_right &= torch.equal(batch, torch.stack(pictures)) and not mine.any()
            os._exit(0 if is_right else 1)
        _children.append(child)
    while number >= BATCHES - 4 and _children:
        assert os.waitstatus_to_exitcode(os.waitpid(_children.pop(), 0)[1]) == 0
    return batch


def test_children_of_workers_have_memory_of_their_own():
    for number, batch in enumerate(loader(fork_and_stack)):
        assert torch.equal(batch, expected(number))


def in_many_ways(pictures):
    batch = stack(pictures)
    floats, unused = batch.float().requires_grad_(), stack(pictures)
    assert type(batch) is torch.Tensor
    assert torch.equal(copy.deepcopy(batch), batch)
    assert torch.equal(pickle.loads(pickle.dumps(batch)), batch)
    torch.save(batch, saved := io.BytesIO())
    assert len(saved.getvalue()) < 2 * batch.nbytes
    shared = stack(pictures).share_memory_()
    grad = stack([picture.float() for picture in pictures]).requires_grad_()
    del unused
    return {
        "view": batch[1:],
        "all": batch,
        "again": batch,
        "turned": stack(pictures).permute(0, 2, 3, 1),
        "floats": floats,
        "shared": shared,
        "grad": grad,
    }


def test_collates_of_users_may_do_with_tensors_what_they_like():
    kept = list(loader(in_many_ways))
    for number, batch in enumerate(kept):
        whole = expected(number)
        assert torch.equal(batch["view"], whole[1:])
        assert torch.equal(batch["all"], whole)
        assert torch.equal(batch["again"], whole)
        assert torch.equal(batch["shared"], whole)
        assert (batch["turned"].shape, batch["turned"].stride()) == ((BATCH, 16, 16, 3), (768, 16, 1, 256))
        assert torch.equal(batch["turned"], whole.permute(0, 2, 3, 1))
        assert torch.equal(batch["floats"], whole.float())
        assert batch["floats"].requires_grad
        assert torch.equal(batch["grad"], whole.float())
        assert batch["grad"].requires_grad


_cached: list[torch.Tensor] = []


def caching(pictures):
    _cached.append(stack(pictures))
    return _cached[0], _cached[-1]


def test_a_worker_may_keep_batches_that_it_has_sent():
    first = None
    for number, (old, batch) in enumerate(loader(caching, workers=1)):
        first = old.clone() if first is None else first
        assert torch.equal(old, first)
        assert torch.equal(batch, expected(number))


def of_several_sizes(pictures):
    number = int(pictures[0][0, 0, 0]) // BATCH
    return stack([torch.full((3, 8 + 5 * (number % 7), 8), number) for _ in range(1 + number % 3)])


def test_batches_may_differ_in_size():
    kept = []
    for number, batch in enumerate(loader(of_several_sizes, workers=1)):
        kept = [*kept, (number, batch)][-3:]
        assert all(
            (batch == number).all() and batch.shape == (1 + number % 3, 3, 8 + 5 * (number % 7), 8)
            for number, batch in kept
        )


def test_workers_that_stay_and_loops_that_are_left():
    batches = loader(persistent_workers=True)
    for _ in range(4):
        for number, batch in zip(range(5), batches, strict=False):
            assert torch.equal(batch, expected(number))
    assert [int(batch[0, 0, 0, 0]) for batch in batches] == list(range(0, BATCH * BATCHES, BATCH))


def kill_and_go_on(batches) -> None:
    worker = batches._workers[0]
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()  # torch's own signal handler may raise from here on, so it should before the test goes on
    list(batches)


def test_a_batch_outlives_its_worker():
    batches = iter(loader(workers=1))
    kept = [next(batches) for _ in range(3)]
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        kill_and_go_on(batches)
    assert all(torch.equal(batch, expected(number)) for number, batch in enumerate(kept))


def pickled(pictures) -> bytes:
    batch = stack(pictures)
    _cached.append(batch)  # it stays where it is
    return bytes(ForkingPickler.dumps(batch))


@needs_memfd
def test_a_batch_is_opened_once():
    batches = iter(loader(pickled, workers=1))  # the worker lives as long
    message = next(batches)
    batch = pickle.loads(message)
    assert torch.equal(batch, expected(0))
    with pytest.raises(UnifiedVisualError, match=r"a batch of worker \d+ has been opened before; unpickle it once"):
        pickle.loads(message)
    assert torch.equal(batch, expected(0))


@needs_memfd
def test_a_batch_whose_worker_has_ended_cannot_be_opened():
    message = next(iter(loader(pickled, workers=1)))
    with pytest.raises(
        UnifiedVisualError,
        match=(
            r"worker \d+ ended before the loop had its batch; perhaps it was killed, as the system does when "
            r"memory is short"
        ),
    ):
        pickle.loads(message)


def is_ours(pictures):
    return stack(pictures), len(handover._buffers)


def refused(*_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize("call", [(os, "memfd_create"), (Path, "iterdir"), (Path, "exists")], ids=lambda call: call[1])
def test_where_the_loop_cannot_look_into_its_workers_batches_are_those_of_torch(monkeypatch, call):
    monkeypatch.setattr(*call, refused, raising=False)
    for number, (batch, buffers) in enumerate(loader(is_ours)):
        assert torch.equal(batch, expected(number))
        assert buffers == 0


def test_in_the_process_of_the_loop_it_is_torch_stack():
    pictures = [Numbered()[number] for number in range(BATCH)]
    assert torch.equal(stack(pictures), torch.stack(pictures))
    assert handover._buffers == []
