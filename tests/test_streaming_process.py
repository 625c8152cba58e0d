"""What a process that decodes does once, in an interpreter of its own, for here everything is frozen already."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from toolkit.streaming import process

SCRIPT = """
import gc, resource
from torch.utils.data import DataLoader, IterableDataset
from toolkit.streaming.process import settle

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6

class Epochs(IterableDataset):
    def __iter__(self):
        before = resident_mb()
        for _ in range(5):
            settle()
        yield resident_mb() - before < 8, gc.get_freeze_count() > 0

for workers in (0, 1):
    print(*DataLoader(Epochs(), batch_size=None, num_workers=workers))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="says how much memory is used on Linux alone")
def test_epochs_touch_no_memory_and_only_workers_freeze_what_they_were_forked_with():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[True, False]\n[True, True]\n", "")


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
