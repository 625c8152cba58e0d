"""Rows from anywhere (an importer, a generator) as a source, so that they are packed like any other."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.errors import RowError
from toolkit.schema import Row
from toolkit.sources.repository import LocalFolder, OnRead, Repository
from toolkit.sources.skips import Skips
from toolkit.tasks import Vocabulary, in_order

logger = logging.getLogger(__name__)

LEFT_OUT = ""  # in place of a task, where a row was left out


@dataclass(frozen=True, kw_only=True)
class RowsSource:
    """Pieces that can be read again from their start, each yielding rows of any task; one is read once for each of its
    tasks, and once more to learn them, unless they are known.

    Attributes:
        repository: where the rows come from, for names and sizes.
        pieces: must pickle to be packed by several workers. A RowError among the rows is a row that was left out.
        piece_tasks: the one task of each piece; () = not known.
        identity: changes when any row may have changed; "" = not known, so that every row is hashed.
        inputs: files or folders that are read, and so must not be written to.
        vocabulary: definitions of tasks that are neither of the nine nor declared by an installed package.
        tells_bytes: whether pieces take a function to tell (path, bytes just read), for progress.
    """

    repository: Repository
    pieces: Sequence[Callable[..., Iterable[Row | RowError]]]
    piece_tasks: Sequence[str] = ()
    identity: str = ""
    inputs: tuple[Path, ...] = ()
    vocabulary: Vocabulary = field(default_factory=dict)
    tells_bytes: bool = False

    @property
    def tasks(self) -> tuple[str, ...]:
        return in_order(set(self.piece_tasks) or set().union(*self._survey[0]) - {LEFT_OUT})

    def fingerprint(self, tasks: Iterable[str]) -> str:
        return hashlib.sha256((self.identity or self._survey[1]).encode()).hexdigest()

    @cached_property
    def _survey(self) -> tuple[list[set[str]], str]:
        """The tasks of each piece, and a hash of all rows, if it is needed."""
        digest, found = RowsDigest(), []
        for piece in self.pieces:
            tasks = set()
            for row in piece():
                tasks.add(row.task if isinstance(row, Row) else LEFT_OUT)
                if not self.identity:
                    digest.add(row)
            found.append(tasks)
        return found, digest.hexdigest()

    def disk_needed(self, tasks: Iterable[str]) -> dict[str, int]:
        root = self.repository.root if isinstance(self.repository, LocalFolder) else None
        files = self.repository.list_files() if root is None or root.exists() else {}  # rows of text alone have none
        return {"output": int(1.05 * sum(files.values())), "temporary": 0}

    def read(
        self, task: str, skips: Skips, *, owns_unknown: bool = True, on_read: OnRead | None = None, **_: Any
    ) -> Iterator[Row]:
        """Rows of one task, in order."""
        known = [{only} for only in self.piece_tasks] or self._survey[0]
        told = (on_read,) if on_read and self.tells_bytes else ()
        for piece, found in zip(self.pieces, known, strict=True):
            for row in piece(*told) if task in found or (owns_unknown and LEFT_OUT in found) else ():
                if isinstance(row, Row) and row.task == task:
                    skips.good()
                    yield row
                elif isinstance(row, RowError) and (owns_unknown or self.piece_tasks):
                    skips.bad(row)
        if skips.counts:
            first = next(iter(skips.examples.values()))[0]
            logger.warning("%s: %s: %s; e.g. %s", self.repository.name, task, skips.summary(), first)


class RowsDigest:
    """A hash over rows in order, every byte of them."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, row: Row | RowError) -> None:
        if isinstance(row, RowError):
            self._digest.update(f"\n{row.kind} {row}".encode("utf-8", "surrogatepass"))
            return
        columns = row.to_dict() | {"images": [(image.path, len(image.bytes)) for image in row.images]}
        self._digest.update(json.dumps(columns, sort_keys=True).encode() + b"\n")
        for image in row.images:
            self._digest.update(image.bytes)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
