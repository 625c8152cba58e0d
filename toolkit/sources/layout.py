"""Which layout a folder or repository has, and the source that reads it."""

import os
from collections.abc import Callable, Iterator

from toolkit.errors import UsageError
from toolkit.schema import COLUMNS, Row, table_to_rows
from toolkit.sources.packed import PackedSource, find_shards
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import open_repository
from toolkit.sources.skips import OnBad, Skips
from toolkit.sources.upstream.mapping import read_mapping
from toolkit.sources.upstream.source import UpstreamSource, open_upstream

Source = UpstreamSource | PackedSource
OnRead = Callable[[str, int], None]  # path of an archive or a shard, bytes just read


def open_source(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    mapping: str | None = None,
    on_missing: OnBad = "raise",
    on_bad_row: OnBad = "raise",
) -> Source:
    """Rows of a folder or Hub repository in either layout.

    Args:
        source: a folder, `org/name`, or `hf://datasets/org/name[@revision][/folder]`.
        mapping: a YAML file that says how upstream's columns are read, where our guess is wrong.
        on_missing, on_bad_row: "raise" or "skip" (counted, and logged at the end), for the layout as published.

    Raises:
        SourceError: it cannot be found or read; LayoutError: it has neither layout.
        UsageError: a mapping for a packed dataset, which needs none.
    """
    overrides = read_mapping(mapping) if mapping else None
    repository = open_repository(source, revision=revision, token=token)
    files = repository.list_files()
    if shards := find_shards(files):
        first = next(iter(shards.values()))[0]
        with open_parquet(repository, first) as parquet:
            is_packed = set(parquet.schema_arrow.names) == set(COLUMNS)
        if is_packed and overrides is not None:
            raise UsageError(f"{repository.name} is packed and needs no mapping")
        if is_packed:
            return PackedSource(repository=repository, paths=shards)
    return open_upstream(repository, files, overrides=overrides, on_missing=on_missing, on_bad_row=on_bad_row)


def read_rows(
    source: Source, task: str, skips: Skips, *, in_order: bool = False, owns_unknown: bool = True, on_read: OnRead = lambda path, size: None
) -> Iterator[Row]:
    """Rows of one task, whichever the layout; see UpstreamSource.read."""
    if isinstance(source, UpstreamSource):
        yield from source.read(task, skips, in_order=in_order, owns_unknown=owns_unknown, on_read=on_read)
        return
    sizes = source.repository.list_files()
    for shard in source.shards([task]):
        for table in source.read_tables(shard):
            yield from table_to_rows(table)
        on_read(shard, sizes[shard])
