"""News of what is read, for the process that shows progress: seldom enough to cost nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.executors import Tell
from toolkit.sources.repository import OnRead

TOLD_BYTES = 4 << 20  # read between two messages


@contextmanager
def told(tell: Tell) -> Iterator[OnRead]:
    """To be called with (path, bytes just read); `tell` is called with such a pair, and once more at the end."""
    read: dict[str, int] = {}

    def on_read(path: str, size: int) -> None:
        read[path] = read.get(path, 0) + size
        if read[path] >= TOLD_BYTES:
            tell((path, read.pop(path)))

    yield on_read
    for news in read.items():
        tell(news)
