"""Pairs of rows that are alike, and rows that a benchmark has: joins over buckets, the hits confirmed.

    pictures that look alike -> what each row shows
    a band of a row's text, and what it shows -> buckets, sorted into parts -> pairs, a unit for each part
    pairs -> groups -> the texts of these alone, sorted into parts -> pairs whose texts are near

A bucket of N rows gives at most 2 N pairs: each row with the first and with the one before it, which is enough for what
belongs together to hang together. Every unit reads its own part, by the statistics of row groups.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from toolkit.curation.components import components
from toolkit.curation.database import GROUP_ROWS, database, files, literal, write
from toolkit.curation.features import ITEMS
from toolkit.curation.look import TableWriter
from toolkit.curation.pictures import confirmed
from toolkit.curation.texts import jaccard, runs
from toolkit.executors import Tell
from toolkit.staging.files import whole_file

if TYPE_CHECKING:
    import duckdb

By = Literal["row", "text", "image"]
ALIKE, PAIRS, FOUND = "alike.parquet", "pairs.parquet", "found.parquet"
BUCKET_FILE, CANDIDATES, GROUPS, WANTED = "buckets.parquet", "candidates.parquet", "groups.parquet", "wanted.parquet"
UNIT_ROWS = 500_000  # that a part is meant for
LEAST_WORDS = 8  # of a benchmark's question, for its text alone to say anything
PLACE = "piece::BIGINT << 32 | row"
# Of a row: a number for each band of its text, and one for the text itself.
KEYS = "list_append(bands, hash(text_sha256))"
# Pictures that look like another, each with the first of those that do.
SAME = """
CREATE TABLE same AS
SELECT mine.sha256, first.sha256 AS look
FROM grouped
JOIN (SELECT number, sha256 FROM {pictures}) AS mine USING (number)
JOIN (SELECT number, sha256 FROM {pictures}) AS first ON root = first.number
"""
LOOKS = """
SELECT place, looks, md5(array_to_string(looks, ' ')) AS shown
FROM (
    SELECT place, list(coalesce(look, sha256) ORDER BY nth) AS looks
    FROM (
        SELECT {place} AS place, unnest(images) AS sha256, generate_subscripts(images, 1) AS nth FROM {items}
    ) LEFT JOIN same USING (sha256)
    GROUP BY place
)
ORDER BY place
"""
BUCKETS = {
    "image": "SELECT place, hash(unnest(looks)) AS key FROM alike",
    "text": f"SELECT place, unnest({KEYS}) AS key FROM items WHERE text <> ''",
    "row": f"SELECT place, hash(key, coalesce(shown, '')) AS key FROM (SELECT place, unnest({KEYS}) AS key FROM items) "
    "LEFT JOIN alike USING (place)",
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
TEXTS = """
SELECT p.place, p.other, a.text AS text, b.text AS other_text, a.text_sha256 = b.text_sha256 AS same_text,
    a.images = b.images AS same_pictures
FROM (SELECT DISTINCT place, other FROM read_parquet({pairs})) AS p
JOIN wanted AS a ON p.place = a.place JOIN wanted AS b ON p.other = b.place
ORDER BY p.other, p.place
"""
PAIR_SCHEMA = pa.schema([("place", pa.int64()), ("other", pa.int64()), ("kind", pa.string()), ("score", pa.float32())])
HIT_SCHEMA = pa.schema([("asked_sha256", pa.string()), ("item", pa.int64()), ("score", pa.float32())])


def group_pictures(
    described: Sequence[Path], near: Sequence[Path], numbered: Path, unit: int, folder: Path, tell: Tell
) -> int:
    """Write `alike.parquet`: what each row shows (`place`; `looks`, a list with the same text for pictures that look
    alike; `shown`, a hash of that). Returns how many pictures look like another.
    """
    with database(folder) as db:
        nodes, roots = components(confirmed(db, near, numbered))
        db.register("grouped", pa.table({"number": nodes, "root": roots}))
        db.execute(SAME.format(pictures=f"read_parquet({literal(str(numbered))})"))
        items = f"read_parquet({files([each / ITEMS for each in described])})"
        write(db, LOOKS.format(items=items, place=PLACE), folder / ALIKE)
    return int(np.count_nonzero(nodes != roots))


def parts_of(rows: int) -> int:
    """Parts that so many rows are sorted into."""
    return 1 + rows // UNIT_ROWS


def write_buckets(
    described: Sequence[Path], alike: Path, by: By, parts: int, unit: int, folder: Path, tell: Tell
) -> None:
    """Write `buckets.parquet` of a shard: `part`, `key` and `place` of every bucket that its rows are in."""
    with database(folder) as db:
        _view(db, "items", described[unit])
        [(first, last)] = db.execute("SELECT min(place), max(place) FROM items").fetchall()
        mine = f"place BETWEEN {first or 0} AND {last or 0}"
        db.execute(f"CREATE VIEW alike AS SELECT * FROM read_parquet({literal(str(alike))}) WHERE {mine}")
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
        pairs = db.sql(f"SELECT DISTINCT place, other FROM read_parquet({listed})").fetchnumpy()
        nodes, roots = components(np.stack([pairs["place"], pairs["other"]], axis=1).astype(np.int64))
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
    """Write `pairs.parquet`: rows that are alike (PAIR_SCHEMA), of a part; returns how many pairs."""
    with database(folder) as db:
        listed = files([each / WANTED for each in wanted])
        db.execute(f"CREATE TABLE wanted AS SELECT * FROM read_parquet({listed}) WHERE part = {unit}")
        found = db.sql(TEXTS.format(pairs=files([each / CANDIDATES for each in candidates])))
        return _write(_judged(found, by, threshold), PAIR_SCHEMA, folder / PAIRS)


def _judged(found: "duckdb.DuckDBPyRelation", by: By, threshold: float) -> Iterator[dict[str, Any]]:
    known: dict[int, set[str]] = {}
    for batch in found.to_arrow_reader(1_000):
        for line in batch.to_pylist():
            if line["other"] not in known:
                known = {line["other"]: runs(line["other_text"])}
            score = 1.0 if line["same_text"] else jaccard(runs(line["text"]), known[line["other"]])
            if by == "image" or score >= threshold:
                kind = _kind(line["same_text"] or by == "image", line["same_pictures"] or by == "text")
                yield {"place": line["place"], "other": line["other"], "kind": kind, "score": score}


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
            values = f"any_value(asked) AS asked, any_value(asked_bands) AS bands, min({PLACE}) AS place"
            db.execute(
                f"CREATE VIEW {name} AS SELECT asked_sha256, {values} FROM read_parquet({listed}) WHERE asked_words >= "
                f"{LEAST_WORDS} GROUP BY asked_sha256"
            )
        key = "unnest(list_append(bands, hash(asked_sha256))) AS key"
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
