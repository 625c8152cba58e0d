"""Tokens of rows, counted once by `toolkit.collate.lengths` and kept in Parquet beside the ids of pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolkit.errors import ShardError, SourceError, UsageError, reason_of, shorten

# `collator` is the revision of the collator that counted; `fault` the kind of error of a row that it cannot encode,
# whose `num_tokens` is 0.
SCHEMA = pa.schema([("id", pa.string()), ("collator", pa.string()), ("num_tokens", pa.int32()), ("fault", pa.string())])
FILES = "lengths-*.parquet"

CountTokens = Callable[[dict[str, Any]], int]


class Length(NamedTuple):
    """Tokens of a row, or what is wrong with it."""

    num_tokens: int
    fault: str = ""


class StoredLengths:
    """Lengths that `measure_lengths` wrote, by the ids of rows.

    Args:
        folder: what it wrote to.
        revision: `Collator.revision` of the collator that counted; None = the only one there.

    Raises:
        SourceError: nothing there, or lengths of several collators and no `revision`. ShardError: a damaged file.
    """

    def __init__(self, folder: str | Path, *, revision: str | None = None) -> None:
        self.folder = Path(folder)
        tables = [read_lengths(path) for path in sorted(self.folder.glob(FILES))]
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        found = set(table["collator"].unique().to_pylist())
        if not found:
            raise SourceError(f"{self.folder}: holds no lengths; run measure_lengths first")
        if (revision is None and len(found) > 1) or (revision is not None and revision not in found):
            raise SourceError(
                f"{self.folder}: holds lengths of collators {shorten(found)}; expected {revision or 'exactly one'!r}: "
                "pass StoredLengths(folder, revision=collate.revision), or measure with that collator first"
            )
        self.revision = revision or found.pop()
        mine = table.filter(pc.equal(table["collator"], self.revision))
        lengths = map(Length, mine["num_tokens"].to_pylist(), mine["fault"].to_pylist())
        self._lengths = dict(zip(mine["id"].to_pylist(), lengths, strict=True))

    def __len__(self) -> int:
        return len(self._lengths)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._lengths

    def of(self, ids: Sequence[str]) -> list[Length]:
        """Raises UsageError for a row that was not measured."""
        missing = [id_ for id_ in ids if id_ not in self._lengths]
        if missing:
            raise UsageError(
                f"{self.folder}: no length of row {missing[0]!r}; run measure_lengths on these rows with the same "
                "collator"
            )
        return [self._lengths[id_] for id_ in ids]


def count_rows(count: CountTokens, rows: Sequence[dict[str, Any]]) -> list[Length]:
    """Lengths by a function of a row's text columns.

    Raises:
        UsageError: it fails on a row, or gives no positive whole number; names the row.
    """
    return [Length(_counted(count, row)) for row in rows]


def _counted(count: CountTokens, row: dict[str, Any]) -> int:
    try:
        found = count(row)
    except Exception as error:  # a user's own code: whatever it raises, the row is what helps
        raise UsageError(
            f"row {row['id']!r}: lengths= raised {type(error).__name__}: {error}; it gets the columns {', '.join(row)}"
        ) from error
    if not isinstance(found, (int, np.integer)) or found < 1:
        raise UsageError(f"row {row['id']!r}: lengths= gave {found!r}; expected a positive number of tokens")
    return int(found)


def read_lengths(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=SCHEMA.names, use_threads=False)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ShardError(
            f"{path}: cannot be read as lengths: {reason_of(error)}; delete the file and run measure_lengths again"
        ) from error
