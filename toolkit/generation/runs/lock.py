"""One writer per shard of a run, and one N at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from toolkit.errors import UsageError


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a shard, `.../shards/<i>-of-<N>`, until the block or the process ends.

    Raises:
        UsageError: another process holds it, or one with another N, which would make the same samples again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "LOCK").open("w") as file:
        if not _take(file, fcntl.LOCK_EX):
            raise UsageError(f"{folder}: another process is working on this part; wait for it, or take another --part")
        for other in sorted(folder.parent.glob("*/LOCK")):
            if _parts(other.parent) != _parts(folder) and _is_held(other):
                raise UsageError(
                    f"{folder}: another process is working on {other.parent.name}, which shares samples with it; wait "
                    "for it, or use its N"
                )
        yield


def _parts(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def _is_held(path: Path) -> bool:
    with path.open("r") as file:
        return not _take(file, fcntl.LOCK_SH)


def _take(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
