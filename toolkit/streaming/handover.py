"""Batches on their way from worker to loop, in memory that is used again.

Torch gives every batch fresh shared memory, whose pages the kernel has to find, and passes its descriptor through a
socket of its own: for pictures of 256 pixels some 4 % of what decoding them costs. Here a worker owns the memory: the
loop maps it through /proc, and says so in it once nothing there is referred to any more, and the worker writes its next
batch.

    header of a buffer    FREE, also while a batch is written -> the batch's ticket, once it is on its way -> OPEN, in
    the loop -> FREE

What a tensor, view or array still lies in is never written to. That holds for forked processes too, which cannot be
asked: memory that was mapped when its process forked is left alone for good. Tensors are ordinary ones, in the worker
and in the loop; whoever sends them elsewhere, or twice, sends copies.
`torch.multiprocessing.set_sharing_strategy("file_system")` leaves it all to torch.
"""

import mmap
import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing import get_sharing_strategy
from torch.multiprocessing.reductions import reduce_tensor
from torch.utils.data import get_worker_info

from toolkit.errors import UnifiedVisualError

HEADER = mmap.PAGESIZE  # of which 8 bytes are used; pictures begin on a page
FREE, OPEN = bytes(8), bytes([1] * 8)
HOARD = 8  # batches that a worker waits for to come back; if the loop holds on to more, it lets the oldest go

_forks = 0  # of this process
_buffers: list["_Buffer"] = []  # of this worker


class _Memory(mmap.mmap):
    """A buffer, mapped for as long as a tensor lies in it.

    Attributes:
        address: of the tensor, in the worker.
        lent: forks that the process of the loop had made when it mapped it.
    """

    address = 0
    lent: int | None = None

    def __del__(self) -> None:
        if self.lent == _forks:
            self[: len(FREE)] = FREE


class _Buffer:
    """Memory of a worker; a file without a name, gone with the last process that has it open."""

    def __init__(self) -> None:
        self.file = os.memfd_create("unifiedvisual-batch")
        os.ftruncate(self.file, HEADER)
        self.forks = _forks
        self.memory: Callable[[], _Memory | None] = lambda: None  # while a tensor of this worker lies in it

    def __del__(self) -> None:
        os.close(self.file)

    @property
    def header(self) -> bytes:
        return os.pread(self.file, len(FREE), 0)

    @property
    def is_unused(self) -> bool:
        return self.memory() is None and self.header == FREE

    def stack(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Written as to a file: pages need not be zeroed and mapped first, and too little memory is an error, not a
        worker killed by a bus error.
        """
        end = HEADER
        for tensor in tensors:
            if (written := os.pwrite(self.file, tensor.numpy().data, end)) < tensor.nbytes:
                raise OSError(f"{written:,} of {tensor.nbytes:,} bytes could be written")
            end += written
        memory = _Memory(self.file, end)
        stacked = torch.frombuffer(memory, dtype=tensors[0].dtype, offset=HEADER).view(len(tensors), *tensors[0].shape)
        memory.address = stacked.data_ptr()
        self.memory = weakref.ref(memory)  # last: `_reduce`, which runs in another thread, goes by it
        return stacked


def stack(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """`torch.stack` of contiguous tensors, of one shape and type; in a worker, into memory that goes to the loop as it
    is.

    Raises:
        UnifiedVisualError: there is too little memory.
    """
    if get_worker_info() is None or get_sharing_strategy() != "file_descriptor" or not _loop_can_map():  # type: ignore[no-untyped-call]
        return torch.stack(list(tensors))
    buffer = next((buffer for buffer in _buffers if buffer.is_unused and buffer.forks == _forks), None) or _new_buffer()
    try:
        return buffer.stack(tensors)
    except OSError as error:
        size = sum(tensor.nbytes for tensor in tensors)
        raise UnifiedVisualError(
            f"no memory for a batch of {size:,} bytes on its way from worker to loop ({error}); use a smaller "
            "batch_size, num_workers or prefetch_factor"
        ) from error


@cache
def _loop_can_map() -> bool:
    """Whether there are files without a name here, and processes may look at each other's."""
    with suppress(AttributeError, OSError):
        os.close(os.memfd_create("unifiedvisual-probe"))
        return any(file.exists() for file in Path(f"/proc/{os.getppid()}/fd").iterdir())
    return False


def _new_buffer() -> _Buffer:
    # The others are on their way or wait for it: the loop comes here to look for what is in them.
    given = [buffer for buffer in _buffers if buffer.header == OPEN or buffer.is_unused]
    for buffer in given[:-HOARD]:
        _buffers.remove(buffer)
    _buffers.append(_Buffer())
    ForkingPickler.register(torch.Tensor, _reduce)
    return _buffers[-1]


def _reduce(tensor: torch.Tensor) -> Any:
    """What a worker sends of a tensor: where it lies, if that is one of its buffers and has not been sent yet; else
    what torch sends.
    """
    if tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.requires_grad:
        storage = tensor.untyped_storage()
        for buffer in tuple(_buffers):
            memory = buffer.memory()
            if memory is not None and memory.address == storage.data_ptr() and buffer.header == FREE:
                ticket = os.urandom(len(FREE))
                os.pwrite(buffer.file, ticket, 0)
                layout = (tensor.dtype, tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
                return _open, (os.getpid(), buffer.file, ticket, storage.nbytes(), *layout)
    return reduce_tensor(tensor)  # type: ignore[no-untyped-call]


def _open(
    worker: int,
    number: int,
    ticket: bytes,
    size: int,
    dtype: torch.dtype,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
) -> torch.Tensor:
    """The tensor in the loop; its storage keeps the memory mapped."""
    try:
        file = os.open(f"/proc/{worker}/fd/{number}", os.O_RDWR)
    except FileNotFoundError as error:
        raise UnifiedVisualError(
            f"worker {worker} ended before the loop had its batch; perhaps it was killed, as the system does when "
            "memory is short"
        ) from error
    try:
        memory = _Memory(file, HEADER + size)
    finally:
        os.close(file)
    if memory[: len(FREE)] != ticket:
        raise UnifiedVisualError(
            f"a batch of worker {worker} has been opened before; unpickle it once, and keep the tensor"
        )
    memory[: len(OPEN)] = OPEN
    memory.lent = _forks
    storage = torch.frombuffer(memory, dtype=torch.uint8, offset=HEADER).untyped_storage()
    return torch.empty(0, dtype=dtype).set_(storage, offset, shape, stride)


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_parent=_forked, after_in_child=_forked)
