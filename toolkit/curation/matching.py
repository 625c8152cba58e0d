"""Pairs of rows that are alike, and rows that a benchmark has: joins over buckets, the hits confirmed.

    pictures that look alike -> what each row shows
    a band of a row's text, and what it shows -> buckets, sorted into parts -> pairs, a unit for each part
    pairs -> groups -> the texts of these alone, sorted into parts -> pairs whose texts are near

A bucket of N rows gives at most 2 N pairs: each row with the first and with the one before it, which is enough for what
belongs together to hang together. Every unit reads its own part, by the statistics of row groups.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolkit.curation.components import connected
from toolkit.curation.database import GROUP_ROWS, database, files, keep, literal, write
from toolkit.curation.features import ITEMS, PICTURES
from toolkit.curation.look import TableWriter
from toolkit.curation.pictures import confirm_near
from toolkit.curation.texts import jaccard, runs
from toolkit.executors import Tell
from toolkit.staging.files import whole_file

if TYPE_CHECKING:
    import duckdb

By = Literal["row", "text", "image"]
ALIKE, PAIRS, FOUND = "alike.parquet", "pairs.parquet", "found.parquet"
CONFIRMED, SAME_FILE = "confirmed.parquet", "same.parquet"
TEXTS = "texts.sqlite3"
BUCKET_FILE, CANDIDATES, GROUPS, WANTED = "buckets.parquet", "candidates.parquet", "groups.parquet", "wanted.parquet"
UNIT_ROWS = 500_000  # that a part is meant for
LEAST_WORDS = 8  # of a benchmark's question, for its text alone to say anything
PLACE = "piece::BIGINT << 32 | row"
# Of a row: a number for each band of its text, and one for the text itself.
KEYS = "list_append(bands, hash(text_sha256))"
# Pictures that look like another, each with the first of those that do.
SAME = """
SELECT mine.sha256 AS sha256, first.sha256 AS look
FROM grouped JOIN numbered AS mine USING (number) JOIN numbered AS first ON root = first.number ORDER BY 1
"""
BUCKETS = {
    "image": "SELECT place, hash(unnest(looks)) AS key FROM alike",
    "text": f"SELECT place, unnest({KEYS}) AS key FROM items WHERE text <> ''",
    "row": "SELECT place, hash(key, coalesce(array_to_string(looks, ' '), '')) AS key FROM (SELECT place, "
    f"unnest({KEYS}) AS key FROM items) LEFT JOIN alike USING (place)",
}
PAIRED = """
SELECT DISTINCT place, other
FROM (
    SELECT place, unnest([
        min(place) OVER (PARTITION BY key), lag(place) OVER (PARTITION BY key ORDER BY place)
    ]) AS other
    FROM (SELECT DISTINCT place, key FROM read_parquet({buckets}) WHERE part = {part})
)
WHERE place <> other ORDER BY other, place
"""
MINE = """
SELECT DISTINCT place, other FROM read_parquet({pairs}) WHERE place IN (SELECT place FROM mine) ORDER BY other, place
"""
PAIR_SCHEMA = pa.schema([("place", pa.int64()), ("other", pa.int64()), ("kind", pa.string()), ("score", pa.float32())])
ALIKE_SCHEMA = pa.schema([("place", pa.int64()), ("looks", pa.list_(pa.string()))])
HIT_SCHEMA = pa.schema([("asked_sha256", pa.string()), ("item", pa.int64()), ("score", pa.float32())])


def group_pictures(
    described: Sequence[Path], near: Sequence[Path], numbered: Path, unit: int, folder: Path, tell: Tell
) -> int:
    """Write `same.parquet`: each picture that looks like another (`sha256`), with one for all of them (`look`); returns
    how many look like an earlier one.
    """
    with database(folder) as db:
        db.execute(f"CREATE VIEW numbered AS SELECT * FROM read_parquet({literal(str(numbered))})")
        confirm_near(db, described, near, folder / CONFIRMED)
        db.execute(f"CREATE VIEW confirmed AS SELECT * FROM read_parquet({literal(str(folder / CONFIRMED))})")
        nodes, roots = connected(db, "confirmed")
        db.register("grouped", pa.table({"number": nodes, "root": roots}))
        write(db, SAME, folder / SAME_FILE)
    return int(np.count_nonzero(nodes != roots))


def name_looks(described: Sequence[Path], same: Path, unit: int, folder: Path, tell: Tell) -> None:
    """Write `alike.parquet` of a piece: what each row that has pictures shows (`place`; `looks`, a list with the same
    text for pictures that look alike).
    """
    with database(folder) as db:
        own = f"(SELECT sha256 FROM read_parquet({literal(str(described[unit] / PICTURES))}))"
        theirs = db.sql(
            f"SELECT sha256, look FROM read_parquet({literal(str(same))}) WHERE sha256 IN {own}"
        ).to_arrow_table()
    with (
        pq.ParquetFile(described[unit] / ITEMS, pre_buffer=False) as items,
        whole_file(folder / ALIKE) as file,
        TableWriter(file) as writer,
    ):
        writer.write(ALIKE_SCHEMA.empty_table())
        for batch in items.iter_batches(columns=["piece", "row", "images"], use_threads=False):
            batch = batch.filter(pc.greater(pc.list_value_length(batch["images"]), 0))
            place = pc.bit_wise_or(pc.shift_left(batch["piece"].cast(pa.int64()), 32), batch["row"].cast(pa.int64()))
            images = batch["images"].flatten()
            found = theirs["look"].combine_chunks().take(pc.index_in(images, value_set=theirs["sha256"]))
            ends = np.cumsum([0, *pc.list_value_length(batch["images"]).to_pylist()], dtype=np.int32)
            looks = pa.ListArray.from_arrays(pa.array(ends), pc.coalesce(found, images))
            writer.write(pa.table([place, looks], schema=ALIKE_SCHEMA))


def parts_of(rows: int) -> int:
    """Parts that so many rows are sorted into."""
    return 1 + rows // UNIT_ROWS


def write_buckets(
    described: Sequence[Path], alike: Sequence[Path], by: By, parts: int, unit: int, folder: Path, tell: Tell
) -> None:
    """Write `buckets.parquet` of a shard: `part`, `key` and `place` of every bucket that its rows are in."""
    with database(folder) as db:
        _view(db, "items", described[unit])
        db.execute(f"CREATE VIEW alike AS SELECT * FROM read_parquet({literal(str(alike[unit] / ALIKE))})")
        question = f"SELECT (key % {parts})::INTEGER AS part, key, place FROM ({BUCKETS[by]}) ORDER BY part"
        write(db, question, folder / BUCKET_FILE, group_rows=GROUP_ROWS // parts)


def _view(db: "duckdb.DuckDBPyConnection", name: str, described: Path) -> None:
    listed = literal(str(described / ITEMS))
    db.execute(f"CREATE VIEW {name} AS SELECT *, {PLACE} AS place FROM read_parquet({listed})")


def pair_rows(buckets: Sequence[Path], unit: int, folder: Path, tell: Tell) -> None:
    """Write `candidates.parquet`: pairs of rows (`place`, `other`) that share a bucket, of a part."""
    with database(folder) as db:
        listed = files([each / BUCKET_FILE for each in buckets])
        write(db, PAIRED.format(buckets=listed, part=unit), folder / CANDIDATES)


def group_rows(candidates: Sequence[Path], unit: int, folder: Path, tell: Tell) -> int:
    """Write `groups.parquet`: the part of each row that is in a pair (`place`, `part`); returns how many parts."""
    with database(folder) as db:
        listed = files([each / CANDIDATES for each in candidates])
        keep(db, "linked", f"SELECT DISTINCT place AS one, other FROM read_parquet({listed})", folder)
        nodes, roots = connected(db, "linked")
        parts = parts_of(len(nodes))
        db.register("grouped", pa.table({"place": nodes, "root": roots}))
        question = f"SELECT place, (hash(root) % {parts})::INTEGER AS part FROM grouped ORDER BY place"
        write(db, question, folder / GROUPS, group_rows=GROUP_ROWS)
    return parts


def gather_texts(described: Sequence[Path], groups: Path, parts: int, unit: int, folder: Path, tell: Tell) -> None:
    """Write `wanted.parquet` of a shard: what is compared of its rows that are in a pair, by part."""
    with database(folder) as db:
        _view(db, "items", described[unit])
        question = (
            "SELECT part, place, text, text_sha256, images FROM items JOIN "
            f"read_parquet({literal(str(groups))}) USING (place) ORDER BY part, place"
        )
        write(db, question, folder / WANTED, group_rows=GROUP_ROWS // parts)


def confirm_pairs(
    candidates: Sequence[Path], wanted: Sequence[Path], by: By, threshold: float, unit: int, folder: Path, tell: Tell
) -> int:
    """Write `pairs.parquet`: rows that are alike (PAIR_SCHEMA), of a part; returns how many pairs. Texts lie on the
    disk, and are looked up by the place of their row.
    """
    (folder / TEXTS).unlink(missing_ok=True)  # of a process that was killed
    listed = f"read_parquet({files([each / WANTED for each in wanted])}) WHERE part = {unit}"
    with (
        database(folder) as db,
        closing(sqlite3.connect(folder / TEXTS, isolation_level=None)) as texts,
    ):
        texts.execute("PRAGMA journal_mode = OFF")
        texts.execute("PRAGMA synchronous = OFF")
        texts.execute("CREATE TABLE texts (place INTEGER PRIMARY KEY, text, text_sha256, images)")
        stored = db.sql(f"SELECT place, text, text_sha256, array_to_string(images, ' ') AS images FROM {listed}")
        texts.execute("BEGIN")
        for batch in stored.to_arrow_reader(1_000):
            texts.executemany("INSERT INTO texts VALUES (?, ?, ?, ?)", zip(*batch.to_pydict().values(), strict=True))
        texts.execute("COMMIT")
        db.execute(f"CREATE TABLE mine AS SELECT place FROM {listed}")
        found = db.sql(MINE.format(pairs=files([each / CANDIDATES for each in candidates])))
        count = _write(_judged(found, texts, by, threshold), PAIR_SCHEMA, folder / PAIRS)
    (folder / TEXTS).unlink()
    return count


def _judged(
    found: "duckdb.DuckDBPyRelation", texts: sqlite3.Connection, by: By, threshold: float
) -> Iterator[dict[str, Any]]:
    known, first, shares = -1, RowText("", "", ""), set[str]()
    for batch in found.to_arrow_reader(1_000):
        for line in batch.to_pylist():
            if line["other"] != known:
                known, first = line["other"], _text_of(texts, line["other"])
                shares = runs(first.text)
            row = _text_of(texts, line["place"])
            same_text, same_pictures = row.text_sha256 == first.text_sha256, row.images == first.images
            score = 1.0 if same_text else jaccard(runs(row.text), shares)
            if by == "image" or score >= threshold:
                kind = _kind(same_text or by == "image", same_pictures or by == "text")
                yield {**line, "kind": kind, "score": score}


class RowText(NamedTuple):
    """What is compared of a row; its images by their hashes, in order."""

    text: str
    text_sha256: str
    images: str


def _text_of(texts: sqlite3.Connection, place: int) -> RowText:
    return RowText(*texts.execute("SELECT text, text_sha256, images FROM texts WHERE place = ?", (place,)).fetchone())


def _kind(same_text: bool, same_pictures: bool) -> str:
    if same_text:
        return "duplicate" if same_pictures else "near_images"
    return "near_text" if same_pictures else "near_text_and_images"


def match_benchmark(
    described: Sequence[Path], items: Sequence[Path], threshold: float, unit: int, folder: Path, tell: Tell
) -> int:
    """Write `found.parquet`: instructions of a shard that are near a benchmark's question (HIT_SCHEMA); returns how
    many pairs.

    Args:
        items: files of the benchmark.
    """
    with database(folder) as db:
        for name, places in (("ours", [described[unit]]), ("theirs", items)):
            listed = files([each / ITEMS for each in places])
            all_of = f"(SELECT *, {PLACE} AS place FROM read_parquet({listed}))"
            first = f"SELECT min(place) AS place FROM {all_of} WHERE asked_words >= {LEAST_WORDS} GROUP BY asked_sha256"
            db.execute(f"CREATE VIEW {name} AS SELECT * FROM {all_of} SEMI JOIN ({first}) USING (place)")
        key = "unnest(list_append(asked_bands, hash(asked_sha256))) AS key"
        db.execute(
            "CREATE TABLE pairs AS SELECT DISTINCT o.asked_sha256 AS ours, t.asked_sha256 AS theirs FROM "
            f"(SELECT asked_sha256, {key} FROM ours) AS o JOIN "
            f"(SELECT asked_sha256, {key} FROM theirs) AS t USING (key)"
        )
        found = db.sql(
            "SELECT pairs.ours, o.asked AS text, t.asked AS other_text, t.place AS item FROM pairs JOIN ours AS o ON "
            "pairs.ours = o.asked_sha256 JOIN theirs AS t ON pairs.theirs = t.asked_sha256 ORDER BY ALL"
        )
        return _write(_hits(found, threshold), HIT_SCHEMA, folder / FOUND)


def _hits(found: "duckdb.DuckDBPyRelation", threshold: float) -> Iterator[dict[str, Any]]:
    for batch in found.to_arrow_reader(1_000):
        for line in batch.to_pylist():
            score = jaccard(runs(line["text"]), runs(line["other_text"]))
            if score >= threshold:
                yield {"asked_sha256": line["ours"], "item": line["item"], "score": score}


def _write(lines: Iterator[dict[str, Any]], schema: pa.Schema, path: Path) -> int:
    count = 0
    with whole_file(path) as file, TableWriter(file) as writer:
        writer.write(schema.empty_table())
        while some := list(islice(lines, 1_000)):
            writer.write(pa.Table.from_pylist(some, schema=schema))
            count += len(some)
    return count
