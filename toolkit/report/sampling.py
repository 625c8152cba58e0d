"""A few rows of every task, drawn by a seed, without reading all of a source.

Packed: rows anywhere in a task are as likely; RUN rows are taken from a row group, for a row group (some 20 MB) is read
as a whole. Only those are read.
As published: rows are drawn from the first that become whole (POOL times as many, POOL_ROWS at most), for an archive
can only be read from its front.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from toolkit.errors import RowError, ShardError, UsageError
from toolkit.rules import check_row
from toolkit.schema import Row, rows_of
from toolkit.sources.manifest import MANIFEST, read_manifest
from toolkit.sources.packed import PackedSource, as_rows
from toolkit.sources.parquet import open_parquet
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.repository import OnRead
from toolkit.sources.skips import Skips

RUN = 4
POOL, POOL_ROWS = 8, 400
UNSHOWN = {"bad_text", "bad_region"}  # no text, no numbers; a row that breaks another rule is shown as it is


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Rows drawn from a task, in the order in which they lie there.

    Attributes:
        total: rows the task has; None where nobody counted them.
        is_uniform: False: drawn from those that lie first.
    """

    rows: tuple[Row, ...]
    total: int | None
    is_uniform: bool


class _Group(NamedTuple):
    path: str
    number: int
    rows: int


def sample(
    source: UpstreamSource | PackedSource,
    tasks: Sequence[str],
    *,
    rows: int,
    seed: int,
    skips: Skips,
    on_read: OnRead | None = None,
) -> dict[str, Sampled]:
    """Up to `rows` rows of each task; the same for the same source and seed.

    Args:
        on_read: told (file, bytes just read).

    Raises:
        UsageError: `rows` is not positive. SourceError: something cannot be read.
    """
    if rows < 1:
        raise UsageError(f"rows is {rows!r}; expected a positive number")
    if isinstance(source, PackedSource):
        groups = _row_groups(source, tasks)
        return {
            task: _from_packed(source, groups[task], rows, random.Random(f"{seed} {task}"), skips, on_read)
            for task in tasks
        }
    return {
        task: _from_upstream(
            source, task, rows, random.Random(f"{seed} {task}"), skips, on_read, is_first=task == tasks[0]
        )
        for task in tasks
    }


def _from_upstream(
    source: UpstreamSource,
    task: str,
    rows: int,
    chance: random.Random,
    skips: Skips,
    on_read: OnRead | None,
    *,
    is_first: bool,
) -> Sampled:
    largest = max(rows, min(POOL * rows, POOL_ROWS))
    reading = source.read(task, skips, owns_unknown=is_first, on_read=on_read, keep_incomplete=True)
    with closing(reading):  # type: ignore[type-var]  # an Iterator that is a generator
        pool = list(islice(reading, largest + 1))
    is_all = len(pool) <= largest
    drawn = sorted(chance.sample(range(min(len(pool), largest)), min(len(pool), rows)))
    return Sampled(rows=tuple(pool[number] for number in drawn), total=len(pool) if is_all else None, is_uniform=is_all)


def _from_packed(
    source: PackedSource,
    groups: Sequence[_Group],
    rows: int,
    chance: random.Random,
    skips: Skips,
    on_read: OnRead | None,
) -> Sampled:
    chosen = dict(sorted(draw(groups, rows, chance).items()))
    found = [row for group, numbers in chosen.items() for row in _read(source, group, numbers, skips, on_read)]
    return Sampled(rows=tuple(found), total=sum(group.rows for group in groups), is_uniform=True)


def draw(groups: Sequence[_Group], rows: int, chance: random.Random) -> Mapping[_Group, list[int]]:
    """Row numbers, sorted, of each row group that is needed: RUN rows of each in a random order of groups, then RUN
    more of each.
    """
    runs: list[tuple[int, float, _Group, list[int]]] = []
    for group in groups:
        numbers, order = chance.sample(range(group.rows), group.rows), chance.random()
        runs += [(start, order, group, numbers[start : start + RUN]) for start in range(0, group.rows, RUN)]
    runs.sort()
    places = [(group, number) for _, _, group, numbers in runs for number in numbers][:rows]
    chosen: defaultdict[_Group, list[int]] = defaultdict(list)
    for group, number in sorted(places):
        chosen[group].append(number)
    return chosen


def _read(
    source: PackedSource, group: _Group, numbers: Iterable[int], skips: Skips, on_read: OnRead | None
) -> Iterator[Row]:
    with open_parquet(source.repository, group.path) as parquet:
        if group.number >= parquet.num_row_groups or parquet.metadata.row_group(group.number).num_rows != group.rows:
            raise ShardError(
                f"{source.repository.name}: {group.path}: row group {group.number} is not as the manifest says; run: "
                "unifiedvisual verify"
            )
        table = parquet.read_row_group(group.number, use_threads=False)
        size = parquet.metadata.row_group(group.number).total_byte_size
    if on_read:
        on_read(group.path, size)
    whole = as_rows(table, f"{source.repository.name}: {group.path}")
    for row in rows_of(whole.take(list(numbers))):
        try:
            if isinstance(row, RowError):
                raise row
            check_row(row)
        except RowError as error:
            if not isinstance(row, Row) or error.kind in UNSHOWN:
                skips.bad(RowError(f"{group.path}: {error}", kind=error.kind))
                continue
        yield row


def _row_groups(source: PackedSource, tasks: Iterable[str]) -> dict[str, list[_Group]]:
    """By the manifest; from the footers of all shards where there is none."""
    if MANIFEST in source.repository.list_files():
        shards = read_manifest(source.repository).tasks
        return {
            task: [
                _Group(shard.path, n, rows) for shard in shards.get(task, ()) for n, rows in enumerate(shard.row_groups)
            ]
            for task in tasks
        }
    return {task: [group for path in source.paths[task] for group in _footer(source, path)] for task in tasks}


def _footer(source: PackedSource, path: str) -> list[_Group]:
    with open_parquet(source.repository, path) as parquet:
        return [
            _Group(path, number, parquet.metadata.row_group(number).num_rows)
            for number in range(parquet.num_row_groups)
        ]
