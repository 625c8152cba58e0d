"""Several packed datasets -> one manifest. Shards are linked, copied or referred to as they are; only where ids get a
prefix are they written anew, pictures as they were.

    ids of every shard -> are they unique? -> shards in place -> MANIFEST.json

Rows of a task stand in the order in which the datasets are given.
"""

import errno
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.curation.database import database, files
from toolkit.curation.inputs import PackedInput, check_filled, check_shards, open_inputs, split_of
from toolkit.curation.phases import OnDone, Phases, Spread, finish, one_vocabulary, open_phases, quiet, read_finished
from toolkit.curation.sources import STATED, counted_sources, summed_sources
from toolkit.curation.tables import row_group_of
from toolkit.errors import SHOWN, RowError, ShardError, UnifiedVisualError, UsageError, shown
from toolkit.executors import Tell
from toolkit.packing.shards import ShardWriter
from toolkit.rules import MAX_ID
from toolkit.schema import ARROW_SCHEMA, COLUMNS
from toolkit.sources.manifest import Manifest, Shard
from toolkit.sources.packed import open_shard
from toolkit.sources.parquet import open_parquet
from toolkit.sources.references import REFERENCES, Reference, references_text
from toolkit.sources.repository import local_path, reference_to
from toolkit.staging.checksums import note_link
from toolkit.staging.files import whole_file, write_whole
from toolkit.staging.jobs import Part
from toolkit.tasks import in_order

Ids = Literal["refuse", "prefix"]
COPY_BYTES = 8 << 20
NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES}


def merge(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    ids: Ids = "refuse",
    copy: bool = False,
    reference: bool = False,
    token: str | bool | None = None,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_done: OnDone = quiet,
) -> Manifest:
    """Join packed datasets into one. The same inputs give the same bytes; what was stopped is resumed.

        merge(["packed", "generated"], "fused", ids="prefix")

    Datasets that were packed from one source with the same options, tasks of it each, become the dataset that one
    `pack` of all these tasks makes.

    Args:
        sources: folders, `org/name` or hf:// URLs.
        ids: what happens to ids, which must be unique over all: "refuse" those that occur twice, or "prefix" those of
            the second dataset with "2-", of the third with "3-", and so on.
        copy: copy shards of this file system, which else are hard links to the same files.
        reference: do not download shards of the Hub, but say in REFERENCES.json where they are, with the commit. All
            of this package reads such a folder as if they were in it; those whose ids get a prefix are written anew.
        workers, executor, part: see `toolkit.executors`.
        on_done: called with (phase, finished units, all units).

    Raises:
        UsageError: a source is not packed, `out` holds something else, or another process is at work there.
        SourceError: a source cannot be read, or they are of different versions of the layout.
        UnifiedVisualError: ids occur twice.
    """
    if ids not in ("refuse", "prefix"):
        raise UsageError(f"ids is {ids!r}; expected 'refuse' or 'prefix'")
    inputs = open_inputs(sources, token=token)
    if len(inputs) < 2:
        raise UsageError(f"{len(inputs)} dataset to merge; expected two or more, and the folder of the result")
    out, vocabulary = Path(out), one_vocabulary(inputs)
    plan = {"merge": [each.fingerprint for each in inputs], "ids": ids, **({"reference": True} if reference else {})}
    pieces = _pieces(inputs, ids)
    with open_phases(
        out, plan, inputs, Spread(workers=workers, executor=executor, part=part, on_done=on_done)
    ) as phases:
        if phases is None:
            return read_finished(out)
        drawn_from = _check_ids(phases, pieces)
        brought = phases.run("shards", partial(_bring, pieces, copy, reference), len(pieces))
        staged: dict[tuple[str, str], list[tuple[Path | None, Shard]]] = {}
        for piece, (folder, found) in zip(pieces, brought, strict=True):
            shard = Shard(**{**found, "row_groups": tuple(found["row_groups"])})
            place = None if reference and _reference(piece) else folder / SHARD
            staged.setdefault((shard.task, split_of(piece.shard)), []).append((place, shard))

        def describe(shards: tuple[Shard, ...]) -> Manifest:
            if reference:
                _write_references(out, pieces, shards)
            return _describe(inputs, ids, shards, vocabulary, drawn_from)

        return finish(phases.job, staged, describe, plan)


SHARD = "shard.parquet"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A shard of one of the datasets.

    Attributes:
        prefix: of the ids of its rows.
    """

    source: PackedInput
    shard: Shard
    prefix: str


def _pieces(inputs: Sequence[PackedInput], ids: Ids) -> list[Piece]:
    return [
        Piece(source=each, shard=shard, prefix=f"{number}-" if ids == "prefix" and number > 1 else "")
        for number, each in enumerate(inputs, 1)
        for shard in each.manifest.shards
        if shard.rows
    ]


def _check_ids(phases: Phases, pieces: Sequence[Piece]) -> dict[str, list[list[Any]]]:
    """What the rows of each task are drawn from."""
    listed = phases.run("ids", partial(_list_ids, pieces), len(pieces))
    [(_, twice)] = phases.run("unique ids", partial(_find_twice, [folder for folder, _ in listed]), 1)
    if not twice["count"]:
        return summed_sources((piece.shard.task, drawn) for piece, (_, drawn) in zip(pieces, listed, strict=True))
    shown = "; ".join(
        f"{id!r} in {pieces[one].source.name} and {pieces[other].source.name}" for id, one, other in twice["first"]
    )
    more = f" (+{twice['count'] - len(twice['first']):,} more)" if twice["count"] > len(twice["first"]) else ""
    phases.job.close()
    raise UnifiedVisualError(
        f'{twice["count"]:,} ids occur more than once: {shown}{more}; pass ids="prefix" to rename the rows of all '
        "datasets but the first"
    )


def _list_ids(pieces: Sequence[Piece], unit: int, folder: Path, tell: Tell) -> list[list[Any]]:
    piece, columns = pieces[unit], ["id", *STATED]
    check_shards(piece.source.repository, [piece.shard])
    with open_parquet(piece.source.repository, piece.shard.path) as parquet:
        groups = [parquet.read_row_group(n, columns=columns, use_threads=False) for n in range(parquet.num_row_groups)]
    table = pa.concat_tables([ARROW_SCHEMA.empty_table().select(columns), *groups])
    check_filled(table, piece.shard.path)
    named = [piece.prefix + id for id in table["id"].to_pylist()]
    if long := [id for id in named if len(id) > MAX_ID]:
        raise RowError(f"{piece.shard.path}: the id {shown(long[0])} has more than {MAX_ID} characters", kind="long_id")
    with whole_file(folder / "ids.parquet") as file:
        columns_of = {"id": pa.array(named, pa.string()), "piece": pa.array([unit] * len(named), pa.int32())}
        pq.write_table(pa.table(columns_of), file)
    return counted_sources(table)


def _find_twice(folders: Sequence[Path], unit: int, folder: Path, tell: Tell) -> dict[str, Any]:
    """How many ids occur more than once, and the first of them with two of their places."""
    with database(folder) as db:
        db.execute(
            "CREATE TABLE twice AS SELECT id, min(piece) AS one, max(piece) AS other FROM "
            f"read_parquet({files([each / 'ids.parquet' for each in folders])}) GROUP BY id HAVING count(*) > 1"
        )
        first = db.execute(f"SELECT id, one, other FROM twice ORDER BY id LIMIT {SHOWN}").fetchall()
        [(count,)] = db.execute("SELECT count(*) FROM twice").fetchall()
    return {"count": count, "first": first}


def _reference(piece: Piece) -> Reference | None:
    """To the shard as it is; None: it is not on the Hub, or its ids get a prefix."""
    return None if piece.prefix else reference_to(piece.source.repository, piece.shard.path, piece.shard.bytes)


def _write_references(out: Path, pieces: Sequence[Piece], shards: Sequence[Shard]) -> None:
    """
    Args:
        shards: what became of the pieces, those of a task and split in the same order.
    """
    waiting: dict[tuple[str, str], list[Piece]] = {}
    for piece in reversed(pieces):
        waiting.setdefault((piece.shard.task, split_of(piece.shard)), []).append(piece)
    found = {shard.path: _reference(waiting[shard.task, split_of(shard)].pop()) for shard in shards}
    if references := {path: each for path, each in found.items() if each}:
        write_whole(out / REFERENCES, references_text(references))


def _bring(pieces: Sequence[Piece], copy: bool, reference: bool, unit: int, folder: Path, tell: Tell) -> dict[str, Any]:
    """Bring a shard into the folder, if it is not referred to; returns what the manifest says of it."""
    piece = pieces[unit]
    if reference and _reference(piece):
        return asdict(replace(piece.shard, path=SHARD))
    if piece.prefix:
        return asdict(_rewritten(piece, folder / SHARD))
    return asdict(bring(piece.source, piece.shard, folder, copy=copy))


def bring(source: PackedInput, shard: Shard, folder: Path, *, copy: bool = False) -> Shard:
    """A shard as it is, linked or copied into a folder, under the name that is returned.

    Raises:
        ShardError: what was copied is not what the manifest tells of.
    """
    target, here = folder / SHARD, local_path(source.repository, shard.path)
    if copy or not here or not _link(here, target):
        _copy(source, shard, target)
    return replace(shard, path=SHARD)


def _link(path: Path, target: Path) -> bool:
    target.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return False
    note_link(target)
    return True


def _copy(origin: PackedInput, shard: Shard, target: Path) -> None:
    digest = hashlib.sha256()
    with whole_file(target) as file, closing(origin.repository.stream(shard.path)) as source:
        while data := source.read(COPY_BYTES):
            digest.update(data)
            file.write(data)
        if digest.hexdigest() != shard.sha256:
            raise ShardError(
                f"{origin.name}: {shard.path}: its bytes are not those that its manifest tells of; "
                "download it again, or pack again"
            )


def _rewritten(piece: Piece, target: Path) -> Shard:
    """A shard with prefixed ids; its row groups and pictures stay as they are."""
    writer = ShardWriter(target)
    try:
        with open_shard(piece.source.repository, piece.shard) as parquet:
            for number in range(parquet.num_row_groups):
                table = parquet.read_row_group(number, use_threads=False).select(list(COLUMNS)).cast(ARROW_SCHEMA)
                check_filled(table, piece.shard.path)
                ids = pa.array([piece.prefix + id for id in table["id"].to_pylist()], pa.string())
                writer.write(row_group_of(table.set_column(0, "id", ids)))
    except BaseException as error:
        writer.abandon(error)
        raise
    return writer.close(path=SHARD, task=piece.shard.task)


def _describe(
    inputs: Sequence[PackedInput],
    ids: Ids,
    shards: tuple[Shard, ...],
    vocabulary: dict[str, Any],
    drawn_from: dict[str, list[list[Any]]],
) -> Manifest:
    """Of datasets that are parts of one, what that would say."""
    manifests = [each.manifest for each in inputs]
    skipped: dict[str, Counter[str]] = {}
    for manifest in manifests:
        for task, counts in manifest.skipped.items():
            skipped.setdefault(task, Counter()).update(counts)
    first = manifests[0]
    is_one = ids == "refuse" and _are_parts_of_one(manifests)
    merged = [{"source": each.described, "options": each.manifest.options} for each in inputs]
    names = list(dict.fromkeys(each.described.get("repository", "") for each in inputs))
    return Manifest(
        source=first.source if is_one else {"repository": " + ".join(names), "revision": ""},
        options=first.options if is_one else {"merged": merged, "ids": ids},
        shards=shards,
        skipped={task: dict(skipped[task]) for task in in_order(skipped)},
        vocabulary=vocabulary,
        drawn_from={} if is_one else drawn_from,
    )


def _are_parts_of_one(manifests: Sequence[Manifest]) -> bool:
    """Whether they hold tasks of one source, each its own, packed in one way."""
    first = manifests[0]
    tasks = Counter(task for manifest in manifests for task in manifest.tasks)
    return max(tasks.values(), default=0) <= 1 and all(
        (each.source, each.options) == (first.source, first.options) for each in manifests
    )
