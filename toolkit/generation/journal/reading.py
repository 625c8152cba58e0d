"""Every question that is asked of the journals of a run, also while they are written."""

import heapq
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from toolkit.errors import SourceError
from toolkit.generation.journal.files import reading
from toolkit.generation.journal.tables import Call, Finished


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a model was asked.

    Attributes:
        calls: by content; sends: attempts, retries among them.
        cost: of what is known, in US dollars.
        unknown: sends whose cost is not known.
        in_doubt: sent, but no answer was recorded: their process was killed, or is still waiting.
        in_doubt_usd: reserved for those.
    """

    calls: int = 0
    sends: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    cost: float = 0.0
    unknown: int = 0
    in_doubt: int = 0
    in_doubt_usd: float = 0.0

    def __add__(self, other: "Use") -> "Use":
        return Use(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})


def journal_paths(run: Path) -> list[Path]:
    """Journals of all shards of a run, in order."""
    return sorted((run / "shards").glob("*/journal.sqlite3"))


def query(path: Path, statement: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """Read a journal, also while it is written; one that was only just begun is empty.

    Raises:
        SourceError: it is no journal.
    """
    with reading(path) as db:
        try:
            yield from db.execute(statement, values)
        except sqlite3.OperationalError as error:
            if not str(error).startswith("no such table"):
                raise


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


def states(run: Path) -> Counter[tuple[str, str]]:
    """(recipe, state) -> samples, over all shards."""
    totals: Counter[tuple[str, str]] = Counter()
    for path in journal_paths(run):
        for recipe, state, count in query(path, "SELECT recipe, state, count(*) FROM samples GROUP BY recipe, state"):
            totals[recipe, state] += count
    return totals


def samples_like(run: Path, start: str) -> Iterator[tuple[Path, Finished]]:
    """Samples whose id begins so, each with its journal."""
    statement = "SELECT id, recipe, idx, state, step, reason, detail, row FROM samples WHERE id >= ? AND id < ?"
    for path in journal_paths(run):
        yield from ((path, Finished(*each)) for each in query(path, statement, (start, f"{start}g")))


def to_put_back(path: Path, reason: str) -> list[tuple[str, str, str]]:
    """(id, step, state) of the failed samples of a journal, or with a reason of those rejected or failed for it."""
    where, values = ("reason = ? AND state != 'ok'", (reason,)) if reason else ("state = 'failed'", ())
    return list(query(path, f"SELECT id, step, state FROM samples WHERE {where}", values))


def redraws(run: Path) -> dict[str, int]:
    """Sample -> how often it was put back to be made anew, over all shards."""
    totals: Counter[str] = Counter()
    for path in journal_paths(run):
        totals.update(dict(query(path, "SELECT id, times FROM redraws")))
    return totals


def learned(path: Path) -> dict[str, dict[str, Any]]:
    """Digest of a backend's identity -> what its server does not know."""
    return {identity: json.loads(facts) for identity, facts in query(path, "SELECT identity, learned FROM backends")}


def spent(path: Path) -> float:
    """What the calls of a journal cost so far, in US dollars; those without a recorded answer at their reserve."""
    statement = "SELECT coalesce(sum(CASE WHEN state = 'sent' THEN reserved ELSE cost END), 0) FROM attempts"
    return float(next(query(path, statement), (0.0,))[0])


def uses(run: Path) -> dict[str, Use]:
    """Model -> what it was asked, over all shards."""
    statement = """
        SELECT model, count(DISTINCT attempts.key), count(*), coalesce(sum(input_tokens), 0),
        coalesce(sum(output_tokens), 0), coalesce(sum(images), 0),
            coalesce(sum(cost), 0), sum(attempts.state != 'sent' AND cost IS NULL),
            sum(attempts.state IN ('sent', 'in_doubt')),
            coalesce(sum(CASE WHEN attempts.state IN ('sent', 'in_doubt') THEN reserved END), 0)
        FROM attempts JOIN calls ON calls.key = attempts.key GROUP BY model"""
    names = [each.name for each in fields(Use)]
    totals: dict[str, Use] = {}
    for path in journal_paths(run):
        for model, *numbers in query(path, statement):
            totals[model] = totals.get(model, Use()) + Use(**dict(zip(names, numbers, strict=True)))
    return dict(sorted(totals.items()))


def seconds(run: Path) -> dict[str, tuple[float, float]]:
    """Model -> mean and longest time of a send, in seconds."""
    statement = """SELECT model, count(*), sum(done_at - sent_at), max(done_at - sent_at)
        FROM attempts JOIN calls ON calls.key = attempts.key WHERE done_at IS NOT NULL GROUP BY model"""
    totals: dict[str, tuple[int, float, float]] = {}
    for path in journal_paths(run):
        for model, count, total, longest in query(path, statement):
            before = totals.get(model, (0, 0.0, 0.0))
            totals[model] = (before[0] + count, before[1] + total, max(before[2], longest))
    return {model: (total / count, longest) for model, (count, total, longest) in totals.items()}


def calls_of(path: Path, sample: str) -> Iterator[dict[str, Any]]:
    """Calls of a sample in the order they were first sent, each with every send."""
    statement = """SELECT calls.key, step, role, model, calls.state, calls.problem, request, response
        FROM calls JOIN attempts ON attempts.key = calls.key WHERE sample = ? GROUP BY calls.key ORDER BY min(number)"""
    names = ("key", "step", "role", "model", "state", "problem")
    for *values, request, response in query(path, statement, (sample,)):
        call = dict(zip(names, values, strict=True))
        yield call | {
            "request": json.loads(request),
            "response": json.loads(response) if response else None,
            "sends": list(_sends(path, call["key"])),
        }


def _sends(path: Path, key: str) -> Iterator[dict[str, Any]]:
    names = ("state", "status", "problem", "input_tokens", "output_tokens", "images", "cost", "raw")
    statement = f"SELECT {', '.join(names)} FROM attempts WHERE key = ? ORDER BY number"
    for send in query(path, statement, (key,)):
        yield dict(zip(names, send, strict=True))


def calls_in(path: Path) -> Iterator[Call]:
    """Every call of a journal."""
    names = ", ".join(Call._fields)
    yield from map(Call._make, query(path, f"SELECT {names} FROM calls"))


def damage(path: Path) -> list[str]:
    """What SQLite finds wrong with a journal."""
    return [found for (found,) in query(path, "PRAGMA integrity_check") if found != "ok"]


class Answers:
    """Answers in the journals of a run, by the key of their call.

    Raises:
        SourceError: the run has no journal.
    """

    def __init__(self, run: Path) -> None:
        self._open = ExitStack()
        self._journals = [self._open.enter_context(reading(path)) for path in journal_paths(run)]
        if not self._journals:
            raise SourceError(f"{run}: holds no journal to replay; expected shards/*/journal.sqlite3")

    def get(self, key: str) -> tuple[str, str | None, str | None] | None:
        """State, response and problem of a call; None = it was never sent."""
        for db in self._journals:
            with closing(db.execute("SELECT state, response, problem FROM calls WHERE key = ?", (key,))) as found:
                if (call := found.fetchone()) is not None:
                    state, response, problem = call
                    return state, response, problem
        return None

    def close(self) -> None:
        self._open.close()


def blobs_in(response: str) -> list[tuple[str, str]]:
    """(sha256, suffix) of the pictures of a journaled response."""
    return [(sha256, suffix) for sha256, suffix in json.loads(response).get("pictures", [])]
