"""The published layout against the record's rules."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from toolkit.executors import Tell
from toolkit.schema import Row, table_to_rows
from toolkit.sources.checks import Check, Found, count_rows, summed
from toolkit.sources.findings import Findings, every_problem
from toolkit.sources.published.shapes.assumed import lines_of
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.telling import told


def published_check(source: UpstreamSource, *, deep: bool) -> Check:
    """Every row and every archive, read once; a unit for each shard of each split, which tells (path, bytes just read).

    Args:
        deep: also decode every picture.
    """
    units = [(split, shard) for split in source.splits for shard in source.of_split(split).shards(source.all_tasks)]
    return Check(
        source=source.repository.name,
        identity=source.fingerprint(source.all_tasks) + f" deep={deep}",
        units=len(units),
        work=partial(_check_unit, source, units, deep),
        end=partial(_findings, source),
    )


def _check_unit(source: UpstreamSource, units: list[tuple[str, str]], deep: bool, unit: int, tell: Tell) -> Found:
    skips = every_problem()
    split, shard = units[unit]
    is_first = split not in [other for other, _ in units[:unit]]
    with told(tell) as on_read:
        tables = source.of_split(split).read_tables(shard, is_first, skips, on_read)
        return count_rows(_rows(tables), skips, deep=deep)


def _rows(tables: Iterable[object]) -> Iterator[Row]:
    """What those who load and pack get: the rows of Arrow tables, not those that they are made of."""
    for table in tables:
        yield from table_to_rows(table)


def _findings(source: UpstreamSource, found: list[Found], ids: list[Path]) -> Findings:
    """What is found in the rows, and what is not read at all."""
    assumed = sum((Counter(each.assumed) for each in found), Counter[str]())
    notes = [("not_read", line) for line in source.notes()] + [("assumed", line) for line in lines_of(assumed)]
    whole = summed(source.repository.name, found)
    return replace(whole, notes=(*whole.notes, *notes))
