"""How fast a dataset of the published size answers in a browser: start, memory, and requests over HTTP, from a fresh
process.

    python benchmarks/browse.py --folder /tmp/browse-benchmark [--repeats 30]

Makes as many rows of each task as are published (247,215), with texts of about 1,100 characters a row and pictures of a
few bytes, in row groups of 100 and shards of 2,500 rows; then asks each kind of question `repeats` times, each time for
another word or another page, so that no answer is a remembered one.
"""

import argparse
import hashlib
import http.client
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.photos import photos
from toolkit.published import PUBLISHED
from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.manifest import MANIFEST, Manifest, Shard
from toolkit.tasks import TASKS, Task

PER_GROUP, PER_SHARD = 100, 2500
TEXTS = {"instruction": (40, 300), "rationale": (100, 1100), "answer": (50, 600)}  # characters, least and most
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)  # a GIF of one pixel
START = re.compile(r"(http://[\d.:]+)/")


def words(chance: random.Random) -> list[str]:
    """Words of 2 to 10 letters, common ones first."""
    known = [word for photo in photos() for word in f"{photo.hint} {photo.place} {photo.detail}".split()]
    return known + [
        "".join(chance.choices("etaoinshrdlucmfwypvbgkqjxz", range(26, 0, -1), k=chance.randint(2, 10)))
        for _ in range(20_000)
    ]


def sentences(chance: random.Random, known: list[str]) -> list[str]:
    weights = [1 / (1 + rank) for rank in range(len(known))]  # Zipf's law
    return [" ".join(chance.choices(known, weights, k=chance.randint(6, 18))).capitalize() + "." for _ in range(20_000)]


def text(chance: random.Random, lines: list[str], least: int, most: int) -> str:
    wanted, found = chance.randint(least, most), ""
    while len(found) < wanted:
        found += chance.choice(lines) + " "
    return found


def make(folder: Path) -> None:
    if (folder / MANIFEST).exists():
        return
    chance = random.Random(0)
    lines = sentences(chance, words(chance))
    shards = [shard for task in TASKS.values() for shard in _make_task(folder, task, chance, lines)]
    (folder / MANIFEST).write_text(Manifest(source={"name": "benchmark"}, options={}, shards=tuple(shards)).to_json())


def _make_task(folder: Path, task: Task, chance: random.Random, lines: list[str]) -> Iterator[Shard]:
    (folder / "data" / task.name).mkdir(parents=True, exist_ok=True)
    total = PUBLISHED[task.name].rows
    starts = range(0, total, PER_SHARD)
    for number, start in enumerate(starts):
        path = f"data/{task.name}/train-{number:05d}-of-{len(starts):05d}.parquet"
        table = _table(task, range(start, min(start + PER_SHARD, total)), chance, lines)
        pq.write_table(table, folder / path, row_group_size=PER_GROUP, compression="zstd")
        groups = tuple(
            len(range(first, min(first + PER_GROUP, len(table)))) for first in range(0, len(table), PER_GROUP)
        )
        images = sum(map(len, table["image_roles"].to_pylist()))
        size, digest = (folder / path).stat().st_size, hashlib.sha256((folder / path).read_bytes()).hexdigest()
        yield Shard(
            path=path,
            task=task.name,
            bytes=size,
            sha256=digest,
            rows=len(table),
            images=images,
            image_bytes=images * len(PIXEL),
            row_groups=groups,
            quadrants={task.quadrant: len(table)},
        )


def _table(task: Task, rows: range, chance: random.Random, lines: list[str]) -> pa.Table:
    texts = {name: [text(chance, lines, *lengths) for _ in rows] for name, lengths in TEXTS.items()}
    counts = [chance.randint(1, 4) if PUBLISHED[task.name].archive else 0 for _ in rows]
    part = {"type": "image", "text": ""}
    messages = [
        [
            {"role": "user", "content": [{"type": "text", "text": asked}]},
            {"role": "assistant", "content": [{"type": "text", "text": told}, *[part] * count]},
        ]
        for asked, told, count in zip(texts["instruction"], texts["answer"], counts, strict=True)
    ]
    same = {
        "task": task.name,
        "quadrant": task.quadrant,
        "source": PUBLISHED[task.name].source,
        "license": PUBLISHED[task.name].license,
        "origin": "upstream",
        "provenance": "{}",
    }
    columns = {
        **{name: [value] * len(rows) for name, value in same.items()},
        **texts,
        "id": [f"{task.prefix}-{number:08d}" for number in rows],
        "messages": messages,
        "images": [[{"bytes": PIXEL, "path": "a.gif"}] * count for count in counts],
        "image_roles": [["intermediate"] * count for count in counts],
        "image_captions": [[""] * count for count in counts],
        "regions": [[] for _ in rows],
    }
    return pa.table({name: columns[name] for name in ARROW_SCHEMA.names}, schema=ARROW_SCHEMA)


def questions(chance: random.Random, repeats: int) -> dict[str, list[str]]:
    """What is asked -> addresses, all different."""
    known = words(random.Random(0))
    common, rare = known[:200], known[2000:]
    tasks, last = list(TASKS), 247_215 // 24
    ids = [f"lc-{chance.randrange(60_000):08d}" for _ in range(repeats)]

    def listed(**wanted: object) -> str:
        return "/?" + urlencode(wanted)

    return {
        "all rows, any page": [listed(page=chance.randint(1, last)) for _ in range(repeats)],
        "task and pictures": [
            listed(task=chance.choice(tasks), images=chance.randint(0, 4), page=number) for number in range(repeats)
        ],
        "quadrant and source": [
            listed(quadrant="mm-text", source="Xkev/LLaVA-CoT-100k", page=number) for number in range(repeats)
        ],
        "text: a common word": [
            listed(text=word.upper()) for word in chance.sample(sorted(set(common)), min(repeats, len(set(common))))
        ],
        "text: a rare word": [listed(text=word) for word in chance.sample(rare, repeats)],
        "text: nowhere": [
            listed(text=f"{word} 100%_{number}") for number, word in enumerate(chance.choices(common, k=repeats))
        ],
        "text in a task": [listed(text=word, task=chance.choice(tasks)) for word in chance.sample(rare, repeats)],
        "a row": [f"/row/{row_id}" for row_id in ids],
        "a picture": [f"/image/{row_id}/0" for row_id in ids],
    }


def ask(address: str, path: str) -> float:
    """Milliseconds from connecting to the last byte."""
    start = time.perf_counter()
    fetch(address, path)
    return 1000 * (time.perf_counter() - start)


def fetch(address: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200 or not content:
        raise SystemExit(f"{path}: {answer.status}")
    return content


def memory(process: int) -> str:
    status = Path(f"/proc/{process}/status").read_text()
    now, most = (int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return f"{now:.0f} MB resident, {most:.0f} MB at most"


def cpu_ms(process: int) -> float:
    """Used so far, by all threads; unlike the wall clock, not much changed by what else the machine does."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    make(arguments.folder)
    start = time.perf_counter()
    command = [sys.executable, "-u", "-m", "toolkit.cli.app", "browse", str(arguments.folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        address = next(found[1] for line in server.stdout if (found := START.search(line)))
        print(
            f"start: {time.perf_counter() - start:.1f} s, {cpu_ms(server.pid) / 1000:.1f} CPU-s, {memory(server.pid)}"
        )
        print(f"first page: {ask(address, '/'):.0f} ms, {time.perf_counter() - start:.1f} s after the start")
        while b"rows have been read so far" in fetch(address, "/"):
            time.sleep(0.5)
        print(f"all rows read: {time.perf_counter() - start:.1f} s after the start, {memory(server.pid)}")
        print(f"{'question':22} {'median ms':>9} {'p95 ms':>7} {'least':>7} {'CPU ms':>7}")
        for name, paths in questions(random.Random(1), arguments.repeats).items():
            before, taken = cpu_ms(server.pid), [ask(address, path) for path in paths]
            cpu = (cpu_ms(server.pid) - before) / len(paths)
            print(
                f"{name:22} {statistics.median(taken):9.0f} {statistics.quantiles(taken, n=20)[-1]:7.0f} "
                f"{min(taken):7.0f} {cpu:7.0f}"
            )
        print(f"end: {memory(server.pid)}")
        server.terminate()


if __name__ == "__main__":
    main()
