"""Resume at half of an epoch of 100,000 rows: are the rows that follow those of a run nobody stopped?

    python benchmarks/resume.py --folder /tmp/resume-benchmark

Each line stops a run with so many workers and ranks after half of epoch 1 and goes on with others, through epoch 3.
Ranks are merged in the order of their batches and compared, id by id, with the same epochs read by one process without
workers.
"""

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch.utils.data import DataLoader

from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.manifest import Manifest, Shard
from toolkit.streaming.dataset import StreamingDataset

BATCH, WORKERS, RANKS, EPOCH = 8, (0, 1, 2, 4), (1, 2, 4), 1


def write_packed(folder: Path, rows: int) -> None:
    """Uneven shards and row groups; rows without pictures, for only the order is looked at."""
    (folder / "data" / "cot_collection").mkdir(parents=True)
    shards, first, sizes = [], 0, itertools.cycle([1701, 93, 640, 1, 2222])
    while first < rows:
        groups = []
        path = folder / "data" / "cot_collection" / f"train-{len(shards):05d}.parquet"
        with pq.ParquetWriter(path, ARROW_SCHEMA) as writer:
            for size in itertools.islice(sizes, 3):
                if size := min(size, rows - first):
                    writer.write_table(_table(range(first, first + size)))
                    groups.append(size)
                    first += size
        numbers = {"rows": sum(groups), "images": 0, "image_bytes": 0, "bytes": path.stat().st_size}
        shards.append(
            Shard(
                path=path.relative_to(folder).as_posix(),
                task="cot_collection",
                sha256="",
                row_groups=tuple(groups),
                quadrants={},
                **numbers,
            )
        )
    (folder / "MANIFEST.json").write_text(Manifest(source={}, options={}, shards=tuple(shards)).to_json())


def _table(numbers: range) -> pa.Table:
    empty = {"messages": [], "images": [], "image_roles": [], "image_captions": [], "regions": []}
    columns = {name: [empty.get(name, "")] * len(numbers) for name in ARROW_SCHEMA.names}
    return pa.table({**columns, "id": [f"r-{number}" for number in numbers]}, schema=ARROW_SCHEMA)


def make(folder: Path, rank: int = 0, ranks: int = 1) -> StreamingDataset:
    return StreamingDataset(
        folder, decode=None, columns=["id"], batch_size=BATCH, rank=rank, world_size=ranks, seed=7, lanes=16
    )


def batches(dataset: StreamingDataset, workers: int) -> Iterator[list[str]]:
    return iter(DataLoader(dataset, BATCH, num_workers=workers, collate_fn=lambda rows: [row["id"] for row in rows]))


def merged(ranks: list[list[list[str]]]) -> list[str]:
    """Ids in the global order: a batch of each rank in turn."""
    return [id_ for step in zip(*ranks, strict=True) for batch in step for id_ in batch]


def stop_at_half(folder: Path, workers: int, ranks: int, rows: int) -> dict[str, Any]:
    dataset = make(folder, 0, ranks)
    dataset.set_epoch(EPOCH)
    steps = rows // (2 * BATCH * ranks)
    taken = list(itertools.islice(batches(dataset, workers), steps))
    if len(taken) != steps:
        raise SystemExit(f"stopped after {len(taken)} steps; expected {steps}")
    state: dict[str, Any] = dataset.state_dict(batches=steps)
    return state


def go_on(folder: Path, state: dict[str, Any], workers: int, ranks: int) -> list[list[str]]:
    """The rest of the epoch and the two that follow, each merged over the ranks."""
    read: list[list[list[list[str]]]] = []  # rank, epoch, batch
    for rank in range(ranks):
        dataset = make(folder, rank, ranks)
        dataset.load_state_dict(json.loads(json.dumps(state)))
        epochs = [list(batches(dataset, workers))]
        for epoch in (EPOCH + 1, EPOCH + 2):
            dataset.set_epoch(epoch)
            epochs.append(list(batches(dataset, workers)))
        read.append(epochs)
    return [merged([epochs[number] for epochs in read]) for number in range(3)]


def first_batch_s(folder: Path, state: dict[str, Any]) -> float:
    """From opening the dataset to its first batch after a resume, without workers."""
    started = time.perf_counter()
    dataset = make(folder)
    dataset.load_state_dict(state)
    next(batches(dataset, 0))
    return time.perf_counter() - started


def undisturbed(folder: Path) -> list[list[str]]:
    dataset, epochs = make(folder), []
    for epoch in (EPOCH, EPOCH + 1, EPOCH + 2):
        dataset.set_epoch(epoch)
        epochs.append([id_ for batch in batches(dataset, 0) for id_ in batch])
    return epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    if not (arguments.folder / "MANIFEST.json").exists():
        write_packed(arguments.folder, arguments.rows)
    wanted = undisturbed(arguments.folder)
    if any(len(set(epoch)) != arguments.rows for epoch in wanted) or wanted[0] == wanted[1]:
        raise SystemExit("the undisturbed run is not each row once in another order per epoch")
    counts = list(itertools.product(WORKERS, RANKS))
    wrong = 0
    print(
        f"{'stopped (workers, ranks)':>26} {'gone on':>10} {'rows compared':>14} {'equal':>6} {'state B':>8} "
        f"{'first batch s':>14}"
    )
    for number, stopped in enumerate(counts):
        state = stop_at_half(arguments.folder, *stopped, arguments.rows)
        begin = arguments.rows // (2 * BATCH * stopped[1]) * BATCH * stopped[1]
        expected = [wanted[0][begin:], *wanted[1:]]
        for resumed in (stopped, counts[(number + 5) % len(counts)]):
            found = go_on(arguments.folder, state, *resumed)
            dropped = [len(ids) % resumed[1] for ids in expected]  # so that ranks are even
            equal = all(ids == want[: len(want) - odd] for ids, want, odd in zip(found, expected, dropped, strict=True))
            wrong += not equal
            size, seconds = len(json.dumps(state)), first_batch_s(arguments.folder, state)
            print(
                f"{stopped!s:>26} {resumed!s:>10} {sum(map(len, found)):14,} {'yes' if equal else 'NO':>6} {size:8} "
                f"{seconds:14.3f}",
                flush=True,
            )
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
