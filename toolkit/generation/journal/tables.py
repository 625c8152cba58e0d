"""The tables of a journal, and every statement that is written to one.

calls      one per content of a request: state intent | ok | error
attempts   one per send: sent | ok | bad | in_doubt (this process was killed while it was under way), raw body, usage,
           cost
samples    one per finished sample, inserted once: ok (with its row) | rejected | failed (with a reason)
redraws    how often a sample was put back to be made anew, from other random numbers
backends   what the server of each does not know, as it was learned from its answers

Rows are appended, not ordered by their random keys; what every start has to read is in an index.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from toolkit.generation.core.protocol import Usage

FORMAT = 1
TABLES = """
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
CREATE TABLE IF NOT EXISTS backends (identity TEXT PRIMARY KEY, learned TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_of_call ON attempts (key);
CREATE INDEX IF NOT EXISTS calls_of_sample ON calls (sample);
CREATE INDEX IF NOT EXISTS samples_in_order ON samples (recipe, idx, state, id);
"""
Statement = tuple[str, Sequence[Any]]


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


def insert_sample(sample: Finished) -> Statement:
    return "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", tuple(sample)


def insert_call(call: Call) -> Statement:
    return "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", tuple(call)


def answered(key: str, response: str) -> Statement:
    return "UPDATE calls SET state = 'ok', response = ?, problem = NULL WHERE key = ?", (response, key)


def refused(key: str, problem: str) -> Statement:
    """The call has no answer and is never sent again."""
    return "UPDATE calls SET state = 'error', problem = ? WHERE key = ?", (problem, key)


def sent(number: int, key: str, reserved: float) -> Statement:
    statement = "INSERT INTO attempts (key, state, reserved, sent_at, number) VALUES (?, 'sent', ?, ?, ?)"
    return statement, (key, reserved, time.time(), number)


def sent_again(number: int) -> Statement:
    """A send that was in doubt is waited for once more."""
    return "UPDATE attempts SET state = 'sent', cost = NULL WHERE number = ?", (number,)


def ended(
    number: int,
    state: str,
    *,
    status: int = 200,
    problem: str | None = None,
    raw: str | bytes = "",
    usage: Usage,
    cost: float | None,
) -> Statement:
    """What became of a send."""
    statement = (
        "UPDATE attempts SET state = ?, status = ?, problem = ?, raw = ?, input_tokens = ?, output_tokens = ?, "
        "images = ?, cost = ?, done_at = ? WHERE number = ?"
    )
    used = (usage.input_tokens, usage.output_tokens, usage.images)
    return statement, (state, status, problem, raw, *used, cost, time.time(), number)


def drop_sample(id: str) -> Statement:
    return "DELETE FROM samples WHERE id = ?", (id,)


def ask_again(sample: str, step: str) -> Statement:
    """The calls of a step of a sample are sent once more."""
    return "UPDATE calls SET state = 'intent' WHERE sample = ? AND step = ?", (sample, step)


def redraw(sample: str) -> Statement:
    """The sample is made anew, from another seed."""
    return "INSERT INTO redraws VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1", (sample,)


def learned(identity: str, facts: str) -> Statement:
    """What the server of a backend does not know. Args: identity: its digest; facts: JSON."""
    return "INSERT OR REPLACE INTO backends VALUES (?, ?)", (identity, facts)
