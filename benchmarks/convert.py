"""Speed and memory of converting to WebDataset.

    python benchmarks/convert.py [--rows 10000] [--image-kb 100] [--folder DIR] [--workers 1]

Writes `rows` rows with twice as many pictures (random bytes behind a JPEG signature) and compares with Python's tarfile
writing the same pictures and JSON from memory, in the same run and folder, both with and without waiting for the disk.
Then runs 1x and 4x the rows in fresh processes and prints the peak of resident memory of each.
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

from conversion import convert_shards
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row

ROWS_IN_SHARD = 2500
POOL = 64  # different pictures; rows take turns


class Rows:
    """A shard of rows which are made as they are read."""

    def __init__(self, number: int, num_rows: int, image_kb: int) -> None:
        self.number, self.num_rows, self.image_kb = number, num_rows, image_kb

    def __call__(self) -> Iterator[Row]:
        pool = [b"\xff\xd8\xff" + random.Random(seed).randbytes(self.image_kb * 1000 - 3) for seed in range(POOL)]
        messages = (
            Message(
                "user",
                (IMAGE_PART, Part("text", "Make it night, but leave the people by the fire as bright as they are.")),
            ),
            Message("assistant", (Part("text", "The sky turns dark and the fire lights the faces. " * 8), IMAGE_PART)),
        )
        for position in range(self.num_rows):
            yield Row(
                id=f"ie-{self.number:04d}-{position:08d}",
                task="image_editing",
                quadrant="mm-mm",
                messages=messages,
                images=tuple(EncodedImage(pool[(position + place) % POOL], "a.jpg") for place in (0, 1)),
                image_roles=("input", "output"),
                image_captions=("", "night"),
                provenance=json.dumps({"row": position}),
            )


def tar_from_memory(shards: list[Rows], folder: Path, sync: bool) -> None:
    """The same members by tarfile: what is compared with."""
    for shard in shards:
        with tarfile.open(folder / f"{shard.number}.tar", "w") as tar:
            for row in shard():
                columns = json.dumps(row.to_dict() | {"images": []}).encode()
                for name, content in [
                    (f"{row.id}.json", columns),
                    *((f"{row.id}.{n}.jpg", image.bytes) for n, image in enumerate(row.images)),
                ]:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        if sync:
            handle = os.open(folder / f"{shard.number}.tar", os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


def seconds(work: Callable[[Path], object], folder: Path) -> float:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    start = time.perf_counter()
    work(folder)
    taken = time.perf_counter() - start
    shutil.rmtree(folder)
    return taken


def peak_mb(rows: int, image_kb: int, folder: Path) -> float:
    """Of a fresh process that converts so many rows."""
    command = [
        sys.executable,
        __file__,
        "--rows",
        str(rows),
        "--image-kb",
        str(image_kb),
        "--folder",
        str(folder),
        "--only-memory",
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--image-kb", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    folder = wanted.folder or Path(tempfile.mkdtemp())
    shards = max(1, wanted.rows // ROWS_IN_SHARD)
    if wanted.only_memory:
        convert_shards(
            [Rows(number, wanted.rows // shards, wanted.image_kb) for number in range(shards)], folder, to="webdataset"
        )
        shutil.rmtree(folder)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    source = [Rows(number, wanted.rows // shards, wanted.image_kb) for number in range(shards)]
    best: dict[str, float] = {}
    for _ in range(wanted.repeats):  # in turns, so that a slow minute of the machine meets all
        for name, work in {
            "convert": lambda target: convert_shards(source, target / "out", to="webdataset", workers=wanted.workers),
            "tarfile": lambda target: tar_from_memory(source, target, sync=False),
            "tarfile, on disk": lambda target: tar_from_memory(source, target, sync=True),
        }.items():
            best[name] = min(best.get(name, float("inf")), seconds(work, folder / "run"))
    for name, taken in best.items():
        print(
            f"{name:17} {taken:6.2f} s  {2 * wanted.rows / taken:8.0f} pictures/s  "
            f"{2 * wanted.rows * wanted.image_kb / 1e3 / taken:6.0f} MB/s"
        )
    for name in ("tarfile", "tarfile, on disk"):
        print(f"convert has {best[name] / best['convert']:.0%} of the speed of {name}")
    for times in (1, 4):
        print(
            f"peak memory at {times}x: {peak_mb(times * wanted.rows, wanted.image_kb // 10, folder / 'memory'):.0f} MB"
        )


if __name__ == "__main__":
    main()
