"""Padding and tokens per second: batches of so many rows, batches by tokens, and packed ones, in one run.

    python benchmarks/tokens.py --folder /tmp/tokens-benchmark

Rows of every task (config `all`), pictures of 1,024 ids as of Chameleon, text of a token a byte; a model of the
architecture of Chameleon, so small that a CPU trains it. Batches by rows have as many rows as fit the budget of tokens
in the worst batch, for so one has to choose them.

    padding        share of the positions of all batches of an epoch that hold no token
    tokens/step    that are no padding, on average
    tokens/s       by CPU time: forward, backward and an optimizer's step, padding not counted; batches collated
                   beforehand. On a CPU, attention to all of a long sequence is computed and then masked, which a GPU
                   with kernels for blocks does not, so packing gains less here, or loses.
"""

import argparse
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from toolkit.collate import get_collator
from toolkit.collate.common import Collator
from toolkit.collate.lengths import measure_lengths
from toolkit.collate.loss import vocabulary_losses
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.demo.tiny_models import tiny_chameleon
from toolkit.packing.pack import pack
from toolkit.sources.layout import open_source
from toolkit.streaming.dataset import StreamingDataset
from toolkit.tasks import TASKS

PICTURE_IDS = 1024


class AnyIds:
    """As many ids a picture as Chameleon's tokenizer gives; which ones does not matter here."""

    revision = "any ids"

    def __init__(self, codes: list[int]) -> None:
        self._codes = torch.tensor(codes)

    def encode(self, images: list[Image.Image]) -> list[Tensor]:
        seeds = (zlib.crc32(image.tobytes()) for image in images)
        return [
            self._codes[torch.randint(len(self._codes), (PICTURE_IDS,), generator=torch.Generator().manual_seed(seed))]
            for seed in seeds
        ]


def write_data(folder: Path, rows: int) -> None:
    if not (folder / "packed").exists():
        write_replica(folder / "upstream", {task: list(demo_rows(task, rows)) for task in TASKS})
        pack(open_source(folder / "upstream"), folder / "packed", list(TASKS))


def prepared() -> tuple[Any, Collator]:
    tiny = tiny_chameleon()
    tiny.processor.image_seq_length = PICTURE_IDS
    image_tokens = AnyIds(tiny.model.model.vocabulary_mapping.image_tokens)
    return tiny.model, get_collator("chameleon", processor=tiny.processor, image_tokens=image_tokens)


def ways(folder: Path, budget: int) -> Iterator[tuple[str, StreamingDataset, int | None]]:
    """Name, dataset and batch size of its loader."""
    common: dict[str, Any] = {"decode": None, "lengths": folder / "lengths"}
    by_tokens = StreamingDataset(folder / "packed", max_tokens=budget, **common)
    longest = max(
        row["num_tokens"] for row in StreamingDataset(folder / "packed", columns=["id"], lengths=folder / "lengths")
    )
    rows = max(1, budget // longest)
    yield f"{rows} rows", StreamingDataset(folder / "packed", batch_size=rows, **common), rows
    yield "max_tokens", by_tokens, None
    yield "packing", StreamingDataset(folder / "packed", max_tokens=budget, packing=True, **common), None


def real_tokens(batch: dict[str, Tensor], padding_id: int) -> int:
    """Tokens that are no padding."""
    mask = batch.get("attention_mask")
    return int(mask.sum()) if mask is not None else int((batch["input_ids"] != padding_id).sum())


def measure(model: Any, loader: "DataLoader[Any]", padding_id: int, steps: int) -> dict[str, float]:
    """The whole epoch for padding, so many of its batches for speed."""
    batches, positions, tokens = [], 0, 0
    for number, batch in enumerate(loader):
        positions += batch["input_ids"].numel()
        tokens += real_tokens(batch, padding_id)
        if number < steps:
            batches.append(batch)
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad])
    started, trained = time.process_time(), 0
    for batch in batches:
        optimizer.zero_grad()
        vocabulary_losses(model, batch).mean.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        trained += real_tokens(batch, padding_id)
    seconds = time.process_time() - started
    return {
        "steps": number + 1,
        "padding": 1 - tokens / positions,
        "per_step": tokens / (number + 1),
        "per_s": trained / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=60, help="of each task")
    parser.add_argument("--max-tokens", type=int, default=16384)
    parser.add_argument("--steps", type=int, default=12, help="that are trained of each way")
    arguments = parser.parse_args()
    write_data(arguments.folder, arguments.rows)
    model, collate = prepared()
    print(measure_lengths(arguments.folder / "packed", collate, arguments.folder / "lengths"))
    print(f"{'batches':>12} {'steps':>6} {'padding':>8} {'tokens/step':>12} {'tokens/s':>10}")
    for name, dataset, batch_size in ways(arguments.folder, arguments.max_tokens):
        loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collate)
        found = measure(model, loader, collate.pad_id, arguments.steps)
        print(
            f"{name:>12} {found['steps']:6.0f} {found['padding']:8.1%} {found['per_step']:12,.0f} "
            f"{found['per_s']:10,.0f}",
            flush=True,
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
