"""Readers that we did not write agree on what a packed shard holds: duckdb, polars, hyparquet."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import unifiedvisual
from tests.replicas import replica, truth
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.layout import open_source
from toolkit.tasks import TASKS

NPM = Path(unifiedvisual.__file__).parent / ".venv/npm/node_modules"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    pack(
        open_source(replica(folder / "source", "json")),
        folder / "packed",
        TASKS,
        PackOptions(shard_bytes=40_000, row_group_bytes=10_000),
    )
    return folder / "packed"


@pytest.fixture(scope="module")
def expected():
    rows = [row for task in TASKS for row in truth()[task]]
    images = [image for row in rows for image in row.images]
    return len(rows), len(images), sum(len(image.bytes) for image in images)


def test_duckdb_agrees_and_filters(packed, expected):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed; pip install duckdb")
    shards = f"read_parquet('{packed}/data/*/*.parquet')"
    totals = (
        "select count(*), sum(len(images)), sum(list_sum(list_transform(images, lambda image: "
        f"octet_length(image.bytes)))) from {shards}"
    )
    assert duckdb.sql(totals).fetchall() == [expected]
    editing = duckdb.sql(f"select id from {shards} where task = 'image_editing' order by id").fetchall()
    assert [identifier for (identifier,) in editing] == [row.id for row in truth()["image_editing"]]


def test_polars_agrees(packed, expected):
    pl = pytest.importorskip("polars", reason="polars is not installed; pip install polars")
    rows = pl.scan_parquet(f"{packed}/data/*/*.parquet")
    images = rows.select("images").explode("images", empty_as_null=False, keep_nulls=False).unnest("images")
    counted = images.select(pl.len(), pl.col("bytes").bin.size().sum()).collect().row(0)
    assert (rows.select(pl.len()).collect().item(), *counted) == expected


COUNT = """
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
let rows = 0, images = 0, bytes = 0
for (const path of process.argv.slice(2)) {
  for (const row of await parquetReadObjects({ file: await asyncBufferFromFile(path), compressors, utf8: false })) {
    rows += 1
    for (const image of row.images) { images += 1; bytes += image.bytes.length }
  }
}
console.log(JSON.stringify([rows, images, bytes]))
"""


def test_hyparquet_agrees(packed, expected, tmp_path):
    if not (shutil.which("node") and NPM.exists()):
        pytest.skip("node or hyparquet is not installed; `make test` installs it where npm is there")
    (tmp_path / "node_modules").symlink_to(NPM)
    (tmp_path / "count.mjs").write_text(COUNT)
    command = ["node", "count.mjs", *(str(path) for path in sorted(packed.glob("data/*/*.parquet")))]
    assert (
        tuple(json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout))
        == expected
    )
