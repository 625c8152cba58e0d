"""`unifiedvisual demo`: the whole way on a small dataset made on the spot, each step beside the command that does the
same.
"""

import importlib.util
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from dataset_card import write_card
from toolkit.cli.terminal import console, print_json, say, table
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.errors import RowError, UsageError
from toolkit.generation.runs.demo import write_spec
from toolkit.staging.files import disk_errors, write_whole
from toolkit.staging.locks import hold
from toolkit.tasks import TASKS

SHOWN_PER_TASK = 8  # in the preview
TRAINING_STEPS = 30
MADE = "demo.json"  # says of how many rows the folder is


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a step made or read: so many rows, images, ...; and what else there is to say."""

    counts: dict[str, int]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """
    Attributes:
        what: it does, in a few words.
        command: that does the same.
    """

    name: str
    what: str
    command: str
    make: Callable[[], Done]


def run(out: Path, *, rows_per_task: int, as_json: bool) -> None:
    loaded: list[dict[str, Any]] = []
    done: dict[str, dict[str, float]] = {}
    busy = f"{out}: another process makes a demo there; wait for it, or choose another folder"
    with disk_errors(out, lambda: "more is"), hold(out / ".lock", busy=busy):
        for step in _steps(out, rows_per_task, loaded):
            started = time.perf_counter()
            found = step.make()
            seconds = time.perf_counter() - started
            done[step.name] = {**found.counts, "seconds": round(seconds, 2)}
            if not as_json:
                _tell(step, found, seconds)
    if as_json:
        print_json({"folder": str(out), "steps": done})
        return
    table(
        "\nA row of every task, as it was loaded",
        ("id", "quadrant", "images", "asked", "answered"),
        [_line(row) for row in _first(loaded)],
    )
    say("\nThree things to open:")
    for number, (what, target) in enumerate(_to_open(out), start=1):
        console.print(Text(f"  {number}. {what:42} {target}"), soft_wrap=True)


def _tell(step: Step, found: Done, seconds: float) -> None:
    counted = ", ".join(f"{count:,} {what}" for what, count in found.counts.items())
    say(f"{step.name:10}{counted:22}{seconds:6.1f} s  {step.what}{found.note}")
    console.print(Text(f"{'':10}{step.command}", style="dim"), soft_wrap=True)


def _to_open(out: Path) -> list[tuple[str, object]]:
    """What a newcomer looks at next, and where it is."""
    preview, packed, constructed = out / "preview.html", out / "packed", out / "run" / "packed"
    rows = (
        "rows with their images, in a browser",
        preview if preview.exists() else f"unifiedvisual preview {packed} rows.html",
    )
    return [
        rows,
        ("all rows, to search and filter", f"unifiedvisual browse {packed} --open"),
        ("a dataset card, below its YAML header", constructed / "README.md"),
    ]


def _steps(out: Path, count: int, loaded: list[dict[str, Any]]) -> Iterator[Step]:
    published, packed, constructed = out / "upstream", out / "packed", out / "run" / "packed"
    yield from _first_steps(published, packed, count, loaded)
    spec, shards, page = out / "spec.yaml", out / "webdataset", out / "preview.html"
    yield Step(
        name="construct",
        what="by every recipe, from an exact scene engine; no model, no key",
        command=f"unifiedvisual generate run {spec} --out {out / 'run'}",
        make=lambda: _construct(out, count),
    )
    yield Step(
        name="verify",
        what="every hash, rule and image of both",
        command=f"unifiedvisual verify {constructed} --deep",
        make=lambda: _verify((packed, constructed)),
    )
    yield Step(
        name="convert",
        what="to WebDataset, without loss",
        command=f"unifiedvisual convert {constructed} webdataset {shards}",
        make=lambda: _convert(constructed, shards),
    )
    if _are_installed("jinja2", "matplotlib"):
        yield Step(
            name="preview",
            what="to one page; open it in a browser",
            command=f"unifiedvisual preview {constructed} {page}",
            make=lambda: _preview(constructed, page),
        )
    if _are_installed("torch", "transformers"):
        yield Step(
            name="train",
            what="of a tiny random Janus",
            command=f"python examples/train_janus.py --data {packed}",
            make=lambda: _train(packed),
        )


def _first_steps(published: Path, packed: Path, count: int, loaded: list[dict[str, Any]]) -> Iterator[Step]:
    yield Step(
        name="publish",
        what="from 12 photographs, in the layout as published: text Parquet beside tar.gz",
        command=f"ls {published}/data {published}/images",
        make=lambda: _publish(published, count),
    )
    yield Step(
        name="load",
        what="streamed back",
        command=f'load_dataset("{published}", split="train", streaming=True)',
        make=lambda: _load(published, loaded),
    )
    yield Step(
        name="pack",
        what="to Parquet that holds its images",
        command=f"unifiedvisual pack {published} {packed}",
        make=lambda: _pack(published, packed),
    )


def _publish(folder: Path, count: int) -> Done:
    rows = {task: list(demo_rows(task, count)) for task in TASKS}
    marker = folder.parent / MADE
    if not marker.exists():  # written again, the files would be newer than what was packed of them
        write_replica(folder, rows, archive_order="shuffled")
        write_whole(marker, json.dumps({"rows": count}))
    elif (made := json.loads(marker.read_text())["rows"]) != count:
        raise UsageError(
            f"{folder.parent} holds a demo of {made} rows per task, not {count}; choose another folder, or remove it"
        )
    return Done(
        counts={
            "rows": sum(map(len, rows.values())),
            "images": sum(len(row.images) for each in rows.values() for row in each),
        }
    )


def _load(folder: Path, loaded: list[dict[str, Any]]) -> Done:
    import unifiedvisual  # the user's own way in

    loaded.extend(unifiedvisual.load_dataset(str(folder), split="train", streaming=True))
    return Done(counts={"rows": len(loaded), "images": sum(len(row["images"]) for row in loaded)})


def _pack(source: Path, out: Path) -> Done:
    from toolkit.packing.pack import pack
    from toolkit.sources.layout import open_source

    manifest = pack(open_source(str(source)), out, TASKS)
    write_card(out)
    return Done(counts={"rows": manifest.total("rows"), "images": manifest.total("images")})


def _construct(out: Path, count: int) -> Done:
    from toolkit.generation.core.spec_file import read_spec
    from toolkit.generation.runs.engine import run as generate
    from toolkit.generation.runs.finalize import finalize

    spec = read_spec(write_spec(out, count))
    generate(spec, out / "run")
    manifest = finalize(spec, out / "run")
    write_card(out / "run" / "packed")
    rows = manifest.total("rows")
    return Done(
        counts={"rows": rows, "images": manifest.total("images")},
        note=f"; {len(spec.recipes) * count - rows} samples rejected",
    )


def _verify(folders: Iterable[Path]) -> Done:
    from toolkit.packing.verify import verify_packed
    from toolkit.sources.repository import LocalFolder

    found = [verify_packed(LocalFolder(folder), deep=True) for folder in folders]
    for kind, message in (problem for each in found for problem in each.problems):
        raise RowError(message, kind=kind)
    return Done(
        counts={
            "rows": sum(sum(each.rows.values()) for each in found),
            "images": sum(sum(each.images.values()) for each in found),
        }
    )


def _convert(source: Path, out: Path) -> Done:
    import conversion

    report = conversion.convert(str(source), "webdataset", out)
    return Done(counts={"rows": report.rows_out, "images": report.images_out})


def _preview(source: Path, page: Path) -> Done:
    from toolkit.report.preview import write_preview
    from toolkit.report.sampling import sample
    from toolkit.sources.layout import open_source
    from toolkit.sources.skips import Skips

    sampled = sample(open_source(str(source)), list(TASKS), rows=SHOWN_PER_TASK, seed=0, skips=Skips())
    written = write_preview(page, sampled, source=str(source), seed=0, per_task=SHOWN_PER_TASK)
    return Done(counts={"rows": sum(written.rows.values()), "images": written.images})


def _train(packed: Path) -> Done:
    from toolkit.demo.training import train

    losses = train(packed, "visual_generation", steps=TRAINING_STEPS)
    fell = [
        f"{what} {losses[0][name]:.1f} -> {losses[-1][name]:.1f}"
        for what, name in (("text", "text_loss"), ("images", "image_loss"))
    ]
    return Done(counts={"steps": len(losses)}, note=f"; loss of {', '.join(fell)}")


def _are_installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def _first(loaded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [min((row for row in loaded if row["task"] == task), key=lambda row: str(row["id"])) for task in TASKS]


def _line(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    pictures = ", ".join(
        f"{role} {image.width}x{image.height}" for role, image in zip(row["image_roles"], row["images"], strict=True)
    )
    asked, answered = (
        "".join(_show(message) for message in row["messages"] if message["role"] == role)
        for role in ("user", "assistant")
    )
    return row["id"], row["quadrant"], pictures or "-", asked, answered


def _show(message: dict[str, Any]) -> str:
    text = " ".join(
        "[image]" if part["type"] == "image" else " ".join(part["text"].split()) for part in message["content"]
    )
    return text if len(text) <= 120 else text[:117] + "..."
