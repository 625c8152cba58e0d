"""The rows that stay -> shards. A shard of which every row stays is linked; others are written anew from Arrow's
columns, so that no picture is decoded or encoded again, and cut where `pack` cuts them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from toolkit.curation.look import Piece
from toolkit.curation.merge import bring
from toolkit.curation.phases import Phases, Staged
from toolkit.curation.tables import Grouper
from toolkit.executors import Tell
from toolkit.packing.stage import PackOptions, TaskShards, staged_shards
from toolkit.schema import ARROW_SCHEMA, COLUMNS
from toolkit.sources.manifest import Shard
from toolkit.sources.packed import open_shard
from toolkit.sources.parquet import read_group

RUN_SHARDS = 32  # written by one unit at most
KEPT = "kept.parquet"  # piece, row, split of the rows that stay, in this order


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of what is written; see PackOptions."""

    shard_bytes: int = 500_000_000
    row_group_bytes: int = 20_000_000

    def __post_init__(self) -> None:
        PackOptions(shard_bytes=self.shard_bytes, row_group_bytes=self.row_group_bytes)  # which knows their limits

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


Counts = Sequence[Mapping[str, int]]  # of each piece: split -> rows that stay


def write_kept(
    phases: Phases, pieces: Sequence[Piece], kept: Path, counts: Counts, sizes: Sizes
) -> dict[tuple[str, str], list[Staged]]:
    """(task, split) -> its shards, in order.

    Args:
        kept: what stays; see KEPT.
    """
    runs = list(_runs(pieces, counts))
    written = phases.run("shards", partial(_write_run, pieces, runs, kept, sizes), len(runs))
    staged: dict[tuple[str, str], list[Staged]] = {}
    for run, (folder, found) in zip(runs, written, strict=True):
        task = pieces[run.first].shard.task
        if run.linked_to:
            shard = Shard(**{**found, "row_groups": tuple(found["row_groups"])})
            staged.setdefault((task, run.linked_to), []).append((folder / shard.path, shard))
        else:
            for split in found:
                place = folder / split
                staged.setdefault((task, split), []).extend(
                    (place / shard.path, shard) for shard in staged_shards(place)
                )
    return staged


@dataclass(frozen=True)
class Run:
    """Pieces of one task, `first` to before `end`, that one unit brings.

    Attributes:
        linked_to: the split of one shard of which all rows stay; "" = written anew.
    """

    first: int
    end: int
    linked_to: str = ""


def _runs(pieces: Sequence[Piece], counts: Counts) -> Iterator[Run]:
    waiting: list[int] = []
    for number, piece in enumerate(pieces):
        whole = next((split for split, rows in counts[number].items() if rows == piece.shard.rows), "")
        if waiting and (whole or len(waiting) == RUN_SHARDS or pieces[waiting[0]].shard.task != piece.shard.task):
            yield Run(waiting[0], waiting[-1] + 1)
            waiting = []
        if whole:
            yield Run(number, number + 1, whole)
        elif counts[number]:
            waiting.append(number)
    if waiting:
        yield Run(waiting[0], waiting[-1] + 1)


def _write_run(
    pieces: Sequence[Piece], runs: Sequence[Run], kept: Path, sizes: Sizes, unit: int, folder: Path, tell: Tell
) -> Any:
    """Returns the shard, of one that is linked; the splits that were written, of others."""
    run = runs[unit]
    if run.linked_to:
        piece = pieces[run.first]
        return asdict(bring(piece.source, piece.shard, folder))
    table = pq.read_table(kept, filters=[("piece", ">=", run.first), ("piece", "<", run.end)], use_threads=False)
    splits = sorted(pc.unique(table["split"]).to_pylist())
    with ExitStack() as stack:
        writers = {}
        for split in splits:
            (folder / split).mkdir(exist_ok=True)
            shards = stack.enter_context(TaskShards(folder / split, pieces[run.first].shard.task, sizes.shard_bytes))
            writers[split] = (Grouper(sizes.row_group_bytes), shards)
        for number in range(run.first, run.end):
            for split, rows in _kept_rows(pieces[number], table.filter(pc.equal(table["piece"], number))):
                grouper, shards = writers[split]
                for group in grouper.add(rows):
                    shards.write(group)
        for grouper, shards in writers.values():
            if rest := grouper.rest():
                shards.write(rest)
    return splits


def _kept_rows(piece: Piece, kept: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """(split, its rows) of a shard, a table of bounded size at a time."""
    rows, splits = kept["row"].to_numpy(), kept["split"].to_numpy()
    ends = np.cumsum([0, *piece.shard.row_groups])
    groups = [n for n in range(len(ends) - 1) if np.any((rows >= ends[n]) & (rows < ends[n + 1]))]
    with open_shard(piece.source.repository, piece.shard) as parquet:
        for number in groups:
            start = int(ends[number])
            for table in read_group(parquet, number):
                inside = (rows >= start) & (rows < start + len(table))
                yield from _by_split(table, rows[inside] - start, splits[inside])
                start += len(table)


def _by_split(table: pa.Table, rows: NDArray[Any], splits: NDArray[Any]) -> Iterator[tuple[str, pa.Table]]:
    for split in sorted(set(splits.tolist())):
        taken = table.select(list(COLUMNS)).cast(ARROW_SCHEMA).take(pa.array(rows[splits == split]))
        yield split, taken
