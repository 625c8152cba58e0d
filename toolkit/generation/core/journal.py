"""What happened, per shard, in SQLite: every call before it is sent, every body that came back, every sample that was
finished.

calls      one per content of a request: state intent | ok | error
attempts   one per send: sent | ok | bad | in_doubt (this process was killed while it was under way), raw body, usage,
           cost
samples    one per finished sample, inserted once: ok (with its row) | rejected | failed (with a reason)
redraws    how often a sample was put back to be made anew, from other random numbers

WAL with synchronous FULL: what `write` returned from is on the disk. Writers that come while a commit runs share the
next one. Rows are appended, not laid down by their random keys; what every start has to read lies in an index.
"""

import asyncio
import heapq
import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from toolkit.errors import RunStopped, SourceError

FORMAT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS calls (
  key TEXT PRIMARY KEY, sample TEXT NOT NULL, step TEXT NOT NULL, role TEXT NOT NULL, model TEXT NOT NULL,
  state TEXT NOT NULL, request TEXT NOT NULL, response TEXT, problem TEXT);
CREATE TABLE IF NOT EXISTS attempts (
  number INTEGER PRIMARY KEY, key TEXT NOT NULL, state TEXT NOT NULL, status INTEGER, problem TEXT, raw TEXT,
  input_tokens INTEGER, output_tokens INTEGER, images INTEGER, reserved REAL, cost REAL, sent_at REAL, done_at REAL);
CREATE TABLE IF NOT EXISTS samples (
  id TEXT PRIMARY KEY, recipe TEXT NOT NULL, idx INTEGER NOT NULL, state TEXT NOT NULL,
  step TEXT, reason TEXT, detail TEXT, row TEXT);
CREATE TABLE IF NOT EXISTS redraws (id TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_of_call ON attempts (key);
CREATE INDEX IF NOT EXISTS calls_of_sample ON calls (sample);
CREATE INDEX IF NOT EXISTS samples_in_order ON samples (recipe, idx, state, id);
"""
Statement = tuple[str, Sequence[Any]]
Value = TypeVar("Value")


class Call(NamedTuple):
    """A call as journaled; `request` and `response` are JSON."""

    key: str
    sample: str
    step: str
    role: str
    model: str
    state: str
    request: str
    response: str | None
    problem: str | None


class Finished(NamedTuple):
    """A sample as journaled; `row` is JSON."""

    id: str
    recipe: str
    idx: int
    state: str
    step: str | None
    reason: str | None
    detail: str | None
    row: str | None


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
        db.executescript(_TABLES + f"PRAGMA user_version={FORMAT};")
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


def journal_paths(run: Path) -> list[Path]:
    """Journals of all shards of a run, in order."""
    return sorted((run / "shards").glob("*/journal.sqlite3"))


def query(path: Path, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """Read a journal, also while it is written; one that was only just begun is empty.

    Raises:
        SourceError: it is no journal.
    """
    try:
        with closing(sqlite3.connect(path)) as db:
            yield from db.execute(statement, values)
    except sqlite3.Error as error:
        if not str(error).startswith("no such table"):
            raise SourceError(f"{path}: cannot be read as a journal: {error}") from error


def finished(run: Path, recipe: str, *, with_rows: bool = False) -> Iterator[Finished]:
    """Finished samples of a recipe, over all shards, by index, each once; rows only on request, reasons only of those
    that have one.
    """
    rest = (
        "step, reason, detail, row"
        if with_rows
        else ", ".join(f"CASE WHEN state != 'ok' THEN {name} END" for name in ("step", "reason", "detail")) + ", NULL"
    )
    statement = f"SELECT id, recipe, idx, state, {rest} FROM samples WHERE recipe = ? ORDER BY idx"
    shards = (map(Finished._make, query(path, statement, (recipe,))) for path in journal_paths(run))
    last = ""
    for sample in heapq.merge(*shards, key=lambda sample: (sample.idx, sample.id)):
        if sample.id != last:  # two processes with different N may both have made it
            yield sample
        last = sample.id


def redraws(run: Path) -> dict[str, int]:
    """Sample -> how often it was put back to be made anew, over all shards."""
    totals: Counter[str] = Counter()
    for path in journal_paths(run):
        totals.update(dict(query(path, "SELECT id, times FROM redraws")))
    return totals


def insert_sample(sample: Finished) -> Statement:
    return ("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(sample))


def insert_call(call: Call) -> Statement:
    return ("INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(call))


def blobs_in(response: str) -> list[tuple[str, str]]:
    """(sha256, suffix) of the pictures of a journaled response."""
    return [(sha256, suffix) for sha256, suffix in json.loads(response).get("pictures", [])]
