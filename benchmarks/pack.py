"""Pack the layout as published, against only reading every archive member: MB/s of pictures, their ratio, and peak
memory.

    python benchmarks/pack.py --gigabytes 3 --folder /tmp/replica --out /tmp/packed

The replica is that of stream_upstream.py, the worst case for a join that keeps the order of the rows. Each way runs in
a process of its own, in turn.
"""

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from stream_upstream import make, read_members

from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.layout import open_source


def measure(way: str, folder: Path, out: Path) -> dict[str, float]:
    started = time.perf_counter()
    if way == "pack":
        shutil.rmtree(out, ignore_errors=True)
        size = pack(open_source(folder), out, ["image_editing"], PackOptions(), workers=2).total("image_bytes")
    else:
        size = read_members(folder)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"bytes": size, "seconds": time.perf_counter() - started, "peak_mb": peak / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--way", choices=("pack", "tarfile over isal"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.folder, arguments.out)))
        return
    make(arguments.folder, arguments.gigabytes)
    found: dict[str, list[dict[str, float]]] = {"tarfile over isal": [], "pack": []}
    for _ in range(arguments.repeats):
        for way, runs in found.items():
            command = [
                sys.executable,
                __file__,
                "--folder",
                str(arguments.folder),
                "--out",
                str(arguments.out),
                "--way",
                way,
            ]
            runs.append(
                json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            )
    limit = statistics.median(run["bytes"] / run["seconds"] for run in found["tarfile over isal"])
    print(f"{'way':20} {'MB/s':>6} {'of limit':>9} {'peak MB':>8}")
    for way, runs in found.items():
        speed = statistics.median(run["bytes"] / run["seconds"] for run in runs)
        print(f"{way:20} {speed / 1e6:6.0f} {speed / limit:9.0%} {max(run['peak_mb'] for run in runs):8.0f}")


if __name__ == "__main__":
    main()
