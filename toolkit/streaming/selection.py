"""Which rows of a packed dataset are read: those that a predicate keeps, that are not too long, and one side of a
held-out split.

Decided once, before rows are ordered: batches are full whatever their size, ranks are even, and counts are those of the
whole dataset, in the process of the loop.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.errors import UnifiedVisualError, UsageError
from toolkit.schema import COLUMNS
from toolkit.sources.splits import DEFAULT_SPLIT
from toolkit.streaming.groups import RowGroup
from toolkit.streaming.lengths import CountTokens, Length, StoredLengths, count_rows
from toolkit.streaming.reading import Packed, RowGroups
from toolkit.streaming.slices import IMAGES
from toolkit.streaming.threads import in_threads

Where: TypeAlias = Callable[[dict[str, Any]], Any] | pc.Expression
Lengths: TypeAlias = str | os.PathLike[str] | StoredLengths | CountTokens
Split = Literal["train", "holdout", "validation", "test"]
Mask = NDArray[np.bool_]

TEXT_COLUMNS = tuple(column for column in COLUMNS if column != IMAGES)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of a dataset is read.

    Attributes:
        where: keeps a row: a function of a dict of all columns but `images`, or a pyarrow expression over them; where
            there are lengths, `num_tokens` is one of them.
        lengths: tokens of each row: what `measure_lengths` wrote (a folder, or StoredLengths), or a function of a dict
            of all columns but `images`. Rows that the collator could not encode are left out, counted by kind.
        max_tokens: longer rows are left out, counted as "too_long".
        holdout: share of the rows that no training reads, by a hash of their ids: the same ones in every config,
            mixture and version that holds them.
        holdout_seed: another seed, another share.
        split: "train" for all rows but these, "holdout" for these alone; "validation" or "test" for that split of a
            dataset that has it.
    """

    where: Where | None = None
    lengths: Lengths | None = None
    max_tokens: int | None = None
    holdout: float = 0.0
    holdout_seed: int = 0
    split: Split = "train"

    def __post_init__(self) -> None:
        if isinstance(self.lengths, (str, os.PathLike)):
            object.__setattr__(self, "lengths", StoredLengths(Path(self.lengths)))
        if self.max_tokens is not None and (self.max_tokens < 1 or self.lengths is None):
            raise UsageError(
                f"max_tokens={self.max_tokens!r} needs lengths=, the tokens of each row: run measure_lengths once and "
                "pass its folder"
                if self.lengths is None
                else f"max_tokens is {self.max_tokens!r}; expected a positive number"
            )
        if not isinstance(self.holdout, (int, float)) or not 0 <= self.holdout < 1:
            raise UsageError(f"holdout is {self.holdout!r}; expected a share of the rows, 0 to less than 1")
        if self.split not in get_args(Split):
            raise UsageError(f"split is {self.split!r}; expected one of {', '.join(map(repr, get_args(Split)))}")
        if self.split == "holdout" and not self.holdout:
            raise UsageError('split="holdout" needs holdout=, the share of rows that training leaves out')
        if self.holdout and self.stored_split != DEFAULT_SPLIT:
            raise UsageError(f"split={self.split!r} is one that the dataset has; holdout= takes rows of train")

    @property
    def stored_split(self) -> str:
        """The split of the dataset that rows are read from."""
        return DEFAULT_SPLIT if self.split == "holdout" else self.split

    def of(self, packed: Packed) -> Packed:
        """The dataset with the rows that are kept; those left out are counted.

        Reads the text of the dataset once, or its ids alone where there is nothing but a held-out split.

        Raises:
            UsageError: `where` fails on a row, or names a column that is not there. UnifiedVisualError: no row is left.
            SourceError, ShardError: as when rows are read.
        """
        if self.where is None and self.lengths is None and not self.holdout:
            return packed
        kept: dict[tuple[int, int], NDArray[np.uint32]] = {}
        num_tokens: dict[tuple[int, int], NDArray[np.int32]] = {}
        counts: Counter[str] = Counter()
        reads_text = self.where is not None or callable(self.lengths)
        for group, table in _tables(packed, TEXT_COLUMNS if reads_text else ("id",)):
            lengths = self._measure(table)
            keep = np.ones(len(table), np.bool_)
            for reason, mask in self._masks(table, lengths):
                counts[reason] += int(np.count_nonzero(keep & ~mask))
                keep &= mask
            kept[group.shard, group.number] = np.flatnonzero(keep).astype(np.uint32)
            if lengths is not None:
                num_tokens[group.shard, group.number] = _tokens(lengths)[keep]
        if not any(map(len, kept.values())):
            raise UnifiedVisualError(
                f"{packed.repository.name}: no row is left; left out: {dict(counts)}; check where=, lengths=, "
                "max_tokens= and holdout="
            )
        left_out = {reason: count for reason, count in counts.items() if count}
        return replace(packed, kept=kept, num_tokens=num_tokens, left_out=left_out)

    def _measure(self, table: pa.Table) -> list[Length] | None:
        if isinstance(self.lengths, StoredLengths):
            return self.lengths.of(table["id"].to_pylist())
        return count_rows(self.lengths, table.to_pylist()) if callable(self.lengths) else None

    def _masks(self, table: pa.Table, lengths: list[Length] | None) -> Iterator[tuple[str, Mask]]:
        """Rows that stay, and why the others do not."""
        if lengths is not None:
            for fault in sorted({length.fault for length in lengths} - {""}):
                yield fault, np.array([length.fault != fault for length in lengths], np.bool_)
            yield "too_long", _tokens(lengths) <= (self.max_tokens or np.inf)
            table = table.append_column("num_tokens", pa.array(_tokens(lengths)))
        if isinstance(self.where, pc.Expression):
            yield "where", _matches(table, self.where)
        elif self.where is not None:
            yield "where", np.array([_holds(self.where, row) for row in table.to_pylist()], np.bool_)
        if self.holdout:
            is_held_out = np.array([self._is_held_out(id_) for id_ in table["id"].to_pylist()], np.bool_)
            yield ("holdout", ~is_held_out) if self.split == "train" else ("train", is_held_out)

    def _is_held_out(self, id_: str) -> bool:
        digest = hashlib.blake2b(f"{self.holdout_seed} {id_}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") < self.holdout * 2**64


def _tokens(lengths: list[Length]) -> NDArray[np.int32]:
    return np.array([length.num_tokens for length in lengths], np.int32)


def _tables(packed: Packed, columns: tuple[str, ...]) -> Iterator[tuple[RowGroup, pa.Table]]:
    reader = RowGroups([packed], columns)
    groups = packed.row_groups()
    yield from zip(groups, in_threads(reader.table, groups, reader.connections), strict=True)


def _holds(where: Callable[[dict[str, Any]], Any], row: dict[str, Any]) -> bool:
    try:
        return bool(where(row))
    except Exception as error:  # a user's own code: whatever it raises, the row is what helps
        raise UsageError(
            f"row {row['id']!r}: where= raised {type(error).__name__}: {error}; it gets the columns "
            f"{', '.join(TEXT_COLUMNS)}"
        ) from error


def _matches(table: pa.Table, where: pc.Expression) -> Mask:
    """Rows for which an expression is true; those for which it is null are left out, as in every filter of Arrow."""
    from pyarrow import acero  # brings pandas along, which fills each worker's memory

    numbered = table.append_column("row number", pa.array(range(len(table)), pa.int64()))
    steps = [
        acero.Declaration("table_source", acero.TableSourceNodeOptions(numbered)),
        acero.Declaration("filter", acero.FilterNodeOptions(where)),
    ]
    try:
        found = acero.Declaration.from_sequence(steps).to_table(use_threads=False)
    except pa.ArrowException as error:
        raise UsageError(
            f"where={where}: {str(error).splitlines()[0]}; expected a condition over the columns "
            f"{', '.join(TEXT_COLUMNS)}"
        ) from error
    mask = np.zeros(len(table), np.bool_)
    mask[found["row number"].to_numpy()] = True
    return mask
