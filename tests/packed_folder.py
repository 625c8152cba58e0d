"""A packed dataset made of demo rows, written with pyarrow and described by hand: no packer of ours takes part."""

import hashlib
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq

from toolkit.demo.rows import demo_rows
from toolkit.rules import check_row
from toolkit.schema import Region, Row, rows_to_table
from toolkit.sources.manifest import MANIFEST, Manifest, Shard
from toolkit.tasks import TASKS

ROWS = {task: 3 + number for number, task in enumerate(TASKS)}  # all differ, so that mixed-up counts show
ROWS_PER_SHARD, ROWS_PER_GROUP = 6, 2


@cache
def packed_rows(tasks=tuple(TASKS)) -> dict[str, list[Row]]:
    """Demo rows; the first with a picture of every task also has boxes."""
    rows = {task: list(demo_rows(task, ROWS[task])) for task in tasks}
    for task in (task for task in tasks if rows[task][0].images):
        rows[task][0] = replace(
            rows[task][0], regions=(Region(0, (0.0, 0.25, 0.5, 1.0), "left | half"), Region(0, (0.5, 0.0, 1.0, 0.75)))
        )
        check_row(rows[task][0])
    return rows


def write_packed(folder: Path, rows: dict[str, list[Row]], **manifest) -> Manifest:
    """Shards of a few rows, and MANIFEST.json."""
    shards = tuple(shard for task, listed in rows.items() for shard in _write_task(folder, task, listed))
    written = Manifest(
        **{"source": {"name": "demo rows", "revision": "1"}, "options": {"shard_size": 1}, "shards": shards, **manifest}
    )
    (folder / MANIFEST).write_text(written.to_json(), encoding="utf-8")
    return written


def _write_task(folder, task, rows):
    parts = [rows[start : start + ROWS_PER_SHARD] for start in range(0, len(rows), ROWS_PER_SHARD)]
    for number, part in enumerate(parts):
        path = f"data/{task}/train-{number:05d}-of-{len(parts):05d}.parquet"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows_to_table(part), folder / path, row_group_size=ROWS_PER_GROUP)
        yield _describe(folder, path, task, part)


def _describe(folder, path, task, rows):
    content = (folder / path).read_bytes()
    return Shard(
        path=path,
        task=task,
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        rows=len(rows),
        images=sum(len(row.images) for row in rows),
        image_bytes=sum(len(image.bytes) for row in rows for image in row.images),
        row_groups=tuple(len(rows[start : start + ROWS_PER_GROUP]) for start in range(0, len(rows), ROWS_PER_GROUP)),
        quadrants=dict(Counter(row.quadrant for row in rows)),
    )
