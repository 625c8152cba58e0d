"""Stream the layout as published, against only reading every archive member: MB/s of pictures, their ratio, and peak
memory.

    python benchmarks/stream_upstream.py --gigabytes 3 --folder /tmp/replica

The replica is the worst case for a join: two pictures a row, all first ones in row order, then all second ones last row
first. Each way runs in a process of its own, in turn; imports are not timed (datasets imports torch where it finds it).
"""

import argparse
import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip
from PIL import Image

import unifiedvisual
from toolkit.sources.layout import open_source

with contextlib.suppress(ImportError):
    import torch  # noqa: F401

IMAGE_BYTES = 120_000
ARCHIVE = "images/Image_Editing.tar.gz"


def make(folder: Path, gigabytes: float) -> None:
    """A replica of image_editing whose pictures are of the size of real ones and compress as little."""
    count = int(gigabytes * 1e9 / IMAGE_BYTES / 2)
    if (folder / f"{count}.done").exists():
        return
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    text = "A sentence about what changes and why it should. " * 20
    rows = [
        {
            "id": f"{n:06d}",
            "image": [f"Image_Editing/{n:06d}_{side}.jpg" for side in "ab"],
            "conversations": [
                {"from": "human", "value": f"<image>\nEdit {n}."},
                {"from": "gpt", "value": f"{text}<image>"},
            ],
        }
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "data" / "Image_Editing.parquet", row_group_size=1000)
    with (
        igzip.open(folder / ARCHIVE, "wb", compresslevel=1) as inflated,
        tarfile.open(fileobj=inflated, mode="w") as tar,
    ):
        for name, data in _members(count):
            info = tarfile.TarInfo(f"Image_Editing/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (folder / f"{count}.done").touch()


def _members(count: int) -> Iterator[tuple[str, bytes]]:
    """Small true JPEGs, each with noise after its end to the size of a real one: readers take them for pictures."""
    noise = np.random.default_rng(0)
    head = io.BytesIO()
    Image.new("RGB", (64, 64)).save(head, "JPEG")
    for side, order in (("a", range(count)), ("b", range(count - 1, -1, -1))):
        for n in order:
            yield (
                f"{n:06d}_{side}.jpg",
                head.getvalue() + noise.bytes(int(noise.integers(IMAGE_BYTES // 2, IMAGE_BYTES * 3 // 2))),
            )


def read_members(folder: Path) -> int:
    """The limit: every member with tarfile over isal, nothing else."""
    size = 0
    with (
        (folder / ARCHIVE).open("rb") as raw,
        igzip.IGzipFile(fileobj=raw) as inflated,
        tarfile.open(fileobj=inflated, mode="r:") as tar,
    ):
        while info := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]
            file = tar.extractfile(info)
            size += len(file.read()) if file else 0
    return size


def stream(folder: Path) -> int:
    """Ours, as a user has it: load_dataset, streamed, pictures left encoded."""
    rows = unifiedvisual.load_dataset(str(folder), "image_editing", split="train", streaming=True)
    undecoded = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    return sum(len(image["bytes"]) for row in undecoded for image in row["images"])


def read_rows(folder: Path) -> int:
    """Ours without `datasets` around it: Row by Row."""
    return sum(len(image.bytes) for row in open_source(folder).read("image_editing") for image in row.images)


WAYS = {"tarfile over isal": read_members, "rows": read_rows, "load_dataset(streaming=True)": stream}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        started = time.perf_counter()
        size = WAYS[arguments.way](arguments.folder)
        seconds = time.perf_counter() - started
        print(
            json.dumps(
                {
                    "bytes": size,
                    "seconds": seconds,
                    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                }
            )
        )
        return
    make(arguments.folder, arguments.gigabytes)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for way in WAYS:
            command = [sys.executable, __file__, "--folder", str(arguments.folder), "--way", way]
            found[way].append(
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            )
    limit = statistics.median(run["bytes"] / run["seconds"] for run in found["tarfile over isal"])
    print(f"{'way':32} {'MB/s':>8} {'of limit':>9} {'peak MB':>8}")
    for way, runs in found.items():
        speed = statistics.median(run["bytes"] / run["seconds"] for run in runs)
        print(f"{way:32} {speed / 1e6:8.0f} {speed / limit:9.0%} {max(run['peak_mb'] for run in runs):8.0f}")


if __name__ == "__main__":
    main()
