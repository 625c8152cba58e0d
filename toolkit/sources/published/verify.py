"""The published layout against the record's rules."""

from collections.abc import Iterator

from toolkit.errors import SourceError
from toolkit.schema import Row
from toolkit.sources.findings import Findings, count_rows, every_problem
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.repository import OnRead
from toolkit.sources.skips import Skips


def verify_published(
    source: UpstreamSource, *, deep: bool = False, on_read: OnRead = lambda path, size: None
) -> Findings:
    """Read every row and every archive once.

    Args:
        deep: also decode every picture.
        on_read: called with (path, bytes just read).
    """
    skips = every_problem()
    return count_rows(source.repository.name, _rows(source, skips, on_read), skips, deep=deep)


def _rows(source: UpstreamSource, skips: Skips, on_read: OnRead) -> Iterator[Row]:
    for number, task in enumerate(source.tasks):
        try:
            yield from source.read(task, skips, owns_unknown=not number, on_read=on_read)
        except SourceError as error:  # one broken archive does not hide what the others hold
            skips.note("unreadable", str(error))
