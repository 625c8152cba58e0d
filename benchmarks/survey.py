"""Look at every row of a dataset's text: seconds and peak memory, the first time and when it is opened again.

    python benchmarks/survey.py --rows 250000 --folder /tmp/texts

All nine tasks in one file, without a task column. The rows are about as long as published ones must be on average (0.2
GB by 247,215). Each open is a process of its own; imports are timed apart.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.published import PUBLISHED
from toolkit.sources.layout import open_source

CHARS = 350  # of each of the two texts of a row
WORDS = 20_000
FILE = "data/train-00000-of-00001.parquet"


def make(folder: Path, rows: int) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    archives = [published.archive for published in PUBLISHED.values()]
    for archive in filter(None, archives):
        (folder / "images" / archive).touch()
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlucmfw", k=chance.randint(2, 9))) for _ in range(WORDS)]
    text = " ".join(chance.choices(words, k=1_000_000))
    with pq.ParquetWriter(folder / FILE, SCHEMA) as writer:
        for first in range(0, rows, 10_000):
            records = list(_records(range(first, min(first + 10_000, rows)), archives, text, chance))
            writer.write_table(pa.Table.from_pylist(records, SCHEMA))


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("images", pa.list_(pa.string())),
        ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
    ]
)


def _records(numbers: range, archives: list[str], text: str, chance: random.Random) -> Iterator[dict[str, Any]]:
    for number in numbers:
        archive = archives[number % len(archives)]
        count = 2 if archive else 0
        places = [chance.randrange(len(text) - CHARS) for _ in range(2)]
        question, answer = (f"{text[place : place + CHARS]} {number}" for place in places)
        yield {
            "id": f"{number:06d}",
            "images": [f"{archive.partition('.')[0]}/{number:06d}_{which}.png" for which in range(count)],
            "conversations": [
                {"from": "human", "value": ("<image>\n" if count else "") + question},
                {"from": "gpt", "value": answer + ("<image>" if count else "")},
            ],
        }


def look(folder: Path) -> None:
    """Open it once, in this process."""
    started = time.perf_counter()
    source = open_source(folder)
    seconds = time.perf_counter() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": source.splits["train"], "seconds": seconds, "peak_mb": peak_mb}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=250_000)
    parser.add_argument("--look", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.look:
        look(arguments.folder)
        return
    make(arguments.folder, arguments.rows)
    cache = arguments.folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    print(f"{(arguments.folder / FILE).stat().st_size / 1e9:.2f} GB of Parquet")
    for way in ("first open", "second open"):
        command = [sys.executable, __file__, "--folder", str(arguments.folder), "--look"]
        environment = {**os.environ, "HF_DATASETS_CACHE": str(cache)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"{way:12} {found['rows']:8,} rows {found['seconds']:8.2f} s {found['peak_mb']:6.0f} MB at most")


if __name__ == "__main__":
    main()
