"""Samples that ended badly are put back among those to be made. Bodies that were received stay in the journal.

failed, for want of an answer     asked again where it stopped; the answers it has are used
rejected, or its recipe broke     the same answers would end the same way, so it is made anew, from another seed, and
paid anew
"""

import asyncio
from pathlib import Path

from toolkit.generation.journal import Journal, journal_paths
from toolkit.generation.journal.reading import to_put_back
from toolkit.generation.journal.tables import ask_again, drop_sample, redraw
from toolkit.generation.runs.engine import RECIPE_STEP
from toolkit.generation.runs.lock import lock


def put_back(folder: Path, reason: str = "") -> int:
    """Put failed samples back, or with a reason those that were rejected or failed for it.

    Returns:
        How many.

    Raises:
        UsageError: a process works on a shard.
    """
    count = 0
    for path in journal_paths(folder):
        with lock(path.parent):
            found = to_put_back(path, reason)
            asyncio.run(_put_back(path, found))
            count += len(found)
    return count


async def _put_back(path: Path, samples: list[tuple[str, str, str]]) -> None:
    journal = Journal(path)
    try:
        for id, step, state in samples:
            is_unanswered = state == "failed" and step != RECIPE_STEP
            again = ask_again(id, step) if is_unanswered else redraw(id)
            await journal.write(again, drop_sample(id))
    finally:
        journal.close()
