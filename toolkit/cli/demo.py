"""`unifiedvisual demo`: a small dataset in the layout as published, loaded back as a stream."""

import time
from pathlib import Path
from typing import Any

from toolkit.cli.terminal import print_json, say, table
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.tasks import TASKS

SHOWN_PER_TASK = 2


def run(out: Path, *, rows_per_task: int, as_json: bool) -> None:
    import unifiedvisual  # the one command that goes the user's own way in

    started = time.perf_counter()
    source = out / "upstream"
    rows = {task: list(demo_rows(task, rows_per_task)) for task in TASKS}
    write_replica(source, rows, archive_order="shuffled")
    made = time.perf_counter()
    loaded = list(unifiedvisual.load_dataset(str(source), split="train", streaming=True))
    done = time.perf_counter()
    if as_json:
        print_json({"folder": str(source), "rows": len(loaded), "images": sum(len(row["images"]) for row in loaded), "seconds": done - started})
        return
    table("A few rows of every task", ("id", "quadrant", "pictures", "asked", "answered"), [_line(row) for row in _first(loaded)])
    say(f"\nMade {sum(map(len, rows.values())):,} rows of {len(TASKS)} tasks from 12 photographs in {made - started:.1f} s, in the layout as published:")
    say(f"  {source}/data/*.parquet (text), {source}/images/*.tar.gz (pictures)")
    say(f"Streamed {len(loaded):,} rows with {sum(len(row['images']) for row in loaded):,} pictures back in {done - made:.1f} s. Do the same in Python:")
    say(
        f'  from unifiedvisual import load_dataset\n  ds = load_dataset("{source}", "image_editing", split="train", streaming=True)\n  next(iter(ds))["images"]'
    )
    say(f"Next: unifiedvisual inspect {source}")


def _first(loaded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for task in TASKS for row in sorted((row for row in loaded if row["task"] == task), key=lambda row: str(row["id"]))[:SHOWN_PER_TASK]]


def _line(row: dict[str, Any]) -> tuple[str, str, str, str, str]:
    pictures = ", ".join(f"{role} {image.width}x{image.height}" for role, image in zip(row["image_roles"], row["images"], strict=True))
    asked, answered = ("".join(_show(message) for message in row["messages"] if message["role"] == role) for role in ("user", "assistant"))
    return row["id"], row["quadrant"], pictures or "-", asked, answered


def _show(message: dict[str, Any]) -> str:
    text = " ".join("[picture]" if part["type"] == "image" else " ".join(part["text"].split()) for part in message["content"])
    return text if len(text) <= 120 else text[:117] + "..."
