"""What it costs to compare page checksums while streaming (`verify=True`), against the same stream without.

    python benchmarks/checksums.py

Rows are those of benchmarks/stream.py, packed as `pack` does. Passes with and without take turns; the least CPU time of
each counts, of this process alone, after one pass that brings the files into memory.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from stream_data import row_of, samples

from toolkit.packing.shards import ShardWriter, row_groups
from toolkit.sources.manifest import MANIFEST, Manifest
from toolkit.streaming.dataset import StreamingDataset

ROW_GROUP_BYTES, SIZE = 20_000_000, 256
USES: dict[str, dict[str, Any]] = {
    "bytes alone": {"decode": None},
    f"decoded, {SIZE} pixels": {"decode": "fused", "image_size": SIZE},
}


def write_packed(folder: Path, rows: int) -> None:
    path = "data/llava_cot/train-00000-of-00001.parquet"
    (folder / path).parent.mkdir(parents=True)
    writer = ShardWriter(folder / path)
    for group in row_groups((row_of(*sample) for sample in samples(rows)), ROW_GROUP_BYTES):
        writer.write(group)
    manifest = Manifest(source={}, options={}, shards=(writer.close(path=path, task="llava_cot"),))
    (folder / MANIFEST).write_text(manifest.to_json())


def cpu_s(folder: Path, **options: Any) -> float:
    dataset = StreamingDataset(folder, **options)
    started = time.process_time()
    for _ in dataset:
        pass
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=14)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_packed(Path(name), arguments.rows)
        size = sum(path.stat().st_size for path in Path(name).rglob("*.parquet")) / 1e6
        print(f"{arguments.rows} rows, {size:.0f} MB\n{'':22} {'without, s':>11} {'verify, s':>10} {'cost':>6}")
        for use, options in USES.items():
            cpu_s(Path(name), **options)
            times: dict[bool, list[float]] = {False: [], True: []}
            for number in range(2 * arguments.repeats):
                verify = number % 4 in (1, 2)  # each as often before the other as after it
                times[verify].append(cpu_s(Path(name), verify=verify, **options))
            without, verified = min(times[False]), min(times[True])
            print(f"{use:22} {without:11.3f} {verified:10.3f} {verified / without - 1:6.1%}")


if __name__ == "__main__":
    main()
