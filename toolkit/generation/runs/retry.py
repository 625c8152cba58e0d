"""Samples that ended badly are put back among those to be made. Bodies that were received stay in the journal.

failed, for want of an answer     asked again where it stopped; the answers it has are used
rejected, or its recipe broke     the same answers would end the same way, so it is made anew, from another seed, and
paid anew
"""

import asyncio
from pathlib import Path

from toolkit.generation.core.journal import Journal, journal_paths, query
from toolkit.generation.runs.engine import RECIPE_STEP
from toolkit.generation.runs.lock import lock

_REDRAW = "INSERT INTO redraws VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1"


def put_back(folder: Path, reason: str = "") -> int:
    """Put failed samples back, or with a reason those that were rejected or failed for it.

    Returns:
        How many.

    Raises:
        UsageError: a process works on a shard.
    """
    where, values = ("reason = ? AND state != 'ok'", (reason,)) if reason else ("state = 'failed'", ())
    count = 0
    for path in journal_paths(folder):
        with lock(path.parent):
            found = list(query(path, f"SELECT id, step, state FROM samples WHERE {where}", values))
            asyncio.run(_put_back(path, found))
            count += len(found)
    return count


async def _put_back(path: Path, samples: list[tuple[str, str, str]]) -> None:
    journal = Journal(path)
    try:
        for id, step, state in samples:
            is_unanswered = state == "failed" and step != RECIPE_STEP
            again = (
                ("UPDATE calls SET state = 'intent' WHERE sample = ? AND step = ?", (id, step))
                if is_unanswered
                else (_REDRAW, (id,))
            )
            await journal.write(again, ("DELETE FROM samples WHERE id = ?", (id,)))
    finally:
        journal.close()
