"""A training loop: float32 weights, accumulation, clipping, a schedule, checkpoints; on one process or under torchrun,
with DistributedDataParallel or FSDP2; killed at any moment, it resumes as if undisturbed.
"""

import argparse
import math
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from start import device, options, ranks
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from unifiedvisual import StreamingDataset, tokens_of_update


class Updates:
    """A collator of updates: the rows of one, as a list of batches. So no update is ever cut by the end of an epoch or
    by a checkpoint.
    """

    def __init__(self, collate, batch_size: int) -> None:
        self.collate, self.batch_size = collate, batch_size

    def __call__(self, rows: Sequence[dict]) -> list[dict[str, torch.Tensor]]:
        return [self.collate(rows[at : at + self.batch_size]) for at in range(0, len(rows), self.batch_size)]


def train(model, collate, data: str, args: argparse.Namespace) -> None:
    """Trains a LossModel from where it stands to --steps, with a checkpoint every --save-every steps and at the end."""
    args = argparse.Namespace(**{**vars(options("").parse_args([])), **vars(args)})
    run = Run(model, collate, data, args)
    if args.resume:
        run.load()
    started = time.perf_counter()
    while len(run.history) < args.steps:
        for update in run.updates():
            run.step(update)
            if len(run.history) % args.save_every == 0 or len(run.history) == args.steps:
                run.save()
            if len(run.history) == args.steps:
                break
    if ranks()[0] == 0:
        report(run.history, time.perf_counter() - started)


class Run:
    """What is trained, and all that a checkpoint has to hold of it."""

    def __init__(self, model, collate, data: str, args: argparse.Namespace) -> None:
        self.args, self.device = args, device()
        self._widen(model)
        model.to(self.device).train()
        if args.checkpointing:
            model.gradient_checkpointing_enable()
        self.model = self._distributed(model)
        trained = [each for each in self.model.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=args.learning_rate, weight_decay=args.weight_decay)
        scale = partial(learning_rate_scale, warmup=args.warmup, decay_steps=args.decay_steps)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, scale)
        # Collators want the encoded pictures. Ranks share the rows out by themselves.
        rows = args.batch_size * args.accumulate
        self.dataset = StreamingDataset(data, args.config, seed=0, batch_size=rows, decode=None)
        self.loader = DataLoader(
            self.dataset,
            batch_size=rows,
            num_workers=args.workers,
            collate_fn=Updates(collate, args.batch_size),
            persistent_workers=args.workers > 0,
            generator=torch.Generator(),  # or it would take random numbers that dropout is to have, at each start
        )
        self.history: list[tuple[float, float]] = []  # text and picture loss of every step, over all ranks
        self._taken = 0  # updates of this epoch, since it began or since a state was loaded

    def _widen(self, model) -> None:
        """Checkpoints load as bfloat16, whose steps are too coarse for updates of 1e-5: most would be rounded away.
        What is frozen stays as it is, but for FSDP, which takes one type.
        """
        if self.args.fsdp or self.args.precision == "float32":
            model.float()
        for each in model.parameters():
            if each.requires_grad:
                each.data = each.data.float()

    def _distributed(self, model):
        if not dist.is_initialized():
            return model
        if not self.args.fsdp:
            devices = [self.device.index] if self.device.type == "cuda" else None
            return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
        in_bfloat16 = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        policy = in_bfloat16 if self.args.precision == "mixed" else MixedPrecisionPolicy()
        for layer in model.get_decoder().layers:
            fully_shard(layer, mp_policy=policy)
        return fully_shard(model, mp_policy=policy)

    def updates(self) -> Iterator[list[dict[str, torch.Tensor]]]:
        """Those left of this epoch; then another order is set."""
        for update in self.loader:
            self._taken += 1
            yield update
        self.dataset.set_epoch(self.dataset.epoch + 1)
        self._taken = 0

    def step(self, update: Sequence[dict[str, torch.Tensor]]) -> None:
        self.optimizer.zero_grad()
        tokens = tokens_of_update(update, device=self.device)
        sums = torch.zeros(2, 2, dtype=torch.float64, device=self.device)  # loss and tokens, of text and of pictures
        for number, batch in enumerate(update, 1):
            with self._syncing(number == len(update)):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.args.precision == "mixed"):
                    batch = {name: value.to(self.device) for name, value in batch.items()}
                    found = self.model(**batch, num_items_in_batch=tokens)
                found["loss"].backward()
            for row, kind in zip(sums, ("text", "image"), strict=True):
                count = found[f"{kind}_tokens"].double()
                row += torch.cat([found[f"{kind}_loss"].double().nan_to_num() * count, count])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.args.clip)
        self.optimizer.step()
        self.schedule.step()
        if dist.is_initialized():
            dist.all_reduce(sums)
        text, image = ((loss / count).item() for loss, count in sums)  # nan: none of that kind
        self.history.append((text, image))
        if len(self.history) % 20 == 0 and ranks()[0] == 0:
            print(f"step {len(self.history):4d}  text {text:.3f}  pictures {image:.3f}")

    def _syncing(self, is_last: bool):
        """Gradients are averaged over ranks once an update."""
        if isinstance(self.model, DistributedDataParallel):
            return nullcontext() if is_last else self.model.no_sync()
        if self.args.fsdp and dist.is_initialized():
            self.model.set_requires_gradient_sync(is_last)
        return nullcontext()

    def save(self) -> None:
        """A folder that appears whole or not at all, and then takes the place of the last one."""
        done, folder = list(checkpoints(self.args.out)), self.args.out / f"checkpoint-{len(self.history):06d}"
        part = folder.with_suffix(".part")
        model, optimizer = get_state_dict(self.model, self.optimizer)
        with without_warning():
            dcp.save({"model": model, "optimizer": optimizer}, checkpoint_id=part)
        rest = {
            "dataset": self.dataset.state_dict(batches=self._taken),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
            "random": gathered(random_states()),
        }
        if ranks()[0] == 0:
            torch.save(rest, part / "rest.pt")
            part.rename(folder)
            for each in done:
                shutil.rmtree(each)
        if dist.is_initialized():
            dist.barrier()

    def load(self) -> None:
        """The last checkpoint, which may be of another number of processes."""
        if not (found := list(checkpoints(self.args.out))):
            print("no checkpoint yet: starting from scratch")
            return
        folder = found[-1]
        model, optimizer = get_state_dict(self.model, self.optimizer)
        state = {"model": model, "optimizer": optimizer}
        with without_warning():
            dcp.load(state, checkpoint_id=folder)
        set_state_dict(self.model, self.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        rest = torch.load(folder / "rest.pt", weights_only=True)
        self.dataset.load_state_dict(rest["dataset"])
        self.schedule.load_state_dict(rest["schedule"])
        self.history = rest["history"]
        if ranks()[0] < len(rest["random"]):
            set_random_states(rest["random"][ranks()[0]])
        print(f"resumed at step {len(self.history)}, epoch {self.dataset.epoch}")


def learning_rate_scale(step: int, *, warmup: int, decay_steps: int) -> float:
    """Linear warmup, then constant, or a cosine to zero."""
    if step < warmup:
        return (step + 1) / warmup
    if not decay_steps:
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (step - warmup) / max(1, decay_steps - warmup)))


def checkpoints(out: Path) -> Iterator[Path]:
    """Whole ones, the last at the end."""
    return iter(sorted(each for each in out.glob("checkpoint-*") if each.suffix != ".part"))


@contextmanager
def without_warning() -> Iterator[None]:
    """That there is one process, which torch tells as a problem."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        yield


def random_states() -> list[torch.Tensor]:
    """Of the CPU, and of the GPU of this process, where dropout takes its numbers."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def set_random_states(states: Sequence[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if torch.cuda.is_available() and len(states) > 1:
        torch.cuda.set_rng_state(states[1])


def gathered(value: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Of every rank."""
    if not dist.is_initialized():
        return [value]
    values = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def report(history: list[tuple[float, float]], seconds: float) -> None:
    """First against last, text and pictures apart: one mean would hide that one of them does not learn."""
    part = max(1, len(history) // 10)
    for name, losses in zip(("text", "pictures"), zip(*history, strict=True), strict=True):
        first, last = mean(losses[:part]), mean(losses[-part:])
        print(f"{name}: {first:.3f} -> {last:.3f} (means of the first and the last {part} of {len(history)} steps)")
    print(f"{seconds:.1f} s")


def mean(losses: Sequence[float]) -> float:
    there = [loss for loss in losses if not math.isnan(loss)]  # nan: a step without pictures in its answers
    return sum(there) / len(there) if there else math.nan
