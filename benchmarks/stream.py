"""Decode, resize to 256, collate: ours beside the decoder alone and other streaming loaders, in one table.

    python benchmarks/stream.py --folder /tmp/stream-benchmark

Rows hold 1 to 4 JPEGs of 512 to 1024 pixels, batches 16 rows (--batch): the smaller, the more it costs a picture to
pass them from worker to loop. Each cell is a process of its own, cells take turns, and the median counts. Peers run
twice: with the recipe their users write (Pillow: shorter side to 256, crop), and with our "fused" decoder put in,
for most of a difference is the recipe, not the container.

    CPU-ms/image   of the process and its workers, without imports; the robust column
    first batch s  from opening the dataset
    memory MB      peak of the process and its workers, anonymous and shared, beyond the process after its imports
    limit          the decoder alone, in two processes at once, as loaders have; DataLoader: torch's, over encoded
                   pictures in memory, so with the cost of
                   handing batches from worker to loop, and nothing read
    resume s       to the first batch after half an epoch, in a process without workers; "-" where there is
                   nothing to resume from

Peers that are not installed are left out, by name: pip install webdataset litdata megatron-energon mosaicml-streaming
(the last needs torchvision).
"""

import argparse
import contextlib
import importlib.util
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from stream_data import encoded_rows, samples, write_packed
from stream_peers import PEERS
from torch.utils.data import DataLoader

from toolkit.streaming.batch import collate_images
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.decode import DecodeMode, PictureDecoder, Target

WORKERS, SIZE = 2, 256
PICTURES_PER_ROW = 2.5  # on average
READY, MEASURED = "-- ready --", "-- measured --"
MODES = ("exact", "fused", "scaled")


def pillow_recipe(images: list[bytes]) -> torch.Tensor:
    """What users write with Pillow alone; torchvision's Resize and CenterCrop do the same on PIL pictures."""
    made = []
    for data in images:
        picture = Image.open(io.BytesIO(data)).convert("RGB")
        scale = SIZE / min(picture.size)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR
        )
        left, top = (picture.width - SIZE) // 2, (picture.height - SIZE) // 2
        made.append(torch.from_numpy(np.array(picture.crop((left, top, left + SIZE, top + SIZE)))).permute(2, 0, 1))
    return torch.stack(made)


def our_recipe(mode: str) -> Callable[[list[bytes]], torch.Tensor]:
    return lambda images: _collated([images], mode)["pixel_values"]


def _collated(rows: list[list[bytes]], mode: str) -> dict[str, Any]:
    decoder = PictureDecoder(mode, Target(size=(SIZE, SIZE)))  # type: ignore[arg-type]
    return collate_images([{"images": [decoder.decode(data, "") for data in row]} for row in rows])


def limit_cell(folder: Path, mode: str, batch: int) -> dict[str, float]:
    """The decoder alone, in as many processes as loaders have workers: encoded pictures lie in memory, batches are put
    together, nothing else.
    """
    images = [image for row in encoded_rows(folder) for image in row]
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("fork")) as pool:
        shares = (images[number::WORKERS] for number in range(WORKERS))
        seconds = pool.map(decode_s, repeat(mode), shares, repeat(round(batch * PICTURES_PER_ROW)))
        return {"cpu_ms": sum(seconds) * 1e3 / len(images)}


def decode_s(mode: str, images: list[bytes], at_a_time: int) -> float:
    """CPU seconds that it takes."""
    recipe = pillow_recipe if mode == "Pillow" else our_recipe(mode)
    started = time.process_time()
    for start in range(0, len(images), at_a_time):
        recipe(images[start : start + at_a_time])
    return time.process_time() - started


def loader_cell(make: Callable[[Any, int], Any], state: Callable[[int], Any] | None) -> dict[str, float]:
    """An epoch with workers; then, without, half an epoch, its state, and the first batch after it."""
    before, opened = _cpu_s(), time.perf_counter()
    images, first, batches = 0, 0.0, 0
    for batch in make(None, WORKERS):
        first = first or time.perf_counter() - opened
        images += len(batch["pixel_values"])
        batches += 1
    found = {"cpu_ms": (_cpu_s() - before) * 1e3 / images, "first_s": first, "images": images}
    if state is None:
        return found
    print(MEASURED, flush=True)  # memory is that of the epoch with workers
    stopped = iter(make(None, 0))
    for _ in range(batches // 2):
        next(stopped)
    saved = state(batches // 2)
    opened = time.perf_counter()
    next(iter(make(saved, 0)))
    return {**found, "resume_s": time.perf_counter() - opened}


def _cpu_s() -> float:
    """Of this process and all below it: those that have ended, and those that a loader keeps."""
    ended = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    kept = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in _children(os.getpid()))
    return ended + sum(int(fields[11]) + int(fields[12]) for fields in kept) / os.sysconf(
        "SC_CLK_TCK"
    )  # utime and stime of proc(5)


def run_cell(folder: Path, way: str, recipe: str, batch: int = 16) -> dict[str, float]:
    """One way of reading, with batches of `batch` rows."""
    torch.set_num_threads(1)
    if way == "limit":
        return limit_cell(folder / "packed", recipe, batch)
    made: dict[str, Any] = {}

    def ours(saved: Any, workers: int) -> Any:
        decode, columns = cast(DecodeMode, recipe), ["id", "images"]
        dataset = StreamingDataset(folder / "packed", decode=decode, image_size=SIZE, batch_size=batch, columns=columns)
        made["dataset"] = dataset
        if saved:
            dataset.load_state_dict(saved)
        return DataLoader(dataset, batch_size=batch, num_workers=workers, collate_fn=collate_images)

    if way == "DataLoader":
        encoded: Any = encoded_rows(folder / "packed")  # a list is all that DataLoader needs

        def plain(_: Any, workers: int) -> Any:
            return DataLoader(encoded, batch, num_workers=workers, collate_fn=lambda rows: _collated(rows, recipe))

        return loader_cell(plain, None)
    if way == "ours":
        return loader_cell(ours, lambda batches: made["dataset"].state_dict())
    peer = PEERS[way]()
    importlib.import_module(peer.package)
    transform = pillow_recipe if recipe == "Pillow" else our_recipe(recipe)
    state = getattr(peer, "state", None)

    def theirs(saved: Any, workers: int) -> Any:
        return peer.loader(folder / way, transform, batch=batch, workers=workers, state=saved)

    return loader_cell(theirs, state and (lambda batches: state(batches, batch)))


def memory_mb(pid: int) -> float:
    """Anonymous memory of a process and all below it, and that of the shared memory they have open, whoever has touched
    it.
    """
    anonymous, shared = 0, {}
    for each in [pid, *_children(pid)]:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            anonymous += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss_Anon"))
            for file in Path(f"/proc/{each}/fd").iterdir():
                with contextlib.suppress(OSError):  # closed meanwhile
                    if str(file.readlink()).startswith(("/dev/shm/", "/memfd:")):
                        found = file.stat()
                        shared[found.st_dev, found.st_ino] = found.st_blocks * 512  # of stat(2)
    return (anonymous + sum(shared.values())) / 2**20


def _children(pid: int) -> list[int]:
    """All processes below this one."""
    found = [pid]
    for above in found:
        for tasks in Path(f"/proc/{above}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += map(int, tasks.read_text().split())
    return found[1:]


def measure(folder: Path, way: str, recipe: str, *, batch: int, is_watched: bool) -> dict[str, float]:
    """Run a cell in a process of its own; watching its memory costs it CPU time, so that is a run of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--folder", str(folder), "--batch", str(batch)]
    with (
        tempfile.TemporaryDirectory() as folder_,
        (output := Path(folder_, "output")).open("w") as file,
        subprocess.Popen([*command, "--cell", way, recipe], stdout=file, stderr=file) as cell,
    ):
        peak = watch(cell, output) if is_watched else 0.0
        cell.wait()
        lines = [line for line in output.read_text().splitlines() if line.startswith("{")]
        if not lines:
            raise SystemExit(f"{way} ({recipe}) failed:\n{output.read_text()[-3000:]}")
    return {"memory_mb": peak} if is_watched else json.loads(lines[-1])


def watch(cell: "subprocess.Popen[bytes]", output: Path) -> float:
    """Peak memory in MB beyond that after its imports."""
    peak, bare = 0.0, 0.0
    while cell.poll() is None:
        text = output.read_text()
        if READY in text and not bare:
            bare = memory_mb(cell.pid)
        if READY in text and MEASURED not in text:
            peak = max(peak, memory_mb(cell.pid))
        time.sleep(0.1)
    return peak - bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="rows of a batch")
    parser.add_argument("--only", nargs="*", help="ways to run, of: limit, DataLoader, ours, " + ", ".join(PEERS))
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell:
        way, recipe = arguments.cell
        if way in PEERS:
            importlib.import_module(PEERS[way].package)
        print(READY, flush=True)
        time.sleep(0.3)  # its bare memory is read
        print(json.dumps(run_cell(arguments.folder, way, recipe, arguments.batch)), flush=True)
        os._exit(0)  # the packaged Parquet reader of datasets, left early, aborts at exit
    peers = [name for name, peer in PEERS.items() if is_installed(peer.package)]
    print("not installed, left out:", ", ".join(sorted(set(PEERS) - set(peers))) or "none")
    cells = [
        *(("limit", mode) for mode in (*MODES, "Pillow")),
        *(("DataLoader", mode) for mode in MODES),
        *(("ours", mode) for mode in MODES),
    ]
    cells += [(peer, recipe) for recipe in ("Pillow", "fused") for peer in peers]
    if arguments.only:
        cells = [cell for cell in cells if cell[0] in arguments.only]
    write_all(arguments.folder, arguments.rows, [peer for peer in peers if (peer, "fused") in cells])
    found: dict[tuple[str, str], list[dict[str, float]]] = {cell: [] for cell in cells}
    for _ in range(arguments.repeats):
        for cell in cells:
            found[cell].append(measure(arguments.folder, *cell, batch=arguments.batch, is_watched=False))
            print(*cell, found[cell][-1], file=sys.stderr, flush=True)
    memory = {
        cell: measure(arguments.folder, *cell, batch=arguments.batch, is_watched=True)["memory_mb"]
        for cell in cells
        if cell[0] != "limit"
    }
    report(found, memory)


def is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of the package it lies in
        return False


def write_all(folder: Path, count: int, peers: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "packed" / "MANIFEST.json").exists():
        write_packed(folder / "packed", count)
    for name in peers:
        if not (folder / name).exists():
            PEERS[name]().write(samples(count), folder / name)


def report(found: dict[tuple[str, str], list[dict[str, float]]], memory: dict[tuple[str, str], float]) -> None:
    print(
        f"{'way':20} {'decoder':8} {'CPU-ms/image':>14} {'range':>12} {'first batch s':>14} {'memory MB':>10} "
        f"{'resume s':>9}"
    )
    for (way, recipe), runs in found.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        spread = f"{min(run['cpu_ms'] for run in runs):.2f}-{max(run['cpu_ms'] for run in runs):.2f}"
        rest = f"{median['first_s']:14.2f} {memory[way, recipe]:10.0f}" if way != "limit" else " " * 25
        resume = f"{median['resume_s']:9.2f}" if "resume_s" in median else " " * 8 + "-"
        print(f"{way:20} {recipe:8} {median['cpu_ms']:14.2f} {spread:>12} {rest} {resume if way != 'limit' else ''}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
