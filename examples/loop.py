"""What the training examples share: their options, a small dataset, stored picture ids, and a loop that stops and goes
on exactly.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from toolkit.demo.data import pack_demo
from toolkit.staging.files import whole_file
from unifiedvisual import StoredTokens, StreamingDataset, tokenize


def options(description: str, *, config: str = "visual_generation") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--data", help="packed folder or Hub dataset; without it a small one is made from photographs that come along"
    )
    parser.add_argument("--config", default=config, help="all, a family or a task")
    parser.add_argument(
        "--model", help="checkpoint, a folder or Hub id; without it a tiny random model that learns on a CPU"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("example-out"), help="folder for data, picture ids and checkpoint"
    )
    parser.add_argument("--steps", type=int, default=80, help="where to stop, counted from the very first step")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2, help="processes that read and collate")
    parser.add_argument(
        "--learning-rate", type=float, default=3e-3, help="for the tiny model; a real one wants about 1e-5"
    )
    return parser


def packed_data(args: argparse.Namespace) -> str:
    """--data, or the demo dataset of the same config: made, packed, and used again by the next run."""
    if args.data:
        return str(args.data)
    return str(pack_demo(args.out / f"packed-{args.config}", args.config))


def stored_tokens(args: argparse.Namespace, data: str, tokenizer) -> StoredTokens:
    """Ids of all pictures, computed once: the loop then needs no VQ model, and worker processes can collate though the
    model is on a GPU.

    `unifiedvisual tokenize` does the same beforehand.
    """
    rows = StreamingDataset(
        data, args.config, shuffle=False, decode=None, rank=0, world_size=1
    )  # all of them, on whatever rank
    print(f"tokenize: {dict(tokenize(rows, tokenizer, args.out / 'tokens', answers_only=tokenizer.answers_only))}")
    return StoredTokens(
        args.out / "tokens", revision=tokenizer.revision
    )  # the revision: never the ids of another checkpoint


def train(model, collate, data: str, args: argparse.Namespace) -> None:
    """Trains a LossModel from where it stands to --steps, and leaves a checkpoint from which --resume goes on as if
    nothing had happened.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not args.model:
        torch.set_num_threads(1)  # so small a model is faster without others
    dataset = StreamingDataset(
        data, args.config, seed=0, batch_size=args.batch_size, decode=None
    )  # collators want the encoded pictures
    model.to(device).train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=args.learning_rate)
    history: list[tuple[float, float]] = []  # text loss and picture loss of every step
    if args.resume:
        saved = torch.load(args.out / "checkpoint.pt", map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        dataset.load_state_dict(saved["dataset"])
        torch.set_rng_state(saved["rng"].cpu())
        history = saved["history"]
        print(f"resumed at step {len(history)}, epoch {dataset.epoch}")
    own = torch.Generator()  # or the loader would take random numbers that dropout is to have, one for each start
    loader = DataLoader(
        dataset,
        generator=own,
        batch_size=args.batch_size,
        num_workers=args.workers,
        collate_fn=collate,
        persistent_workers=args.workers > 0,
    )
    started, batches = time.perf_counter(), 0
    while len(history) < args.steps:
        batches = 0  # got in this epoch, since it began or since the state was loaded
        for batch in loader:
            losses = model(**{name: value.to(device) for name, value in batch.items()})
            optimizer.zero_grad()
            losses["loss"].backward()
            optimizer.step()
            history.append((losses["text_loss"].item(), losses["image_loss"].item()))
            batches += 1
            if len(history) % 20 == 0:
                print(f"step {len(history):4d}  text {history[-1][0]:.3f}  pictures {history[-1][1]:.3f}")
            if len(history) == args.steps:
                break
        else:
            dataset.set_epoch(dataset.epoch + 1)  # another order
    # Whole or not at all. A longer run calls this every some hundred steps.
    with whole_file(args.out / "checkpoint.pt") as file:
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "dataset": dataset.state_dict(batches=batches),
        }
        torch.save({**state, "rng": torch.get_rng_state(), "history": history}, file)
    report(history, time.perf_counter() - started)


def report(history: list[tuple[float, float]], seconds: float) -> None:
    """First against last, text and pictures apart: one mean would hide that one of them does not learn."""
    part = max(1, len(history) // 10)
    for name, losses in zip(("text", "pictures"), zip(*history, strict=True), strict=True):
        print(
            f"{name}: {_mean(losses[:part]):.3f} -> {_mean(losses[-part:]):.3f} (means of the first and the last "
            f"{part} of {len(history)} steps)"
        )
    print(f"{seconds:.1f} s")


def _mean(losses) -> float:
    there = [loss for loss in losses if not math.isnan(loss)]  # nan: a batch without pictures in its answers
    return sum(there) / len(there) if there else math.nan
