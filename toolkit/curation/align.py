"""Rows -> how well their pictures fit their texts: a table of scores beside the dataset, for `select --where`.

shards -> fits of every row -> scores, a unit for each shard -> alignment.parquet, alignment.json, a plot
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.curation.database import database, literal
from toolkit.curation.fits import KINDS, Fit, fits_of
from toolkit.curation.inputs import open_inputs
from toolkit.curation.look import Piece, TableWriter, pieces_of
from toolkit.curation.phases import OnDone, Phases, Spread, quiet, readable
from toolkit.curation.scorers import Judge, Scorer, open_scorer
from toolkit.curation.scores import SCORES, SCORES_SCHEMA
from toolkit.curation.select import chosen_tasks
from toolkit.errors import PartDone, RowError, UnknownName, UsageError
from toolkit.executors import Tell
from toolkit.report.plots import draw_histograms
from toolkit.schema import Row
from toolkit.sources.packed import checked_rows, open_shard
from toolkit.sources.parquet import read_tables
from toolkit.sources.repository import root_of
from toolkit.staging.files import whole_file, write_whole
from toolkit.staging.jobs import Part, check_apart, forget, open_job

if TYPE_CHECKING:
    import duckdb

SUMMARY, PLOT = "alignment.json", "alignment.svg"
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
ROWS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """What was scored.

    Attributes:
        scored: kind -> how many.
        quantiles: kind -> scores, least to largest; see QUANTILES.
        not_scored: reason -> how many.
        plan: what it was made from.
    """

    scored: dict[str, int]
    quantiles: dict[str, list[float]]
    not_scored: dict[str, int]
    plan: dict[str, Any]


def align(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    by: str = "scene",
    options: Mapping[str, Any] | None = None,
    kinds: Sequence[str] = KINDS,
    max_usd: float | None = None,
    tasks: Iterable[str] = ("all",),
    token: str | bool | None = None,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_done: OnDone = quiet,
) -> Alignment:
    """Score how well the pictures of a packed dataset fit their captions, the texts beside them, and edits their
    instructions. One that was stopped is resumed.

        align("packed", "scores", by="clip", options={"model": "openai/clip-vit-base-patch32"})
        select("packed", "good", where="alignment_caption > 0.25", scores=["scores"])

    `alignment.parquet` in `out` has a line for each: `id`, `image`, `kind`, `score`, `detail`; a score is null where
    there is none, and `detail` says why. Scores of one scorer say nothing about those of another.

    Args:
        source: a packed dataset: a folder, `org/name` or an hf:// URL.
        out: a folder of its own.
        by: "scene", "clip", a backend of `generate`, or a scorer that is declared; see `scorers`.
        options: of it.
        kinds: "caption", "text", "edit"; see `fits`.
        max_usd: no call of a model is sent that could pass it. Each shard has a share of it, by its pictures. The same
            call with more resumes one that it stopped. A model whose price is known, and not nothing, needs one.
        workers, executor, part: see `toolkit.executors`.
        on_done: called with (phase, finished units, all units).

    Raises:
        UnknownName: no such scorer or kind. UsageError: wrong options; `out` holds something else, or another process
            is at work there; a model that costs money without a cap; a cap for what costs nothing, or has no known
            price. MissingExtra: a package is not installed. RunStopped: the cap is reached.
    """
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise UnknownName("kind of fit", unknown[0], KINDS)
    [opened], scorer, out = open_inputs([source], token=token), open_scorer(by, options or {}), Path(out)
    pieces = pieces_of(opened, wanted := chosen_tasks(opened, tasks))
    scorers = _capped(scorer, max_usd, pieces)
    plan = {"align": opened.fingerprint, "tasks": wanted, "kinds": [k for k in KINDS if k in kinds], **scorer.identity}
    if root := root_of(opened.repository):
        check_apart(out, root)
    if done := _finished(out, plan):
        return done
    with open_job(out, plan, part=part) as job, readable(job.folder):
        if done := _finished(out, plan):
            return done
        phases = Phases(job=job, spread=Spread(workers=workers, executor=executor, part=part, on_done=on_done))
        scored = phases.run("scores", partial(_score, pieces, scorers, tuple(plan["kinds"])), len(pieces))
        [(folder, summary)] = phases.run("summary", partial(_sum_up, [folder for folder, _ in scored]), 1)
        if part:
            raise PartDone(out, *part)
        not_scored = sum((Counter(each) for _, each in scored), Counter[str]())
        done = Alignment(**summary, not_scored=dict(sorted(not_scored.items())), plan=json.loads(json.dumps(plan)))
        _place(folder, out)
        write_whole(out / SUMMARY, json.dumps(asdict(done), indent=1))
        job.close()
    return done


def _finished(out: Path, plan: Mapping[str, Any]) -> Alignment | None:
    if not (out / SUMMARY).exists():
        return None
    try:
        found = Alignment(**json.loads((out / SUMMARY).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):  # damaged
        found = None
    if found is None or found.plan != json.loads(json.dumps(plan)):
        raise UsageError(f"{out} holds other scores; choose another folder, or remove it")
    forget(out)
    return found


def _capped(scorer: Scorer, max_usd: float | None, pieces: Sequence[Piece]) -> list[Scorer]:
    """A scorer for each shard, which may spend its share."""
    if max_usd is None:
        if isinstance(scorer, Judge):
            scorer.check_free()
        return [scorer] * len(pieces)
    if not isinstance(scorer, Judge):
        raise UsageError("max_usd is for models that are asked; this scorer costs nothing")
    if not 0 <= max_usd < float("inf"):
        raise UsageError(f"max_usd is {max_usd!r}; expected US dollars, 0 or more")
    images = [piece.shard.images for piece in pieces]
    return [scorer.capped(max_usd * each / max(1, sum(images))) for each in images]


def _score(
    pieces: Sequence[Piece], scorers: Sequence[Scorer], kinds: tuple[str, ...], unit: int, folder: Path, tell: Tell
) -> dict[str, int]:
    """Write the scores of a shard; returns how many have none, by reason."""
    piece, scorer = pieces[unit], scorers[unit]
    reasons: Counter[str] = Counter()
    with (
        whole_file(folder / SCORES) as file,
        TableWriter(file) as writer,
        open_shard(piece.source.repository, piece.shard) as parquet,
    ):
        writer.write(SCORES_SCHEMA.empty_table())
        rows = map(_good, checked_rows(read_tables(parquet), piece.shard.path))
        while some := list(islice(rows, ROWS_AT_ONCE)):
            fits = [fit for row in some for fit in fits_of(row, kinds)]
            lines = [_line(fit, *score) for fit, score in zip(fits, scorer.score(fits, folder), strict=True)]
            reasons.update(line["detail"].partition(":")[0] for line in lines if line["score"] is None)
            writer.write(pa.Table.from_pylist(lines, schema=SCORES_SCHEMA))
    return dict(reasons)


def _good(row: Row | RowError) -> Row:
    """
    Raises:
        RowError: it cannot be read, or breaks a rule.
    """
    if isinstance(row, RowError):
        raise row
    return row


def _line(fit: Fit, score: float | None, detail: str) -> dict[str, Any]:
    return {"id": fit.id, "image": fit.image, "kind": fit.kind, "score": score, "detail": detail}


def _sum_up(scored: Sequence[Path], unit: int, folder: Path, tell: Tell) -> dict[str, Any]:
    """Write one table and the plot; returns counts and quantiles."""
    _join(scored, folder / SCORES)
    with database(folder) as db:
        listed = f"read_parquet({literal(str(folder / SCORES))})"
        found = db.execute(
            f"SELECT kind, count(*) FROM {listed} WHERE score IS NOT NULL GROUP BY kind ORDER BY kind"
        ).fetchall()
        quantiles = {kind: _quantiles(db, listed, kind, count) for kind, count in found}
        histograms = {}
        for kind, (least, *_, largest) in quantiles.items():
            width = max(largest - least, 1e-6) / BINS
            bins = db.execute(
                f"SELECT least(floor((score - {least}) / {width})::INTEGER, {BINS - 1}) AS bin, count(*) FROM {listed} "
                f"WHERE kind = '{kind}' AND score IS NOT NULL GROUP BY bin ORDER BY bin"
            ).fetchall()
            counts = dict(bins)
            histograms[kind] = (least, width, [counts.get(number, 0) for number in range(BINS)])
    if histograms:
        write_whole(folder / PLOT, draw_histograms(histograms, "score", "pictures"))
    return {
        "scored": dict(found),
        "quantiles": {kind: [round(value, 6) for value in values] for kind, values in quantiles.items()},
    }


def _place(folder: Path, out: Path) -> None:
    for path in (folder / name for name in (SCORES, PLOT) if (folder / name).exists()):
        path.replace(out / path.name)
    if not (out / SCORES).exists():
        raise FileNotFoundError(f"{SCORES} is not in {folder}")


def _join(scored: Sequence[Path], path: Path) -> None:
    """One table of those of all shards, in order."""
    with whole_file(path) as file, TableWriter(file) as writer:
        writer.write(SCORES_SCHEMA.empty_table())
        for each in scored:
            with pq.ParquetFile(each / SCORES, pre_buffer=False) as parquet:
                for batch in parquet.iter_batches(use_threads=False):
                    writer.write(pa.Table.from_batches([batch], SCORES_SCHEMA))


def _quantiles(db: "duckdb.DuckDBPyConnection", scores: str, kind: str, count: int) -> list[float]:
    """Between two scores linearly. All are sorted, which goes to the disk; duckdb's own function holds them all."""
    places = [cut * (count - 1) for cut in QUANTILES]
    wanted = sorted({int(place + part) for place in places for part in (0, 1) if place + part < count})
    lines = db.execute(
        f"SELECT score FROM (SELECT score, row_number() OVER (ORDER BY score) - 1 AS place FROM {scores} WHERE "
        f"kind = '{kind}' AND score IS NOT NULL) WHERE place IN ({', '.join(map(str, wanted))}) ORDER BY place"
    ).fetchall()
    found = [score for (score,) in lines]
    return [float(value) for value in np.interp(places, wanted, found)]


BINS = 40
