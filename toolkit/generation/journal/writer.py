"""The one writer of a shard's journal.

WAL with synchronous FULL: what `write` returned from is on the disk. Writers that come while a commit runs share the
next one.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from toolkit.errors import RunStopped, SourceError
from toolkit.generation.journal.tables import FORMAT, TABLES, Call, Statement

Value = TypeVar("Value")


class Journal:
    """One shard's journal, open for writing. One writer: the caller holds the lock of the shard."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._db: sqlite3.Connection = self._thread.submit(_open, path).result()
        last: int = self._thread.submit(
            lambda: self._db.execute("SELECT coalesce(max(number), 0) FROM attempts").fetchone()[0]
        ).result()
        self.numbers = itertools.count(last + 1)
        self._waiting: list[tuple[Sequence[Statement], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, *statements: Statement) -> None:
        """All or nothing, on the disk when this returns.

        Raises:
            RunStopped: the disk is full or broken.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((statements, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._run(partial(_commit, self._db, [each for statements, _ in batch for each in statements]))
            except sqlite3.Error as error:
                problem = RunStopped(
                    f"{self.path}: cannot be written: {error}; free space, then run again: nothing that is in the "
                    "journal is lost"
                )
                for _, done in batch:
                    if not done.done():
                        done.set_exception(problem)
            else:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)

    async def call(self, key: str) -> Call | None:
        return await self._run(lambda: _one_call(self._db, key))

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


def _open(path: Path) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None)
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            raise SourceError(f"{path}: a journal of format {found}; expected {FORMAT}")
        db.executescript(TABLES + f"PRAGMA user_version={FORMAT};")
        # Sent, and never heard of: this process is the only writer, so whoever sent it is gone.
        db.execute("UPDATE attempts SET state = 'in_doubt', cost = reserved WHERE state = 'sent'")
    except sqlite3.Error as error:
        raise SourceError(f"{path}: cannot be opened as a journal: {error}") from error
    return db


def _commit(db: sqlite3.Connection, statements: Sequence[Statement]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement, values in statements:
            db.execute(statement, values)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _one_call(db: sqlite3.Connection, key: str) -> Call | None:
    found = db.execute(
        "SELECT key, sample, step, role, model, state, request, response, problem FROM calls WHERE key = ?", (key,)
    ).fetchone()
    return Call(*found) if found else None
