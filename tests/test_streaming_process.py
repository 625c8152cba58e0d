"""What a process that decodes does once, in another process, for here everything is frozen already."""

import gc
import json
import resource
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from tests.processes import FORKS
from toolkit.streaming import process


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Epochs(IterableDataset):
    def __iter__(self):
        before = resident_mb()
        for _ in range(5):
            process.settle()
        yield resident_mb() - before < 8, gc.get_freeze_count() > 0


def epochs(path):
    path.write_text(json.dumps([list(DataLoader(Epochs(), batch_size=None, num_workers=n)) for n in (0, 1)]))


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="says how much memory is used on Linux alone")
def test_epochs_touch_no_memory_and_only_workers_freeze_what_they_were_forked_with(tmp_path):
    other = FORKS.Process(target=epochs, args=(tmp_path / "found.json",))
    other.start()
    other.join(60)
    assert json.loads((tmp_path / "found.json").read_text()) == [[[True, False]], [[True, True]]]


def test_a_process_group_that_is_left_has_time_to_finish_at_exit(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(process.time, "sleep", waited.append)
    process._let_gloo_finish()
    assert waited == []
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        process._let_gloo_finish()
    finally:
        torch.distributed.destroy_process_group()
    assert waited == [0.1]
