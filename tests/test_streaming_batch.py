"""Memory in which batches travel from a worker is used again, and never while somebody holds the batch."""

import fcntl
import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch.utils.data import DataLoader, IterableDataset

from toolkit.errors import UnifiedVisualError
from toolkit.streaming import batch as batches
from toolkit.streaming.batch import KEPT_FILES, collate_images

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files in memory without a name"),
    pytest.mark.skipif(torch.multiprocessing.get_sharing_strategy() != "file_descriptor", reason="torch shares files"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
]


class Numbered(IterableDataset[dict[str, Any]]):
    """Rows with one to three images of their number."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in range(self.rows):
            images = [torch.full((3, 8, 8), number % 251, dtype=torch.uint8)] * (1 + number % 3)
            yield {"id": number, "images": images}


def loaded(rows: int, **options: Any) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Which number each image of a batch has, and the images."""
    for batch in DataLoader(Numbered(rows), batch_size=2, collate_fn=collate_images, **options):
        told = [
            number % 251 for number, count in zip(batch["id"], batch["num_images"], strict=True) for _ in range(count)
        ]
        yield told, batch.pop("pixel_values")


def file_of(images: torch.Tensor) -> int:
    handle, _ = images.untyped_storage()._share_fd_cpu_()
    return os.fstat(handle).st_ino


def has_pixels(images: torch.Tensor, told: list[int]) -> bool:
    return torch.equal(images, torch.tensor(told, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8))


def test_batches_that_are_let_go_take_no_new_memory() -> None:
    files = []
    for told, images in loaded(100, num_workers=1):
        assert has_pixels(images, told)
        files.append(file_of(images))
        del images
    assert len(files) == 50
    assert len(set(files)) <= KEPT_FILES


@pytest.mark.parametrize("way", ["tensor", "view", "numpy"])
def test_a_batch_that_is_held_in_any_way_keeps_its_pixels(way: str) -> None:
    dice, held = random.Random(7), []
    for told, images in loaded(240, num_workers=2, prefetch_factor=3):
        if dice.random() < 0.5:
            kept = {"tensor": images, "view": images[-1:], "numpy": images[-1:].numpy()}[way]
            held.append((told if way == "tensor" else told[-1:], kept))
        del images
        while len(held) > 7:
            held.pop(dice.randrange(len(held)))
        assert all(has_pixels(torch.as_tensor(kept), expected) for expected, kept in held)


def test_a_batch_that_another_process_holds_keeps_its_pixels() -> None:
    """The loop lets go at once, and the other one looks when all batches are there."""
    context = torch.multiprocessing.get_context("fork")
    queue, answers = context.Queue(), context.Queue()
    other = context.Process(target=look_late, args=(queue, answers))
    other.start()
    for told, images in loaded(40, num_workers=1):
        queue.put((told, images))
        answers.get(timeout=30)  # it has them
        del images
    queue.put(None)
    assert answers.get(timeout=30) == [True] * 20
    other.join()


def look_late(queue: Any, answers: Any) -> None:
    held = []
    while (given := queue.get()) is not None:
        held.append(given)
        answers.put(None)
    answers.put([has_pixels(images, told) for told, images in held])


def test_a_fork_writes_to_no_file_of_its_parent() -> None:
    images = batches._in_shared_memory([torch.full((3, 8, 8), 1, dtype=torch.uint8)])
    file = file_of(images)
    del images
    gc.collect()
    receiver, sender = torch.multiprocessing.get_context("fork").Pipe()
    if not (child := os.fork()):
        again = batches._in_shared_memory([torch.full((3, 8, 8), 2, dtype=torch.uint8)])
        sender.send(file_of(again))
        os._exit(0)
    assert receiver.recv() != file
    os.waitpid(child, 0)
    assert file_of(batches._in_shared_memory([torch.full((3, 8, 8), 3, dtype=torch.uint8)])) == file


@pytest.mark.parametrize("error", [OSError(12, "Cannot allocate memory"), RuntimeError("unable to mmap")])
def test_a_batch_that_cannot_be_mapped_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*args: object) -> None:
        raise error

    monkeypatch.setattr(batches, "_kept", {})
    monkeypatch.setattr(torch.UntypedStorage, "_new_shared_fd_cpu", refuse)
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises((UnifiedVisualError, RuntimeError)):
        batches._in_shared_memory([torch.zeros((3, 8, 8), dtype=torch.uint8)])
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    assert set(map(len, batches._kept.values())) == {0}


@pytest.mark.parametrize("missing", ["proc", "locks"])
def test_without_the_means_each_batch_has_memory_of_its_own(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    def refuse(*args: object) -> int:
        raise OSError("not here")

    monkeypatch.setattr(*{"proc": (os, "open"), "locks": (fcntl, "flock")}[missing], refuse)
    monkeypatch.setattr(batches, "_kept", {})
    before = len([*Path("/proc/self/fd").iterdir()])
    made = [batches._in_shared_memory([torch.full((3, 8, 8), number, dtype=torch.uint8)]) for number in range(9)]
    assert [has_pixels(images, [number]) for number, images in enumerate(made)] == [True] * 9
    assert len([*Path("/proc/self/fd").iterdir()]) == before + len(made)  # each batch has its own, as torch does it
    del made[::2]
    assert len({file_of(images) for images in made}) == len(made)
    assert batches._kept == {} or set(map(len, batches._kept.values())) == {0}
