"""Sources and licences that rows state, counted for the card."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

STATED = ("source", "license")
MOST = 100  # of a task that are listed; the rest is one line
OTHERS = "others"


def counted_sources(table: pa.Table) -> list[list[Any]]:
    """[source, license, rows] of each pair that occurs."""
    pairs = Counter(zip(*(table[name].to_pylist() for name in STATED), strict=True))
    return [[*pair, count] for pair, count in sorted(pairs.items())]


def summed_sources(found: Iterable[tuple[str, list[list[Any]]]]) -> dict[str, list[list[Any]]]:
    """
    Args:
        found: (task, what `counted_sources` gave) of any parts.

    Returns:
        Task -> [source, license, rows], the most frequent first.
    """
    totals: dict[str, Counter[tuple[str, str]]] = {}
    for task, counted in found:
        for source, license, rows in counted:
            totals.setdefault(task, Counter())[source, license] += rows
    return {task: _most(counts) for task, counts in sorted(totals.items())}


def _most(counts: Counter[tuple[str, str]]) -> list[list[Any]]:
    ordered: list[list[Any]] = [
        [*pair, rows] for pair, rows in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    ]
    rest = counts.total() - sum(int(each[2]) for each in ordered[:MOST])
    return ordered[:MOST] + ([[OTHERS, "", rest]] if rest else [])
