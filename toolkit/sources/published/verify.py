"""The published layout against the record's rules."""

from functools import partial

from toolkit.executors import Tell
from toolkit.sources.checks import Check, Found, count_rows, summed
from toolkit.sources.findings import every_problem
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.telling import told


def published_check(source: UpstreamSource, *, deep: bool) -> Check:
    """Every row and every archive, read once; a unit for each task, which tells (path, bytes just read).

    Args:
        deep: also decode every picture.
    """
    return Check(
        source=source.repository.name,
        identity=source.fingerprint(source.tasks) + f" deep={deep}",
        units=len(source.tasks),
        work=partial(_check_unit, source, deep),
        end=partial(summed, source.repository.name),
    )


def _check_unit(source: UpstreamSource, deep: bool, unit: int, tell: Tell) -> Found:
    skips = every_problem()
    with told(tell) as on_read:
        rows = source.read(source.tasks[unit], skips, owns_unknown=not unit, on_read=on_read)
        return count_rows(rows, skips, deep=deep)
