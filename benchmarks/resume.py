"""Resume at half of an epoch of 100,000 rows: are the rows that follow those of a run nobody stopped?

    python benchmarks/resume.py --folder /tmp/resume-benchmark [--max-tokens 8000 [--packing]]

Each line stops a run with so many workers and ranks after half of epoch 1 and resumes it with others, through epoch 3.
Ranks are merged in the order of their batches and compared, id by id, with the same epochs read by one process without
workers; with --max-tokens batch by batch.
"""

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from stream_data import shard_of
from torch.utils.data import DataLoader

from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.manifest import Manifest, Shard
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.lengths import SCHEMA, StoredLengths

BATCH, WORKERS, RANKS, EPOCH = 8, (0, 1, 2, 4), (1, 2, 4), 1


TASKS = ("cot_collection", "image_editing", "llava_cot")  # shards in turn, of very unequal sizes


def write_packed(folder: Path, rows: int) -> None:
    """Uneven shards and row groups; rows without pictures, for only the order is looked at. And lengths of all rows."""
    shards: list[Shard] = []
    first, sizes = 0, itertools.cycle([1701, 93, 640, 1, 2222])
    while first < rows:
        groups = []
        task = TASKS[len(shards) % 7 % len(TASKS)]
        path = folder / "data" / task / f"train-{len(shards):05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path, ARROW_SCHEMA) as writer:
            for size in itertools.islice(sizes, 3):
                if size := min(size, rows - first):
                    writer.write_table(_table(range(first, first + size)))
                    groups.append(size)
                    first += size
        shards.append(shard_of(folder, path, task, groups))
    (folder / "MANIFEST.json").write_text(Manifest(source={}, options={}, shards=tuple(shards)).to_json())
    lengths = [{"id": f"r-{n}", "collator": "any", "num_tokens": 1 + n * 7919 % 997, "fault": ""} for n in range(rows)]
    pq.write_table(pa.Table.from_pylist(lengths, schema=SCHEMA), folder / "lengths-all.parquet")


def _table(numbers: range) -> pa.Table:
    empty: dict[str, list[object]] = {
        "messages": [],
        "images": [],
        "image_roles": [],
        "image_captions": [],
        "regions": [],
    }
    columns = {name: [empty.get(name, "")] * len(numbers) for name in ARROW_SCHEMA.names}
    return pa.table({**columns, "id": [f"r-{number}" for number in numbers]}, schema=ARROW_SCHEMA)


@dataclass(frozen=True, kw_only=True)
class Run:
    """How all runs read."""

    folder: Path
    max_tokens: int | None
    packing: bool

    @cached_property
    def lengths(self) -> StoredLengths:
        return StoredLengths(self.folder)

    def make(self, rank: int = 0, ranks: int = 1) -> StreamingDataset:
        options: dict[str, Any] = {"batch_size": BATCH}
        if self.max_tokens:
            options = {"max_tokens": self.max_tokens, "packing": self.packing, "lengths": self.lengths}
        return StreamingDataset(
            self.folder, decode=None, columns=["id"], rank=rank, world_size=ranks, seed=7, lanes=16, **options
        )

    def batches(self, dataset: StreamingDataset, workers: int) -> Iterator[Any]:
        size = None if self.max_tokens else BATCH
        return iter(DataLoader(dataset, size, num_workers=workers, collate_fn=lambda rows: [row["id"] for row in rows]))

    def merged(self, ranks: list[list[list[str]]]) -> list[Any]:
        """Ids in the global order, a batch of each rank in turn; by tokens whole batches."""
        batches = [batch for step in zip(*ranks, strict=True) for batch in step]
        return batches if self.max_tokens else [id_ for batch in batches for id_ in batch]

    def steps(self, ranks: int, whole: int) -> int:
        """Half of an epoch of `whole` rows or batches."""
        return whole // (2 * ranks * (1 if self.max_tokens else BATCH))

    def stop_at_half(self, workers: int, ranks: int, whole: int) -> dict[str, Any]:
        dataset, steps = self.make(0, ranks), self.steps(ranks, whole)
        dataset.set_epoch(EPOCH)
        taken = list(itertools.islice(self.batches(dataset, workers), steps))
        if len(taken) != steps:
            raise SystemExit(f"stopped after {len(taken)} steps; expected {steps}")
        state: dict[str, Any] = dataset.state_dict(batches=steps)
        return state

    def resume(self, state: dict[str, Any], workers: int, ranks: int) -> list[list[Any]]:
        """The rest of the epoch and the two that follow, each merged over the ranks."""
        read: list[list[list[list[str]]]] = []  # rank, epoch, batch
        for rank in range(ranks):
            dataset = self.make(rank, ranks)
            dataset.load_state_dict(json.loads(json.dumps(state)))
            epochs = [list(self.batches(dataset, workers))]
            for epoch in (EPOCH + 1, EPOCH + 2):
                dataset.set_epoch(epoch)
                epochs.append(list(self.batches(dataset, workers)))
            read.append(epochs)
        return [self.merged([epochs[number] for epochs in read]) for number in range(3)]

    def first_batch_s(self, state: dict[str, Any]) -> float:
        """From opening the dataset to its first batch after a resume, without workers."""
        started = time.perf_counter()
        dataset = self.make()
        dataset.load_state_dict(state)
        next(self.batches(dataset, 0))
        return time.perf_counter() - started

    def undisturbed(self) -> list[list[Any]]:
        dataset, epochs = self.make(), []
        for epoch in (EPOCH, EPOCH + 1, EPOCH + 2):
            dataset.set_epoch(epoch)
            epochs.append(self.merged([list(self.batches(dataset, 0))]))
        return epochs


def count_ids(epoch: list[Any]) -> int:
    return len({id_ for each in epoch for id_ in (each if isinstance(each, list) else [each])})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--max-tokens", type=int, help="batches by tokens")
    parser.add_argument("--packing", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.folder / "MANIFEST.json").exists():
        write_packed(arguments.folder, arguments.rows)
    run = Run(folder=arguments.folder, max_tokens=arguments.max_tokens, packing=arguments.packing)
    wanted = run.undisturbed()
    if any(count_ids(epoch) != arguments.rows for epoch in wanted) or wanted[0] == wanted[1]:
        raise SystemExit("the undisturbed run is not each row once in another order per epoch")
    counts = list(itertools.product(WORKERS, RANKS))
    wrong = 0
    print(
        f"{'stopped (workers, ranks)':>26} {'resumed':>10} {'compared':>14} {'equal':>6} {'state B':>8} "
        f"{'first batch s':>14}"
    )
    for number, stopped in enumerate(counts):
        state = run.stop_at_half(*stopped, len(wanted[0]))
        begin = run.steps(stopped[1], len(wanted[0])) * stopped[1] * (1 if run.max_tokens else BATCH)
        expected = [wanted[0][begin:], *wanted[1:]]
        for resumed in (stopped, counts[(number + 5) % len(counts)]):
            found = run.resume(state, *resumed)
            dropped = [len(each) % resumed[1] for each in expected]  # so that ranks are even
            equal = all(ids == want[: len(want) - odd] for ids, want, odd in zip(found, expected, dropped, strict=True))
            wrong += not equal
            size, seconds = len(json.dumps(state)), run.first_batch_s(state)
            print(
                f"{stopped!s:>26} {resumed!s:>10} {sum(map(len, found)):14,} {'yes' if equal else 'NO':>6} {size:8} "
                f"{seconds:14.3f}",
                flush=True,
            )
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
