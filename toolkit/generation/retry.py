"""Samples that ended badly are put back among those to be made. Bodies that were received stay in the journal."""

import asyncio
from pathlib import Path

from toolkit.generation.engine import lock
from toolkit.generation.journal import Journal, journal_paths, query


def put_back(folder: Path, reason: str = "") -> int:
    """Put failed samples back, or with a reason those that were rejected or failed for it; the next run asks their last step again.

    Returns:
        How many.

    Raises:
        UsageError: a process works on a shard.
    """
    where, values = ("reason = ? AND state != 'ok'", (reason,)) if reason else ("state = 'failed'", ())
    count = 0
    for path in journal_paths(folder):
        with lock(path.parent):
            found = list(query(path, f"SELECT id, step FROM samples WHERE {where}", values))
            asyncio.run(_put_back(path, found))
            count += len(found)
    return count


async def _put_back(path: Path, samples: list[tuple[str, str]]) -> None:
    journal = Journal(path)
    try:
        for id, step in samples:
            again = ("UPDATE calls SET state = 'intent' WHERE sample = ? AND step = ?", (id, step))
            await journal.write(again, ("DELETE FROM samples WHERE id = ?", (id,)))
    finally:
        journal.close()
