"""Packed datasets for tests, written with pyarrow alone."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.replicas import truth
from toolkit.schema import ARROW_SCHEMA, Row, rows_to_table
from toolkit.sources.manifest import Manifest, Shard


def write_packed(folder: Path, shards: dict[str, list[list[pa.Table]]], **options: object) -> Path:
    """Task -> shards -> row groups, and the manifest that tells of them."""
    written = []
    for task, tables in shards.items():
        (folder / "data" / task).mkdir(parents=True)
        for number, groups in enumerate(tables):
            path = folder / "data" / task / f"train-{number:05d}-of-{len(tables):05d}.parquet"
            with pq.ParquetWriter(
                path, ARROW_SCHEMA, **{"compression": "none", "use_dictionary": False, **options}
            ) as writer:
                for group in groups:
                    writer.write_table(group, row_group_size=max(len(group), 1))
            images = [image["bytes"] for group in groups for row in group["images"].to_pylist() for image in row]
            written.append(
                Shard(
                    path=path.relative_to(folder).as_posix(),
                    task=task,
                    bytes=path.stat().st_size,
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    rows=sum(map(len, groups)),
                    images=len(images),
                    image_bytes=sum(map(len, images)),
                    row_groups=tuple(map(len, groups)),
                    quadrants=dict(Counter(row for group in groups for row in group["quadrant"].to_pylist())),
                )
            )
    (folder / "MANIFEST.json").write_text(
        Manifest(source={"name": "test"}, options={}, shards=tuple(written)).to_json()
    )
    return folder


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    (folder / "MANIFEST.json").write_bytes(manifest_of(content))


def manifest_of(content: Mapping[str, Any]) -> bytes:
    """A MANIFEST.json that says this, with the checksum of what it says."""
    says = {name: value for name, value in content.items() if name != "checksum"}
    text = json.dumps(says, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return json.dumps({**says, "checksum": f"sha256:{hashlib.sha256(text).hexdigest()}"}).encode()


def pack_demo(folder: Path, tasks: Iterable[str], *, rows_per_group: int = 2, groups_per_shard: int = 2) -> Path:
    return write_packed(folder, {task: split(truth()[task], rows_per_group, groups_per_shard) for task in tasks})


def split(rows: Sequence[Row], rows_per_group: int, groups_per_shard: int) -> list[list[pa.Table]]:
    groups = [rows_to_table(rows[start : start + rows_per_group]) for start in range(0, len(rows), rows_per_group)]
    return [groups[start : start + groups_per_shard] for start in range(0, len(groups), groups_per_shard)]


def pack_numbers(
    folder: Path, shards: Sequence[Sequence[int]], *, task: str = "cot_collection", prefix: str = "n"
) -> Path:
    """Rows of nothing but ids, prefix-0, prefix-1, ...; `shards` gives the rows of each row group of each shard."""
    tables, number = [], 0
    for groups in shards:
        made = []
        for rows in groups:
            made.append(numbered([f"{prefix}-{number + row}" for row in range(rows)], task))
            number += rows
        tables.append(made)
    return write_packed(folder, {task: tables})


def numbered(ids: list[str], task: str, image: bytes = b"") -> pa.Table:
    same = {
        "task": task,
        "quadrant": "text-text",
        "messages": [],
        "images": [{"bytes": image, "path": ""}] if image else [],
        "image_roles": [],
        "image_captions": [],
    }
    columns = {
        "id": ids,
        **{
            name: [same.get(name, [] if name == "regions" else "")] * len(ids)
            for name in ARROW_SCHEMA.names
            if name != "id"
        },
    }
    return pa.table(columns, schema=ARROW_SCHEMA)
