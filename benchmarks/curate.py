"""Merge, split, deduplicate, select, align, push and load a dataset of the size of the 240K: time, CPU time, peak
memory, and how much of what was planted is found; prints a table.

    python benchmarks/curate.py --folder /tmp/curate                        247,215 rows and 20,000 others; 20 minutes
    python benchmarks/curate.py --folder /tmp/small --rows 100000 --words 4 --pixels 16
    python benchmarks/curate.py --folder /tmp/small --copies 8 --steps merge split deduplicate
    python benchmarks/curate.py --folder /tmp/flat --rows 1000000 --generated 0 --words 4 --pixels 16 --small

Pictures are tiny (64 pixels), texts of 40 to 80 words, all different. Planted beside them are 2 % copies of each kind:
the same row, one word in its text changed, its pictures saved anew as JPEG at another size, and both; and a benchmark
that has 500 of the instructions and 500 of the pictures. The others are made by the scene engine. With `--copies N`
the dataset is merged N times with itself, so that every row and every picture is in N rows. Every step is one process
of the command line, and its peak that of its resident memory. `--small` is for comparing that of 100,000 and of
1,000,000 rows.
"""

import argparse
import io
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
COMMAND = (sys.executable, "-m", "toolkit.cli.app")
SHARE, IN_BENCHMARK = 0.02, 500
# What the scene engine makes soonest; see benchmarks/generate_scale.py.
SPEC = "name: generated\nbackends:\n  all: {{kind: procedural}}\nrecipes:\n  image_generation_category: {0}\n"
KINDS = {"same": "duplicate", "text": "near_text", "pictures": "near_images", "both": "near_text_and_images"}
VOCABULARY = [f"{a}{b}{c}{d}" for a in "bdfgklmnprstvz" for b in "aeiou" for c in "lmnrst" for d in "aeiouy"]
STEPS = ("merge", "split", "deduplicate", "select", "align", "push", "load")
LOAD = "import datasets, sys; print({k: len(v) for k, v in datasets.load_dataset(sys.argv[1], 'all').items()})"


@dataclass(frozen=True, kw_only=True)
class Made:
    """
    Attributes:
        words: of each text, to twice as many.
        pixels: sides of a picture.
    """

    words: int = 20
    pixels: int = 64

    def picture(self, number: int) -> EncodedImage:
        small = np.random.default_rng(number).integers(0, 255, (6, 6, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        picture = Image.fromarray(small).resize((self.pixels, self.pixels), Image.Resampling.BICUBIC)
        picture.save(buffer, "JPEG", quality=92)
        return EncodedImage(buffer.getvalue(), f"{number}.jpg")

    def row(self, task: str, number: int) -> Row:
        dice = random.Random(number)
        counts = [dice.randint(self.words, 2 * self.words) for _ in range(2)]
        asked, answer = (" ".join(dice.choices(VOCABULARY, k=count)) for count in counts)
        before, after = TASKS[task].quadrant.split("-")
        sides = [("user", asked, before == "mm"), ("assistant", answer, after == "mm")]
        messages = tuple(Message(role, (Part("text", text), *[IMAGE_PART] * shows)) for role, text, shows in sides)
        images = tuple(self.picture(2 * number + place) for place, (*_, shows) in enumerate(sides) if shows)
        return Row(
            id=f"{TASKS[task].prefix}-{number}",
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


def saved_anew(image: EncodedImage, dice: random.Random) -> EncodedImage:
    sides = Image.open(io.BytesIO(image.bytes)).width
    side, buffer = round(sides * dice.choice((0.75, 1, 1.25, 1.5))), io.BytesIO()
    opened = Image.open(io.BytesIO(image.bytes)).resize((side, side), Image.Resampling.BICUBIC)
    opened.save(buffer, "JPEG", quality=dice.choice((80, 90, 95)))
    return EncodedImage(buffer.getvalue(), f"{side}.jpg")


def numbered(count: int) -> Iterator[tuple[str, int]]:
    """(task, number) of so many rows, in the proportions of the published tasks."""
    total, end = sum(each.rows for each in PUBLISHED.values()), 0
    for task, published in PUBLISHED.items():
        start, end = end, min(end + -(-count * published.rows // total), count)
        yield from ((task, number) for number in range(start, end))


def copies(made: Made, of: int) -> Iterator[Row]:
    """Planted rows; their ids tell the kind and the row they are copied from."""
    count, dice = round(SHARE * of), random.Random(1)
    chosen = set(dice.sample(range(of), min(len(KINDS) * count, of)))
    origin = [each for each in numbered(of) if each[1] in chosen]
    dice.shuffle(origin)
    for kind, each in zip([kind for kind in KINDS for _ in range(count)], origin, strict=False):
        copy = made.row(*each)
        copy = replace(copy, id=f"planted-{kind}-{copy.id}")
        if kind in ("text", "both"):
            copy = reworded(copy)
        if kind in ("pictures", "both"):
            copy = replace(copy, images=tuple(saved_anew(image, dice) for image in copy.images))
        yield copy


def reworded(copy: Row) -> Row:
    words = copy.answer.split()
    words[len(words) // 2] = "changed"
    answer = " ".join(words)
    last = copy.messages[-1]
    content = tuple(Part("text", answer) if part.type == "text" else part for part in last.content)
    return replace(copy, answer=answer, messages=(*copy.messages[:-1], Message(last.role, content)))


def prepare(folder: Path, made: Made, count: int, generated: int, small: bool) -> None:
    options = PackOptions(
        shard_bytes=4_000_000 if small else 50_000_000, row_group_bytes=1_000_000 if small else 5_000_000
    )
    if not (folder / "packed" / MANIFEST).exists():
        pack_rows((made.row(*each) for each in numbered(count)), folder / "packed", options)
    if not (folder / "planted" / MANIFEST).exists():
        pack_rows(copies(made, count), folder / "planted", options)
    if generated and not (folder / "runs/generated/packed" / MANIFEST).exists():
        (folder / "spec.yaml").write_text(SPEC.format(generated))
        for step in ("run", "finalize"):
            timed([*COMMAND, "generate", step, "spec.yaml", "--quiet"], folder)
    if not (folder / "benchmark").exists():
        write_benchmark(folder / "benchmark", made, list(numbered(count))[:: max(1, count // (2 * IN_BENCHMARK))])


def write_benchmark(folder: Path, made: Made, chosen: Sequence[tuple[str, int]]) -> None:
    folder.mkdir()
    lines: list[dict[str, str]] = []
    for each in (made.row(*one) for one in chosen):
        if each.images and len(lines) % 2:
            (folder / f"{each.id}.jpg").write_bytes(saved_anew(each.images[0], random.Random(0)).bytes)
            lines.append({"id": each.id, "image": f"{each.id}.jpg"})
        else:
            lines.append({"id": each.id, "question": each.instruction.title() + "?"})
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, lines)))


# A process takes over the peak of the one that starts it, which hence is a small one. It prints the figures last.
MEASURED = """
import os, sys, time
started = time.monotonic()
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ), 0)
print(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


def timed(arguments: Sequence[str], folder: Path) -> tuple[float, float, float, str]:
    """Seconds, those of the CPU, peak memory in MB, and what was printed."""
    process = subprocess.run(
        [sys.executable, "-S", "-c", MEASURED, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    if process.returncode:
        raise SystemExit(f"{arguments}: {process.stdout}")
    *text, figures = process.stdout.splitlines()
    seconds, cpu_s, peak_mb = map(float, figures.split())
    return seconds, cpu_s, peak_mb, "\n".join(text)


def command(step: str, datasets: Sequence[str], workers: int, sizes: Sequence[str]) -> list[str]:
    split = ["--split", "train=0.98,validation=0.02", *sizes]
    arguments = {
        "merge": ["merge", *datasets, "merged", *(["--ids", "prefix"] if len(set(datasets)) < len(datasets) else [])],
        "split": ["select", "merged", "split", *split],
        "deduplicate": ["deduplicate", "merged", "unique", "--against", "../benchmark", *sizes],
        "select": ["select", "unique", "chosen", "--where", "length(answer) > 20", *split],
        "align": ["align", "chosen", "scores"],
        "push": ["push", "chosen", "me/curated"],
    }[step]
    return [*COMMAND, *arguments, *([] if step == "push" else ["--workers", str(workers)])]


def found(folder: Path) -> Iterator[str]:
    """Lines about what was planted."""
    gone = {each["id"]: each["reason"] for each in pq.read_table(folder / "unique/duplicates.parquet").to_pylist()}
    planted = {id: id.split("-")[1] for id in ids_of(folder.parent / "planted")}
    generated = set(ids_of(folder.parent / "runs/generated/packed"))
    lines = [json.loads(line) for line in (folder.parent / "benchmark/test.jsonl").read_text().splitlines()]
    asked = {line["id"] for line in lines if "question" in line}
    shown = {line["id"] for line in lines if "image" in line}
    for kind in KINDS:
        of_kind = [id for id, its in planted.items() if its == kind]
        hits = sum(id in gone for id in of_kind)
        yield f"planted {kind:20} {len(of_kind):8,}   found {hits:8,}   recall {hits / max(len(of_kind), 1):.4f}"
    for name, wanted, reason in (("asked", asked, "benchmark_text"), ("shown", shown, "benchmark_image")):
        hits = sum(gone.get(id) == reason for id in wanted)
        yield f"benchmark {name:18} {len(wanted):8,}   found {hits:8,}   recall {hits / max(len(wanted), 1):.4f}"
    others = {id: reason for id, reason in gone.items() if id not in generated}
    right = sum(id in planted or id in asked | shown for id in others)
    yield f"rows that go {len(others):,}, planted or in the benchmark {right:,}: precision {right / len(others):.4f}"
    reasons = Counter(reason for id, reason in gone.items() if id in generated)
    yield f"of {len(generated):,} rows of the scene engine go {len(gone) - len(others):,}: {dict(reasons)}"


def ids_of(folder: Path) -> Iterator[str]:
    for path in (folder / "data").rglob("*.parquet"):
        yield from pq.read_table(path, columns=["id"])["id"].to_pylist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=sum(each.rows for each in PUBLISHED.values()))
    parser.add_argument("--generated", type=int, default=20_000, help="rows of the scene engine")
    parser.add_argument("--copies", type=int, default=1, help="times that the rows are merged with themselves")
    parser.add_argument("--words", type=int, default=Made.words, help="of a text, to twice as many")
    parser.add_argument("--pixels", type=int, default=Made.pixels)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--small", action="store_true", help="shards of 4 MB and row groups of 1 MB: many, and all full"
    )
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    given = parser.parse_args()
    folder: Path = given.folder / ("run" if given.copies == 1 else f"copies-{given.copies}")
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    prepare(given.folder, Made(words=given.words, pixels=given.pixels), given.rows, given.generated, given.small)
    sizes = ["--shard-size", "4MB", "--row-group-bytes", "1MB"] if given.small else []
    print(f"prepared in {time.monotonic() - started:.0f} s")
    print(f"{'step':14}{'seconds':>9}{'CPU, s':>9}{'peak, MB':>10}", flush=True)
    made = ["../planted", *(["../runs/generated/packed"] if given.generated else [])]
    datasets = ["../packed", *made] if given.copies == 1 else ["../packed"] * given.copies
    sys.path.insert(0, str(ROOT))
    from tests.hub import LoopbackHub

    with LoopbackHub() as hub:
        os.environ.update(HF_ENDPOINT=hub.url, HF_HUB_DISABLE_XET="1", HF_HOME=str(folder / "home"))
        os.environ.update(HF_TOKEN=hub.token, HF_HUB_DISABLE_PROGRESS_BARS="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")
        for step in given.steps:
            load = [sys.executable, "-c", LOAD, "me/curated"]
            arguments = load if step == "load" else command(step, datasets, given.workers, sizes)
            seconds, cpu_s, peak_mb, text = timed(arguments, folder)
            note = text.strip() if step == "load" else ""
            print(f"{step:14}{seconds:9.1f}{cpu_s:9.1f}{peak_mb:10.0f}   {note}", flush=True)
    if "deduplicate" in given.steps and given.copies == 1:
        print("\n".join(found(folder)))


if __name__ == "__main__":
    main()
