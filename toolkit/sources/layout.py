"""Which layout a folder or repository has, and the source that reads it."""

import os
from collections.abc import Iterable

from toolkit.errors import LayoutError, UsageError
from toolkit.schema import COLUMNS
from toolkit.sources.manifest import MANIFEST
from toolkit.sources.packed import PackedSource, find_shards
from toolkit.sources.parquet import open_parquet
from toolkit.sources.published.mapping import read_mapping
from toolkit.sources.published.opening import open_upstream
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.repository import Repository, downloaded, open_repository
from toolkit.sources.rows import RowsSource
from toolkit.sources.skips import MAX_IN_A_ROW, OnBad
from toolkit.tasks import tasks_of

LOOKED_AT_BYTES = 4 << 30  # of Parquet in all; the texts as published are 0.2 GB, more is pictures

Source = UpstreamSource | PackedSource | RowsSource


def open_source(
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    mapping: str | None = None,
    split: str | None = None,
    on_missing: OnBad = "raise",
    on_bad_row: OnBad = "raise",
    max_in_a_row: int = MAX_IN_A_ROW,
    download: bool = False,
) -> UpstreamSource | PackedSource:
    """Rows of a folder or Hub repository in either layout.

    Args:
        source: a folder, `org/name`, or `hf://datasets/org/name[@revision][/folder]`.
        mapping: a YAML file that says how upstream's columns are read, where the plan is wrong.
        split: whose rows are read; default: train.
        on_missing, on_bad_row: "raise" or "skip" (counted, and logged at the end), for the layout as published.
        max_in_a_row: bad rows without a good one between that stop the reading all the same.
        download: what is looked at of a Hub repository is downloaded, so that it can be opened again without network.

    Raises:
        SourceError: it cannot be found or read; LayoutError: it has neither layout, or holds packed datasets in folders
            of their own.
        UsageError: a mapping for a packed dataset, which needs none.
    """
    overrides = read_mapping(mapping) if mapping else None
    repository = open_repository(source, revision=revision, token=token)
    files = repository.list_files()
    if download and sum(size for path, size in files.items() if path.endswith(".parquet")) <= LOOKED_AT_BYTES:
        repository = downloaded(repository)
    if shards := packed_shards(repository):
        if overrides is not None:
            raise UsageError(f"{repository.name} is packed and needs no mapping")
        packed = PackedSource(repository=repository, paths=shards)
        return packed.of_split(split) if split else packed
    if inside := [path.removesuffix(f"/{MANIFEST}") for path in files if path.endswith(f"/{MANIFEST}")]:
        raise LayoutError(
            f"{repository.name}: holds packed datasets in folders: {', '.join(inside)}; pass one of them, or move "
            "them elsewhere"
        )
    return open_upstream(
        repository,
        files,
        overrides=overrides,
        split=split,
        on_missing=on_missing,
        on_bad_row=on_bad_row,
        max_in_a_row=max_in_a_row,
    )


def choose_tasks(source: Source, configs: Iterable[str]) -> list[str]:
    """Tasks of some configs that have rows in a source, in the source's order.

    Raises:
        UnknownName: one is no config; lists the known.
    """
    vocabulary = source.vocabulary
    wanted = {task for config in configs for task in tasks_of(config.strip(), vocabulary)}
    return [task for task in source.tasks if task in wanted]


def packed_shards(repository: Repository) -> dict[str, tuple[str, ...]]:
    """Task -> its shards, of a repository in the packed layout; empty for any other."""
    shards = find_shards(files := repository.list_files())
    is_packed = shards and (MANIFEST in files or _has_our_columns(repository, next(iter(shards.values()))[0]))
    return shards if is_packed else {}


def _has_our_columns(repository: Repository, path: str) -> bool:
    with open_parquet(repository, path) as parquet:
        return set(parquet.schema_arrow.names) == set(COLUMNS)
