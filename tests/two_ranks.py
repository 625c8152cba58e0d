"""What two processes do, for tests/test_training_ranks.py: updates of every family as files in a folder."""

import gc
import json
import os
import shutil
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from tests.example_runs import run_example
from tests.training_families import (
    FAMILIES,
    PLAIN_STEP,
    READING,
    ROWS,
    bare,
    reading,
    trainer,
    trainer_update,
    wrapped,
)
from toolkit.collate.loss import tokens_of_update, unwrapped
from unifiedvisual import StreamingDataset


def loop_update(family, distribute):
    """One step of a loop of one's own; ranks have batches of unlike length, in two micro-batches each, with pictures or
    without.
    """
    rank = torch.distributed.get_rank()
    model, collate = bare(family)
    made = reading(model, collate) if family in READING else wrapped(family, model)
    batches = [collate([row]) for row in (ROWS[rank], ROWS[rank + 2])]  # before the VQ encoder is sharded
    distributed = distribute(made)
    before = [full(value).clone() for value in distributed.parameters()]
    optimizer = torch.optim.SGD([each for each in distributed.parameters() if each.requires_grad], lr=1.0)
    tokens = tokens_of_update(batches)
    for batch in batches:
        distributed(**batch, num_items_in_batch=tokens)["loss"].backward()
    optimizer.step()
    with torch.no_grad():  # an evaluation, in which one rank has pictures and the other has none
        distributed(**batches[0])
    after = [full(value) for value in distributed.parameters()]
    return torch.cat([(new - old).flatten() for new, old in zip(after, before, strict=True)])


def full(value):
    value = value.detach()
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def sharded(model):
    """FSDP2 as it is used: each layer of text and of vision, then the rest."""
    from torch.distributed.fsdp import fully_shard

    layers = [each for each in unwrapped(model).modules() if type(each).__name__ in model._no_split_modules]
    for layer in layers:
        fully_shard(layer)
    return fully_shard(model)


def streamed(family, packed):
    """Ids that this rank trains on under the Trainer lines of the docs, for two steps."""
    model, collate = bare(family)
    ids: list[str] = []

    def collate_and_note(rows):
        ids.extend(row["id"] for row in rows)
        return collate(rows)

    dataset = StreamingDataset(packed, "all", decode=None, batch_size=2)
    options = {"max_steps": 2, "per_device_train_batch_size": 2, **PLAIN_STEP, "learning_rate": 1e-3}
    made = trainer(wrapped(family, model), collate_and_note, "unused", rows=dataset, **options)
    made.train()
    return {"ids": ids[:4], "losses": [entry["loss"] for entry in made.state.log_history if "loss" in entry]}


EXAMPLE = ("--batch-size", 1, "--samples", 0, "--workers", 0)
SAVED = {"lightning": ("--save-every", 1)}  # the others save at the end, too
EXAMPLES: dict[str, tuple[Any, ...]] = {  # folder -> example and its options
    "chameleon": ("chameleon", "--accumulate", 2),
    "chameleon-fsdp": ("chameleon", "--fsdp", "--checkpointing"),
    "trainer": ("trainer", "--accumulate", 2),
    "accelerate": ("accelerate", "--accumulate", 2),
    "lightning": ("lightning",),
    "sft": ("sft",),
}


def share_tokens(folder):
    """Ids of pictures that the whole run has stored are those of the run in parts."""
    if torch.distributed.get_rank() == 0 and (folder / "whole" / "tokens").exists():
        shutil.copytree(folder / "whole" / "tokens", folder / "parts" / "tokens")
    torch.distributed.barrier()


BEGUN_ALONE = ("chameleon", "accelerate", "lightning", "sft")  # by one process, which takes as many rows for an update


def examples(folder, packed):
    """Each example for three steps, and for two and then the rest; and the rest of what one process has begun."""
    for name, (example, *own) in EXAMPLES.items():
        options = ("--data", packed, *EXAMPLE, *own, *SAVED.get(example, ()))
        run_example(example, *options, "--out", folder / name / "whole", "--steps", 3)
        share_tokens(folder / name)
        run_example(example, *options, "--out", folder / name / "parts", "--steps", 2)
        run_example(example, *options, "--out", folder / name / "parts", "--steps", 3, "--resume")
    for example in BEGUN_ALONE:
        options = ("--data", packed, *EXAMPLE, "--accumulate", 1, *SAVED.get(example, ()))
        run_example(example, *options, "--out", folder / f"{example}-alone" / "parts", "--steps", 3, "--resume")


def main(rank: int, port: int, folder: Path, packed: str) -> None:
    """In a fork of the tests, for new processes would import torch and all else again; told what torchrun tells."""
    from accelerate.state import AcceleratorState, GradientState

    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GROUP_WORLD_SIZE": 1}
    there = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ.update({name: str(value) for name, value in (where | there).items()})
    AcceleratorState._reset_state(reset_partial_state=True)  # of earlier tests
    GradientState._reset_state()
    warnings.resetwarnings()
    torch.set_num_threads(1)
    gc.freeze()  # what is imported by now; Trainer looks for garbage at each start
    for family in FAMILIES:  # the first Trainer starts torch.distributed
        found = {"trainer": trainer_update(family, folder / "unused", rows=2, accumulation=1)}
        found["accumulated"] = trainer_update(family, folder / "unused", rows=1, accumulation=2)
        found["ddp"] = loop_update(family, partial(DistributedDataParallel, find_unused_parameters=family == "llava"))
        found["fsdp"] = loop_update(family, sharded)
        torch.save(found, folder / f"{family}-{torch.distributed.get_rank()}.pt")
        name = f"{family}-{torch.distributed.get_rank()}.json"
        (folder / name).write_text(json.dumps(streamed(family, packed)))
        gc.collect()
        gc.freeze()
    for family in (family for family in READING if family not in FAMILIES):
        torch.save({"fsdp": loop_update(family, sharded)}, folder / f"{family}-{torch.distributed.get_rank()}.pt")
    examples(folder, packed)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
