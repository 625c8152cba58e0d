"""A packed dataset -> the same without rows that come twice, and without those that a benchmark has.

    texts and images of every shard -> images that look alike -> pairs of rows -> which go -> report -> shards

Of rows that belong together the first stays. Nothing goes without being counted in the manifest and listed in
`duplicates.parquet`, with the row it is like.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from toolkit.curation.benchmarks import Benchmark, open_benchmark
from toolkit.curation.choosing import write_chosen
from toolkit.curation.components import connected
from toolkit.curation.database import database, files, keep, write
from toolkit.curation.features import ITEMS, Compared, Items, describe, items_of
from toolkit.curation.inputs import open_inputs
from toolkit.curation.look import Piece, pieces_of
from toolkit.curation.matching import (
    ALIKE,
    FOUND,
    GROUPS,
    PAIRS,
    PLACE,
    SAME_FILE,
    By,
    confirm_pairs,
    gather_texts,
    group_pictures,
    group_rows,
    match_benchmark,
    name_looks,
    pair_rows,
    parts_of,
    write_buckets,
)
from toolkit.curation.pairs_page import PAGE, write_page
from toolkit.curation.phases import OnDone, Phases, Spread, open_phases, quiet, read_finished
from toolkit.curation.pictures import NUMBERED, find_near, number_pictures, units_of
from toolkit.curation.select import chosen_tasks, write_selected
from toolkit.curation.writing import KEPT, Sizes
from toolkit.errors import UsageError
from toolkit.executors import Tell
from toolkit.sources.manifest import Manifest
from toolkit.staging.jobs import Job, Part

DUPLICATES = "duplicates.parquet"
NEAR_TEXT = 0.8

# A row that goes with the pair that is shown: with a row before it, of the strictest kind, the nearest.
TWICE = """
SELECT place, other, kind, score
FROM (SELECT place, other, kind, score FROM pairs UNION ALL SELECT other, place, kind, score FROM pairs)
SEMI JOIN gone USING (place)
QUALIFY row_number() OVER (PARTITION BY place ORDER BY other > place, kind, -score, other) = 1
"""
CONTAMINATED = """
SELECT place, item, kind, score
FROM (
    SELECT o.place, t.place AS item, 'benchmark_image' AS kind, 1.0::FLOAT AS score
    FROM {looks} AS o
    JOIN (SELECT look, min(place) AS place FROM {looks} WHERE place >= {start} GROUP BY look) AS t USING (look)
    WHERE o.place < {start}
    UNION ALL
    SELECT rows.place, item, 'benchmark_text', score FROM rows JOIN read_parquet({found}) USING (asked_sha256)
)
QUALIFY row_number() OVER (PARTITION BY place ORDER BY kind, -score, item) = 1
"""
JUDGED = """
SELECT id, task, source, license, piece, row, split, coalesce(c.kind, t.kind) AS reason, c.kind IS NOT NULL AS is_item,
    CASE WHEN c.kind IS NULL THEN t.other ELSE c.item END AS other, coalesce(c.score, t.score) AS score
FROM rows LEFT JOIN twice AS t USING (place) LEFT JOIN contaminated AS c USING (place)
"""
LISTED = """
SELECT judged.id, task, reason, o.id AS like_id, score, piece, row, (other >> 32)::INTEGER AS like_piece,
    (other & 4294967295)::INTEGER AS like_row
FROM judged JOIN ({of}) AS o ON judged.other = o.place AND judged.is_item = o.is_item
WHERE reason IS NOT NULL ORDER BY piece, row
"""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When rows are alike.

    Attributes:
        by: "row": their texts and all their images are alike; "text" or "image": these alone (one image is
            enough).
        near_text: least Jaccard index of runs of three words; 1.0 = the same runs, but for case and punctuation.
        near_images: whether images are alike that look alike, or only those of the same bytes.
    """

    by: By = "row"
    near_text: float = NEAR_TEXT
    near_images: bool = True

    def __post_init__(self) -> None:
        if self.by not in get_args(By):
            raise UsageError(f"by is {self.by!r}; expected one of {', '.join(map(repr, get_args(By)))}")
        if not 0.3 <= self.near_text <= 1:
            raise UsageError(f"near_text is {self.near_text}; expected 0.3 to 1, a share of common runs of words")


def deduplicate(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    by: By = "row",
    near_text: float = NEAR_TEXT,
    near_images: bool = True,
    against: Sequence[str | os.PathLike[str]] = (),
    tasks: Iterable[str] = ("all",),
    shard_bytes: int = Sizes.shard_bytes,
    row_group_bytes: int = Sizes.row_group_bytes,
    token: str | bool | None = None,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_done: OnDone = quiet,
) -> Manifest:
    """Leave out rows that are like an earlier one, or an item of a benchmark. Duplicates between datasets are found
    after `merge`. The same call gives the same bytes; one that was stopped is resumed.

        deduplicate("merged", "unique", against=["benchmark.jsonl"])

    Beside the dataset stand `duplicates.parquet`, a line for each row that goes, and `duplicates.html`, pairs side by
    side.

    Args:
        source: a packed dataset: a folder, `org/name` or an hf:// URL.
        by, near_text, near_images: see Rule.
        against: benchmarks; see `benchmarks.open_benchmark`. A row goes that shows an image of one, or whose
            instruction is near a question of eight words or more.
        tasks: configs or tasks.
        shard_bytes, row_group_bytes: see PackOptions.
        workers, executor, part: see `toolkit.executors`.
        on_done: called with (phase, finished units, all units).

    Raises:
        UsageError: the source is not packed; `out` holds something else, or another process is at work there.
        SourceError: something cannot be read. MissingExtra: duckdb, datasketch or jinja2 is not installed.
    """
    rule = Rule(by=by, near_text=near_text, near_images=near_images)
    [opened] = open_inputs([source], token=token)
    benchmarks = [open_benchmark(each, token=token) for each in against]
    sizes, wanted = Sizes(shard_bytes=shard_bytes, row_group_bytes=row_group_bytes), chosen_tasks(opened, tasks)
    given = {"tasks": wanted, "rule": asdict(rule), "against": [each.fingerprint for each in benchmarks]}
    plan = {"deduplicate": opened.fingerprint, **given, "sizes": sizes.to_dict()}
    spread = Spread(workers=workers, executor=executor, part=part, on_done=on_done)
    with open_phases(Path(out), plan, [opened], spread) as phases:
        if phases is None:
            return read_finished(Path(out))
        pieces = pieces_of(opened, wanted)
        folder, chosen = find_duplicates(phases, pieces, rule, benchmarks)
        theirs = [items for benchmark in benchmarks for items in benchmark.pieces]
        [(page, _)] = phases.run("report", partial(write_page, pieces, theirs, folder / DUPLICATES), 1)
        _publish(phases.job, [folder / DUPLICATES, page / PAGE])
        options = {"deduplicate": {**asdict(rule), "against": len(benchmarks), **chosen["notes"]}}
        return write_selected(phases, pieces, folder / KEPT, chosen, sizes, options, plan)


def count_duplicates(
    source: str | os.PathLike[str],
    folder: Path,
    *,
    against: Sequence[str | os.PathLike[str]] = (),
    tasks: Iterable[str] = ("all",),
    token: str | bool | None = None,
    on_done: OnDone = quiet,
    **rule: Any,
) -> dict[str, Any]:
    """What `deduplicate` would leave out, as a `Chosen` in a dict.

    Args:
        folder: for temporary files.
    """
    [opened] = open_inputs([source], token=token)
    phases = Phases(job=Job(folder, folder), spread=Spread(on_done=on_done))
    benchmarks = [open_benchmark(each, token=token) for each in against]
    return find_duplicates(phases, pieces_of(opened, chosen_tasks(opened, tasks)), Rule(**rule), benchmarks)[1]


def _publish(job: Job, paths: Sequence[Path]) -> None:
    """Bring files beside the dataset, by the process that ends the job."""
    for path in paths:
        if path.exists() and not job.part:
            path.replace(job.out / path.name)


def find_duplicates(
    phases: Phases, pieces: Sequence[Piece], rule: Rule, benchmarks: Sequence[Benchmark]
) -> tuple[Path, dict[str, Any]]:
    """(folder of `kept.parquet` and `duplicates.parquet`, a Chosen as a dict)."""
    theirs = [items for benchmark in benchmarks for items in benchmark.pieces]
    how = Compared(threshold=rule.near_text, pictures=rule.near_images, benchmark=bool(theirs))
    readers: list[Items] = [*(partial(items_of, piece) for piece in pieces), *theirs]
    described = phases.run("texts and images", partial(describe, readers, how), len(readers))
    places = [folder for folder, _ in described]
    ours, items = places[: len(pieces)], places[len(pieces) :]
    [(pictures, count)] = phases.run("pictures", partial(number_pictures, places), 1)
    numbered = pictures / NUMBERED
    near = phases.run("near images", partial(find_near, numbered, count), units_of(count))
    grouping = partial(group_pictures, places, [folder for folder, _ in near], numbered)
    [(grouped, _)] = phases.run("images that look alike", grouping, 1)
    naming = phases.run("what rows show", partial(name_looks, places, grouped / SAME_FILE), len(places))
    alike = [folder for folder, _ in naming]
    pairs = _find_pairs(phases, ours, alike, rule, sum(piece.shard.rows for piece in pieces))
    found: list[Path] = []
    if theirs:
        against = partial(match_benchmark, ours, items, rule.near_text)
        found = [folder / FOUND for folder, _ in phases.run("benchmarks", against, len(ours))]
    judging = partial(judge, ours, items, alike, pairs, found)
    [(folder, chosen)] = phases.run("duplicates", judging, 1)
    notes = {
        "undecodable images": sum(each["undecodable"] for _, each in described),
        "crowded images": sum(each["crowded"] for _, each in near),
    }
    return folder, {**chosen, "notes": notes}


def _find_pairs(phases: Phases, ours: Sequence[Path], alike: Sequence[Path], rule: Rule, rows: int) -> list[Path]:
    """Files of pairs of rows that are alike."""
    parts = parts_of(rows)
    sorting = phases.run("buckets", partial(write_buckets, ours, alike, rule.by, parts), len(ours))
    buckets = [folder for folder, _ in sorting]
    candidates = [folder for folder, _ in phases.run("pairs", partial(pair_rows, buckets), parts)]
    [(groups, parts)] = phases.run("groups", partial(group_rows, candidates), 1)
    gathering = phases.run("their texts", partial(gather_texts, ours, groups / GROUPS, parts), len(ours))
    wanted = [folder for folder, _ in gathering]
    confirming = partial(confirm_pairs, candidates, wanted, rule.by, rule.near_text)
    return [folder / PAIRS for folder, _ in phases.run("confirmed pairs", confirming, parts)]


def judge(
    ours: Sequence[Path],
    items: Sequence[Path],
    alike: Sequence[Path],
    pairs: Sequence[Path],
    found: Sequence[Path],
    unit: int,
    folder: Path,
    tell: Tell,
) -> dict[str, Any]:
    """Write `kept.parquet` and `duplicates.parquet`; returns a Chosen as a dict."""
    with database(folder) as db:
        listed = files([each / ITEMS for each in ours])
        db.execute(f"CREATE VIEW rows AS SELECT *, {PLACE} AS place FROM read_parquet({listed})")
        db.execute(f"CREATE VIEW pairs AS SELECT * FROM read_parquet({files(pairs)})")
        keep(db, "linked", "SELECT DISTINCT place AS one, other FROM pairs", folder)
        nodes, roots = connected(db, "linked")
        db.register("gone", pa.table({"place": nodes[nodes != roots]}))
        keep(db, "twice", TWICE, folder)
        _find_contaminated(db, alike, items, found, folder)
        keep(db, "judged", JUDGED, folder)
        of = "SELECT rows.place, rows.id, false AS is_item FROM rows SEMI JOIN twice ON rows.place = twice.other"
        if items:
            of += f" UNION ALL SELECT {PLACE}, id, true FROM read_parquet({files([each / ITEMS for each in items])})"
        write(db, LISTED.format(of=of), folder / DUPLICATES)
        return asdict(write_chosen(db, folder, len(ours)))


def _find_contaminated(
    db: Any, alike: Sequence[Path], items: Sequence[Path], found: Sequence[Path], folder: Path
) -> None:
    """The view `contaminated`: rows that a benchmark has, by an image or by their instruction."""
    if not items:
        db.execute("CREATE TABLE contaminated (place BIGINT, item BIGINT, kind VARCHAR, score FLOAT)")
        return
    first = f"SELECT min({PLACE}) AS place FROM read_parquet({files([each / ITEMS for each in items])})"
    [(start,)] = db.execute(first).fetchall()
    looks = f"(SELECT place, unnest(looks) AS look FROM read_parquet({files([each / ALIKE for each in alike])}))"
    keep(db, "contaminated", CONTAMINATED.format(looks=looks, start=start, found=files(found)), folder)
