"""The one writer of a shard's journal.

What `write` returned from is on the disk. Writers that come while a commit runs share the next one.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from toolkit.errors import RunStopped, UnifiedVisualError
from toolkit.generation.core.texts import whole_text
from toolkit.generation.journal.files import lacks_room, open_writer
from toolkit.generation.journal.tables import Call, Statement
from toolkit.staging.files import disk_full

Value = TypeVar("Value")
_INTEGERS = range(-(2**63), 2**63)
_KEYS_AT_ONCE = 500


class Journal:
    """One shard's journal, open for writing. One writer: the caller holds the lock of the shard."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._db, last = self._thread.submit(_open, path).result()
        self.numbers = itertools.count(last + 1)
        self._waiting: list[tuple[Sequence[Statement], asyncio.Future[None]]] = []
        self._asked: dict[str, list[asyncio.Future[Call | None]]] = {}
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, *statements: Statement) -> None:
        """All or nothing, on the disk when this returns. A value that SQLite cannot hold is written as near as it can
        be: half a character as the sign for a missing one, anything else as text.

        Raises:
            RunStopped: the disk is full or broken.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((statements, done))
        self._begin()
        await done

    async def call(self, key: str) -> Call | None:
        """A call as it is journaled; None = it is not."""
        found: asyncio.Future[Call | None] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(found)
        self._begin()
        return await found

    def _begin(self) -> None:
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """One visit of the thread for all who wait, as long as there are any."""
        while self._waiting or self._asked:
            batch, self._waiting = self._waiting, []
            asked, self._asked = self._asked, {}
            problem: BaseException | None = None
            found: dict[str, Call] = {}
            try:
                statements = [each for statements, _ in batch for each in statements]
                found = await self._run(partial(_visit, self._db, statements, list(asked)))
            except BaseException as error:
                problem = error
            told = self._problem(problem) if problem else None
            for _, done in batch:
                _settle(done, None, told)
            for key, waiting in asked.items():
                for answer in waiting:
                    _settle(answer, found.get(key), told)
            if problem and not isinstance(problem, Exception):
                raise problem

    def _problem(self, error: BaseException) -> UnifiedVisualError:
        if lacks_room(self.path, error):
            return RunStopped(str(disk_full(self.path, "more is")))
        what = error if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"
        advice = "free space, then run again: nothing that is in the journal is lost"
        return RunStopped(f"{self.path}: cannot be written: {what}; {advice}")

    async def doubted(self, key: str) -> tuple[int, float] | None:
        """Number and booked cost of the send of a call that is in doubt."""
        statement = (
            "SELECT number, coalesce(cost, 0) FROM attempts WHERE key = ? AND state = 'in_doubt' ORDER BY "
            "number DESC LIMIT 1"
        )
        found: tuple[int, float] | None = await self._run(lambda: self._db.execute(statement, (key,)).fetchone())
        return found

    async def _run(self, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()


def _open(path: Path) -> tuple[sqlite3.Connection, int]:
    db = open_writer(path)
    # Sent, and never heard of: this process is the only writer, so the one that sent it is gone.
    db.execute("UPDATE attempts SET state = 'in_doubt', cost = reserved WHERE state = 'sent'")
    return db, int(db.execute("SELECT coalesce(max(number), 0) FROM attempts").fetchone()[0])


def _visit(db: sqlite3.Connection, statements: Sequence[Statement], keys: Sequence[str]) -> dict[str, Call]:
    """Write, then look calls up."""
    if statements:
        _commit(db, statements)
    return _calls(db, keys)


def _commit(db: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement, values in statements:
            try:
                db.execute(statement, values)
            except (UnicodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
                db.execute(statement, [_storable(value) for value in values])
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _storable(value: Any) -> Any:
    if value is None or isinstance(value, float | bytes) or (isinstance(value, int) and value in _INTEGERS):
        return value
    return whole_text(str(value))


def _calls(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Call]:
    found: dict[str, Call] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[start : start + _KEYS_AT_ONCE]
        marks = ", ".join("?" * len(some))
        rows = db.execute(f"SELECT {', '.join(Call._fields)} FROM calls WHERE key IN ({marks})", some)
        found |= {row[0]: Call(*row) for row in rows}
    return found


def _settle(waiting: "asyncio.Future[Value]", value: Value, problem: Exception | None) -> None:
    if waiting.done():
        return
    if problem:
        waiting.set_exception(problem)
    else:
        waiting.set_result(value)
