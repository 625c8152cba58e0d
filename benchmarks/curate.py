"""Merge, split, deduplicate, select, push and load a dataset of the size of the 240K: time, peak memory, and how much
of what was planted is found; prints a table.

    python benchmarks/curate.py --folder /tmp/curate                        247,215 rows and 20,000 others; 20 minutes
    python benchmarks/curate.py --folder /tmp/curate --rows 100000 --steps merge split deduplicate

Pictures are tiny (64 pixels), texts of 40 to 80 words, all different. Planted beside them are 2 % copies of each kind:
the same row, one word in its text changed, its pictures saved anew as JPEG at another size, and both; and a benchmark
that has 500 of the instructions and 500 of the pictures. Every step is one process of the command line.
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from toolkit.packing.rows import pack_rows
from toolkit.packing.stage import PackOptions
from toolkit.published import PUBLISHED
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, image_roles
from toolkit.sources.manifest import MANIFEST
from toolkit.tasks import TASKS

ROOT = Path(__file__).resolve().parent.parent
GENERATED, SHARE, IN_BENCHMARK = 20_000, 0.02, 500
KINDS = {"same": "duplicate", "text": "near_text", "pictures": "near_images", "both": "near_text_and_images"}
VOCABULARY = [f"{a}{b}{c}{d}" for a in "bdfgklmnprstvz" for b in "aeiou" for c in "lmnrst" for d in "aeiouy"]
STEPS = ("merge", "split", "deduplicate", "select", "push", "load")
LOAD = "import datasets, sys; print({k: len(v) for k, v in datasets.load_dataset(sys.argv[1], 'all').items()})"


def picture(number: int) -> EncodedImage:
    small = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return EncodedImage(buffer.getvalue(), f"{number}.jpg")


def saved_anew(image: EncodedImage, dice: random.Random) -> EncodedImage:
    side, buffer = dice.choice((48, 64, 80, 96)), io.BytesIO()
    opened = Image.open(io.BytesIO(image.bytes)).resize((side, side), Image.Resampling.BICUBIC)
    opened.save(buffer, "JPEG", quality=dice.choice((80, 90, 95)))
    return EncodedImage(buffer.getvalue(), f"{side}.jpg")


def row(task: str, number: int, prefix: str) -> Row:
    dice = random.Random(number)
    asked, answer = (" ".join(dice.choices(VOCABULARY, k=dice.randint(20, 40))) for _ in range(2))
    before, after = TASKS[task].quadrant.split("-")
    sides = [("user", asked, before == "mm"), ("assistant", answer, after == "mm")]
    messages = tuple(Message(role, (Part("text", text), *[IMAGE_PART] * shows)) for role, text, shows in sides)
    images = tuple(picture(2 * number + place) for place, (*_, shows) in enumerate(sides) if shows)
    return Row(
        id=f"{prefix}{TASKS[task].prefix}-{number}",
        task=task,
        quadrant=TASKS[task].quadrant,
        source=f"set {number % 7}",
        license=("MIT", "CC-BY-4.0")[number % 2],
        messages=messages,
        images=images,
        image_roles=image_roles(messages, TASKS[task]),
        image_captions=("",) * len(images),
        instruction=asked,
        answer=answer,
    )


def rows(count: int, first: int, prefix: str) -> Iterator[Row]:
    """In the proportions of the published tasks."""
    total = sum(each.rows for each in PUBLISHED.values())
    end = 0
    for task, published in PUBLISHED.items():
        start, end = end, min(end + -(-count * published.rows // total), count)
        yield from (row(task, first + number, prefix) for number in range(start, end))


def copies(count: int, of: int) -> Iterator[Row]:
    """Planted rows; their ids tell the kind and the row they are copied from."""
    dice = random.Random(1)
    origin = list(rows_by_number(sorted(dice.sample(range(of), min(4 * count, of))), of))
    dice.shuffle(origin)
    for kind, each in zip([kind for kind in KINDS for _ in range(count)], origin, strict=False):
        copy = replace(each, id=f"planted-{kind}-{each.id}")
        if kind in ("text", "both"):
            copy = reworded(copy)
        if kind in ("pictures", "both"):
            copy = replace(copy, images=tuple(saved_anew(image, dice) for image in copy.images))
        yield copy


def rows_by_number(numbers: Sequence[int], of: int) -> Iterator[Row]:
    tasks = [(task, each.rows) for task, each in PUBLISHED.items()]
    total, ends, end = sum(rows for _, rows in tasks), [], 0
    for task, published in tasks:
        end = min(end + -(-of * published // total), of)
        ends.append((end, task))
    for number in numbers:
        yield row(next(task for end, task in ends if number < end), number, "")


def reworded(copy: Row) -> Row:
    words = copy.answer.split()
    words[len(words) // 2] = "changed"
    answer = " ".join(words)
    last = copy.messages[-1]
    content = tuple(Part("text", answer) if part.type == "text" else part for part in last.content)
    return replace(copy, answer=answer, messages=(*copy.messages[:-1], Message(last.role, content)))


def prepare(folder: Path, count: int) -> None:
    options = PackOptions(shard_bytes=50_000_000, row_group_bytes=5_000_000)
    if not (folder / "packed" / MANIFEST).exists():
        pack_rows(rows(count, 0, ""), folder / "packed", options)
    if not (folder / "generated" / MANIFEST).exists():
        planted = copies(round(SHARE * count), count)
        made = (each for source in (rows(GENERATED, count, "new-"), planted) for each in source)
        pack_rows(made, folder / "generated", options)
    if not (folder / "benchmark").exists():
        (folder / "benchmark").mkdir()
        lines: list[dict[str, str]] = []
        for each in rows_by_number(range(0, count, count // (2 * IN_BENCHMARK)), count):
            if each.images and len(lines) % 2:
                (folder / f"benchmark/{each.id}.jpg").write_bytes(saved_anew(each.images[0], random.Random(0)).bytes)
                lines.append({"id": each.id, "image": f"{each.id}.jpg"})
            else:
                lines.append({"id": each.id, "question": each.instruction.title() + "?"})
        (folder / "benchmark/test.jsonl").write_text("\n".join(map(json.dumps, lines)))


def timed(arguments: Sequence[str], folder: Path) -> tuple[float, float, str]:
    """Seconds, peak memory in MB, and what was printed."""
    started = time.monotonic()
    process = subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    text = process.stdout.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{arguments}: exit code {os.waitstatus_to_exitcode(status)}: {text}")
    return time.monotonic() - started, used.ru_maxrss / 1024, text


def command(step: str, workers: int) -> list[str]:
    arguments = {
        "merge": ["merge", "packed", "generated", "merged"],
        "split": ["select", "merged", "split", "--split", "train=0.98,validation=0.02"],
        "deduplicate": ["deduplicate", "merged", "unique", "--against", "benchmark"],
        "select": [
            "select",
            "unique",
            "chosen",
            "--where",
            "length(answer) > 150",
            "--split",
            "train=0.98,validation=0.02",
        ],
        "push": ["push", "chosen", "me/curated"],
    }[step]
    spread = [] if step == "push" else ["--workers", str(workers)]
    return [sys.executable, "-m", "toolkit.cli.app", *arguments, *spread]


def found(folder: Path) -> Iterator[str]:
    """Lines about what was planted."""
    gone = {each["id"]: each["reason"] for each in pq.read_table(folder / "unique/duplicates.parquet").to_pylist()}
    ids = [
        id for path in (folder / "generated/data").rglob("*.parquet") for id in pq.read_table(path)["id"].to_pylist()
    ]
    planted = {id: id.split("-")[1] for id in ids if id.startswith("planted-")}
    lines = [json.loads(line) for line in (folder / "benchmark/test.jsonl").read_text().splitlines()]
    asked = {line["id"] for line in lines if "question" in line}
    shown = {line["id"] for line in lines if "image" in line}
    for kind in KINDS:
        of_kind = [id for id, its in planted.items() if its == kind]
        hits = sum(id in gone for id in of_kind)
        yield f"planted {kind:20} {len(of_kind):8,}   found {hits:8,}   recall {hits / max(len(of_kind), 1):.4f}"
    for name, wanted, reason in (("asked", asked, "benchmark_text"), ("shown", shown, "benchmark_image")):
        hits = sum(gone.get(id) == reason for id in wanted)
        yield f"benchmark {name:18} {len(wanted):8,}   found {hits:8,}   recall {hits / max(len(wanted), 1):.4f}"
    right = len([id for id in gone if id in planted or id in asked | shown])
    yield f"rows that go {len(gone):,}, planted or in the benchmark {right:,}: precision {right / len(gone):.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=sum(each.rows for each in PUBLISHED.values()))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    prepare(given.folder, given.rows)
    print(f"prepared in {time.monotonic() - started:.0f} s")
    print(f"{'step':14}{'seconds':>9}{'peak, MB':>10}", flush=True)
    sys.path.insert(0, str(ROOT))
    from tests.hub import LoopbackHub

    with LoopbackHub() as hub:
        os.environ.update(HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1", HF_HOME=str(given.folder / "home"))
        os.environ.update(HF_TOKEN=hub.token, HF_HUB_DISABLE_PROGRESS_BARS="1")
        for step in given.steps:
            arguments = [sys.executable, "-c", LOAD, "me/curated"] if step == "load" else command(step, given.workers)
            seconds, peak_mb, text = timed(arguments, given.folder)
            print(f"{step:14}{seconds:9.1f}{peak_mb:10.0f}   {text.strip() if step == 'load' else ''}", flush=True)
    if "deduplicate" in given.steps:
        print("\n".join(found(given.folder)))


if __name__ == "__main__":
    main()
