"""Rows from anywhere (an importer, a generator) as a source, so that they are packed like any other."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from typing import Any

from toolkit.errors import RowError
from toolkit.schema import Row
from toolkit.sources.repository import LocalFolder
from toolkit.sources.skips import Skips
from toolkit.tasks import Vocabulary, in_order


@dataclass(frozen=True, kw_only=True)
class RowsSource:
    """Pieces that can be read again from their start, each yielding rows of any task; they are read once for every
    task, unless theirs is known.

    Attributes:
        repository: the folder the rows come from, for names and sizes.
        pieces: must pickle to be packed by several workers. A RowError among the rows is a row that was left out.
        piece_tasks: the one task of each piece; () = not known.
        vocabulary: definitions of tasks that are neither of the nine nor declared by an installed package.
    """

    repository: LocalFolder
    pieces: Sequence[Callable[[], Iterable[Row | RowError]]]
    piece_tasks: Sequence[str] = ()
    vocabulary: Vocabulary = field(default_factory=dict)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        found = set(self.piece_tasks) or {row.task for piece in self.pieces for row in piece() if isinstance(row, Row)}
        return in_order(found)

    def fingerprint(self, tasks: Iterable[str]) -> str:
        return self.repository.fingerprint(self.repository.list_files())

    def disk_needed(self, tasks: Iterable[str]) -> dict[str, int]:
        return {"output": int(1.05 * sum(self.repository.list_files().values())), "temporary": 0}

    def read(self, task: str, skips: Skips, *, owns_unknown: bool = True, **_: Any) -> Iterator[Row]:
        """Rows of one task, in order."""
        for piece, only in zip_longest(self.pieces, self.piece_tasks):
            for row in piece() if only in (None, task) else ():
                if isinstance(row, Row) and row.task == task:
                    skips.good()
                    yield row
                elif isinstance(row, RowError) and owns_unknown:
                    skips.bad(row)
