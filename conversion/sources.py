"""Shards of an opened source, of either layout, from a folder or the Hub."""

from collections.abc import Iterable, Iterator
from functools import partial

from conversion.formats import Shard
from toolkit.errors import RowError, UnifiedVisualError
from toolkit.schema import Row, table_to_rows
from toolkit.sources.layout import Source
from toolkit.sources.packed import PackedSource
from toolkit.sources.skips import Skips


def shards_of(source: Source, tasks: Iterable[str]) -> list[Shard]:
    """One shard per Parquet file of the packed layout, or per task of the layout as published.

    Bad rows which `source` was told to skip come as RowError between the rows, so that the report counts them too.

    Raises:
        UnifiedVisualError: the source has no rows of these tasks.
    """
    names = source.shards(tuple(tasks))
    if not names:
        raise UnifiedVisualError(f"{source.repository.name} has no rows of these tasks; it has: {', '.join(source.tasks)}")
    return [partial(_rows_of, source, name, owns_unknown=number == 0) for number, name in enumerate(names)]


class _Collected(Skips):
    """Keeps the errors of rows that are left out."""

    def __init__(self, source_policies: dict[str, str]) -> None:
        super().__init__(**source_policies)  # type: ignore[arg-type]
        self.errors: list[RowError] = []

    def bad(self, error: RowError) -> None:
        super().bad(error)
        self.errors.append(error)


def _rows_of(source: Source, name: str, *, owns_unknown: bool) -> Iterator[Row | RowError]:
    if isinstance(source, PackedSource):
        for table in source.read_tables(name):
            yield from table_to_rows(table)
        return
    skips = _Collected({"on_missing": source.on_missing, "on_bad_row": source.on_bad_row})
    for row in source.read(name, skips, owns_unknown=owns_unknown):
        yield row
        yield from skips.errors
        skips.errors.clear()
    yield from skips.errors
