"""Speed and memory of converting.

    python benchmarks/convert.py [--to webdataset] [--profile rows] [--rows 10000] [--image-kb 100] [--folder DIR]
                                 [--workers 1]

Writes `rows` rows with twice as many pictures (small JPEGs with random bytes behind them) and compares with Python
writing the same pictures and JSON from memory, in the same run and folder, with and without waiting for the disk: by
tarfile where the format makes a few large files, else each picture into a file of its own; by the clock, and by the
time of the CPU, user and system. Then runs a fifth of the rows and all of them in fresh processes and prints the peak
of resident memory of each.
"""

import argparse
import io
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from conversion import convert_shards
from conversion.formats import get_format
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row

ROWS_IN_SHARD = 2500
POOL = 64  # different pictures; rows take turns
ASKED = Part("text", "Make it night, but leave the people by the fire as bright as they are.")
TOLD = Part("text", "The sky turns dark and the fire lights the faces. " * 8)
# Parts of question and answer, two pictures each.
EDIT = ((IMAGE_PART, ASKED), (TOLD, IMAGE_PART))
SHAPES = {
    "finevision": ((IMAGE_PART, IMAGE_PART, ASKED), (TOLD,)),
    "zebra-cot": ((IMAGE_PART, ASKED), (TOLD, IMAGE_PART, TOLD)),
}


class Rows:
    """A shard of rows which are made as they are read."""

    def __init__(self, number: int, num_rows: int, image_kb: int, shape: str) -> None:
        self.number, self.num_rows, self.image_kb, self.shape = number, num_rows, image_kb, shape

    def __call__(self) -> Iterator[Row]:
        file = io.BytesIO()
        Image.new("RGB", (64, 64)).save(file, "jpeg")
        head = file.getvalue()
        pool = [head + random.Random(seed).randbytes(max(0, self.image_kb * 1000 - len(head))) for seed in range(POOL)]
        question, answer = SHAPES.get(self.shape, EDIT)
        is_drawn = IMAGE_PART in answer
        for position in range(self.num_rows):
            yield Row(
                id=f"ie-{self.number:04d}-{position:08d}",
                task="image_editing",
                quadrant="mm-mm" if is_drawn else "mm-text",
                messages=(Message("user", question), Message("assistant", answer)),
                images=tuple(EncodedImage(pool[(position + place) % POOL], "a.jpg") for place in (0, 1)),
                image_roles=("input", "output" if is_drawn else "input"),
                image_captions=("", "night"),
                provenance=json.dumps({"row": position}),
            )


def files_of(row: Row) -> list[tuple[str, bytes]]:
    columns = json.dumps(row.to_dict() | {"images": []}).encode()
    pictures = [(f"{row.id}.{n}.jpg", image.bytes) for n, image in enumerate(row.images)]
    return [(f"{row.id}.json", columns), *pictures]


def tar_from_memory(shards: list[Rows], folder: Path, *, sync: bool) -> None:
    """The same pictures and JSON by tarfile."""
    for shard in shards:
        with tarfile.open(folder / f"{shard.number}.tar", "w") as tar:
            for name, content in (each for row in shard() for each in files_of(row)):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        if sync:
            handle = os.open(folder / f"{shard.number}.tar", os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


def files_from_memory(shards: list[Rows], folder: Path, *, sync: bool) -> None:
    """The same pictures into a file each, their JSON into lines."""
    for shard in shards:
        place = folder / str(shard.number)
        place.mkdir()
        with (folder / f"{shard.number}.jsonl").open("wb") as lines:
            for row in shard():
                (_, columns), *pictures = files_of(row)
                lines.write(columns + b"\n")
                for name, content in pictures:
                    (place / name).write_bytes(content)
    if sync:
        os.sync()


def seconds(work: Callable[[Path], object], folder: Path) -> tuple[float, ...]:
    """By the clock, and of the CPU."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    start, cpu = time.perf_counter(), time.process_time()
    work(folder)
    taken = time.perf_counter() - start, time.process_time() - cpu
    shutil.rmtree(folder)
    return taken


def peak_mb(wanted: argparse.Namespace, rows: int, folder: Path) -> float:
    """Of a fresh process that converts so many rows."""
    options = {"to": wanted.to, "profile": wanted.profile, "rows": rows, "folder": folder}
    pairs = [(f"--{name}", str(value)) for name, value in options.items()]
    command = [sys.executable, __file__, *(word for pair in pairs for word in pair), "--only-memory"]
    command += ["--image-kb", str(max(1, wanted.image_kb // 10))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_speeds(wanted: argparse.Namespace, best: dict[str, tuple[float, ...]]) -> None:
    pictures = 2 * wanted.rows
    for name, (taken, cpu) in best.items():
        print(
            f"{wanted.to} {wanted.profile}: {name:17} {taken:6.2f} s  {pictures / taken:8.0f} pictures/s  "
            f"{pictures * wanted.image_kb / 1e3 / taken:6.0f} MB/s  {1e3 * cpu / pictures:6.3f} ms of CPU a picture"
        )
    for name in list(best)[1:]:
        by_clock, by_cpu = (theirs / ours for theirs, ours in zip(best[name], best["convert"], strict=True))
        print(f"convert has {by_clock:.0%} of the speed of {name}, by time of the CPU {by_cpu:.0%}")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--to", default="webdataset")
    parser.add_argument("--profile", default="", help="default: the format's first")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--image-kb", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    wanted.profile = wanted.profile or next(iter(get_format(wanted.to).profiles))
    return wanted


def main() -> None:
    wanted = read_arguments()
    folder = wanted.folder or Path(tempfile.mkdtemp())
    shards = max(1, wanted.rows // ROWS_IN_SHARD)
    shape = wanted.profile if wanted.profile in SHAPES else wanted.to
    source = [Rows(number, wanted.rows // shards, wanted.image_kb, shape) for number in range(shards)]

    def convert(target: Path) -> None:
        options = {"profile": wanted.profile}
        convert_shards(source, target / "out", to=wanted.to, options=options, workers=wanted.workers)

    if wanted.only_memory:
        convert(folder)
        shutil.rmtree(folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    # one shard tells which kind of files the format makes, and warms up
    convert_shards([Rows(0, 10, 1, shape)], folder / "try", to=wanted.to, options={"profile": wanted.profile})
    makes_files = len(list((folder / "try").rglob("*.jpg"))) > 1
    shutil.rmtree(folder / "try")
    other, plain = ("files", files_from_memory) if makes_files else ("tarfile", tar_from_memory)
    best: dict[str, tuple[float, ...]] = {}
    for _ in range(wanted.repeats):  # in turns, so that a slow minute of the machine meets all
        for name, work in {
            "convert": convert,
            other: lambda target: plain(source, target, sync=False),
            f"{other}, on disk": lambda target: plain(source, target, sync=True),
        }.items():
            found = seconds(work, folder / "run")
            best[name] = tuple(map(min, best.get(name, found), found))
    print_speeds(wanted, best)
    for rows in (max(1, wanted.rows // 5), wanted.rows):
        print(f"peak memory of {rows:,} rows: {peak_mb(wanted, rows, folder / 'memory'):.0f} MB")


if __name__ == "__main__":
    main()
