"""One writer per part of a run, and one N at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.staging.locks import hold, is_held


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold a part, `.../shards/<i>-of-<N>`, until the block or the process ends.

    Raises:
        UsageError: another process holds it, or one with another N, which would make the same samples again.
    """
    busy = f"{folder}: another process is working on this part; wait for it, or take another --part"
    with hold(folder / "LOCK", busy=busy):
        for other in sorted(folder.parent.glob("*/LOCK")):
            if _parts(other.parent) != _parts(folder) and is_held(other):
                raise UsageError(
                    f"{folder}: another process is working on {other.parent.name}, which shares samples with it; wait "
                    "for it, or use its N"
                )
        yield


def _parts(folder: Path) -> str:
    return folder.name.rpartition("-")[2]
