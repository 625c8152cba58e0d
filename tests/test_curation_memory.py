"""Memory of curation and verify stays the same: duckdb has one limit, and Python keeps nothing of a row."""

import sqlite3
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import toolkit.curation
from tests.replicas import truth
from toolkit.curation.database import MOST_MB, database, with_enough_memory
from toolkit.curation.features import PICTURE_SCHEMA
from toolkit.curation.matching import group_pictures
from toolkit.curation.pictures import NEAR_SCHEMA
from toolkit.errors import DiskFull, UnifiedVisualError
from toolkit.packing.verify import verify_packed
from toolkit.sources.repository import LocalFolder
from unifiedvisual import merge, pack_rows, select

ROWS, FEW, MANY = 400, 2, 12  # of a dataset; times it is merged with itself
BYTES_A_ROW = 45  # a list of ids takes 70, a dict of them 100; what is kept of a shard of ROWS, up to 30
ALIKE = 8_000  # pairs of pictures


def limit(folder: Path, asked: list[str]) -> str:
    with database(folder) as db:
        [(text,)] = db.execute("SELECT current_setting('memory_limit')").fetchall()
    asked.append(text)
    return text


def test_a_database_has_a_limit_that_grows_only_where_a_question_fails(tmp_path):
    asked: list[str] = []

    def work():
        if limit(tmp_path, asked) != "244.1 MiB":
            raise duckdb.OutOfMemoryException("failed to pin block\nmore")
        return "done"

    assert with_enough_memory(work) == "done"
    assert asked == ["61.0 MiB", "122.0 MiB", "244.1 MiB"]  # 64, 128 and 256 MB
    assert limit(tmp_path, asked) == "61.0 MiB"


def test_a_question_that_needs_too_much_is_an_error(tmp_path):
    def work():
        raise duckdb.OutOfMemoryException("failed to pin block\nmore")

    with pytest.raises(UnifiedVisualError, match=rf"more than {MOST_MB} MB: failed to pin block$"):
        with_enough_memory(work)


def test_other_errors_of_a_question_are_not_tried_again(tmp_path):
    asked: list[str] = []

    def work():
        limit(tmp_path, asked)
        raise duckdb.BinderException("no such column")

    with pytest.raises(duckdb.BinderException):
        with_enough_memory(work)
    assert len(asked) == 1


def test_curation_opens_databases_in_one_place():
    folder = Path(toolkit.curation.__file__).parent
    assert [path.name for path in sorted(folder.glob("*.py")) if "duckdb.connect" in path.read_text()] == [
        "database.py"
    ]


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    row, folder = truth()["cot_collection"][0], tmp_path_factory.mktemp("memory") / "packed"
    pack_rows((replace(row, id=f"row-{n}") for n in range(ROWS)), folder)
    return folder


def traced(work) -> int:
    """Peak bytes of Python's objects."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_python_does_not_grow_with_the_rows(packed, tmp_path):
    peaks: dict[str, list[int]] = {}
    for times in (1, FEW, MANY):  # first once, so that everything is imported
        merged, chosen = tmp_path / f"merged-{times}", tmp_path / f"chosen-{times}"
        steps = {
            "merge": partial(merge, [packed] * max(times, 2), merged, ids="prefix"),
            "select": partial(
                select,
                merged,
                chosen,
                where="length(answer) > 0",
                split={"train": 0.5, "test": 0.5},
                row_group_bytes=50_000,
            ),
            "verify": partial(verify_packed, LocalFolder(merged)),
        }
        for name, work in steps.items():
            peaks.setdefault(name, []).append(traced(work))
    more = {name: (many - few) / (ROWS * (MANY - FEW)) for name, (_, few, many) in peaks.items()}
    assert {name: each for name, each in more.items() if each > BYTES_A_ROW} == {}


def test_thumbnails_of_pictures_that_look_alike_are_compared_a_few_at_a_time(tmp_path):
    described, near, numbered = tmp_path / "described", tmp_path / "near", tmp_path / "numbered.parquet"
    pictures = [
        {"number": n, "piece": 0, "sha256": f"{n:064x}", "thumbnail": bytes([n // 2 % 256]) * 768}
        for n in range(2 * ALIKE)
    ]
    pairs = [{"one": n, "other": n + 1, "bits": 0} for n in range(0, 2 * ALIKE, 2)]
    for folder, name, lines, schema in (
        (described, "pictures.parquet", pictures, PICTURE_SCHEMA),
        (near, "near.parquet", pairs, NEAR_SCHEMA),
    ):
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist(lines, schema=schema), folder / name)
    pq.write_table(pa.Table.from_pylist(pictures).select(["number", "piece", "sha256"]), numbered)
    found = []
    assert traced(lambda: found.append(group_pictures([described], [near], numbered, 0, tmp_path, print))) < 20_000_000
    assert found == [ALIKE]


def test_a_full_disk_under_the_ids_of_a_check_is_an_error(packed, monkeypatch):
    connect = sqlite3.connect

    def full(path):
        db = connect(path)
        db.execute("PRAGMA max_page_count = 2")
        return db

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(DiskFull, match="the disk is full"):
        verify_packed(LocalFolder(packed))
