"""Packed datasets that are read: their shards, and whether all have the columns of a row."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from toolkit.errors import RowError, ShardError, SourceError, UsageError, shorten
from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.hub import HubRepository
from toolkit.sources.manifest import MANIFEST, Manifest, Shard, check_sizes, read_manifest
from toolkit.sources.packed import check_texts
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import Repository, open_repository, root_of
from toolkit.sources.splits import split_named_in


@dataclass(frozen=True, kw_only=True)
class PackedInput:
    """A finished packed dataset."""

    repository: Repository
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.repository.name

    @cached_property
    def fingerprint(self) -> str:
        return self.repository.fingerprint([MANIFEST, *(shard.path for shard in self.manifest.shards)])

    @property
    def described(self) -> dict[str, str]:
        """What a manifest says of it; a folder of this machine is told by what it was packed from."""
        if isinstance(self.repository, HubRepository):
            return {"repository": self.repository.repo_id, "revision": self.repository.commit}
        return self.manifest.source


def open_inputs(sources: Sequence[str | os.PathLike[str]], *, token: str | bool | None = None) -> list[PackedInput]:
    """Open packed datasets: folders, `org/name` or hf:// URLs.

    Raises:
        UsageError: one is not packed, or not finished.
        SourceError: one cannot be read, or they are of different versions of the layout: names all that are.
    """
    inputs, problems = [], []
    for source in sources:
        repository = open_repository(source, token=token)
        if MANIFEST not in repository.list_files():
            raise UsageError(
                f"{repository.name} holds no {MANIFEST}: it is not a finished packed dataset; run: unifiedvisual pack "
                f"{os.fspath(source)} FOLDER"
            )
        try:
            manifest = read_manifest(repository)
            if not manifest.total("rows"):
                raise SourceError(f"{repository.name}: {MANIFEST} lists no rows")
            check_sizes(manifest.shards, repository.list_files(), repository.name)
            check_shards(repository, manifest.shards[:1])
        except SourceError as error:
            problems.append(str(error))
        else:
            inputs.append(PackedInput(repository=repository, manifest=manifest))
    if problems:
        raise SourceError("\n".join(problems))
    return inputs


def check_shards(repository: Repository, shards: Sequence[Shard]) -> None:
    """
    Raises:
        SourceError: columns of another version, or row groups that the manifest does not tell of.
    """
    for shard in shards:
        with open_parquet(repository, shard.path) as parquet:
            found: pa.Schema = parquet.schema_arrow
            groups = tuple(parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups))
        if groups != shard.row_groups:
            raise ShardError(
                f"{repository.name}: {shard.path}: {len(groups)} row groups of {sum(groups)} rows; {MANIFEST} says "
                f"{len(shard.row_groups)} of {shard.rows}, or of other sizes; download it again, or pack again"
            )
        if not found.equals(ARROW_SCHEMA, check_metadata=False):
            names = dict.fromkeys([*ARROW_SCHEMA.names, *found.names])
            differing = [name for name in names if not _same_type(name, found)]
            raise SourceError(
                f"{repository.name}: {shard.path}: columns of another version of the layout: {shorten(differing)} "
                "differ; pack it again with this package"
            )


def check_filled(table: pa.Table | pa.RecordBatch, where: str) -> None:
    """
    Raises:
        RowError: a row has null in one of the columns, however deep, or text that is not UTF-8.
    """
    check_texts(table, where)
    chunks = {name: getattr(table[name], "chunks", [table[name]]) for name in table.schema.names}
    if null := [name for name, arrays in chunks.items() if any(map(_has_null, arrays))]:
        raise RowError(f"{where}: rows have null for {shorten(null)}; run: unifiedvisual verify", kind="bad_text")


def _has_null(values: pa.Array) -> bool:
    """Whether anything in it is null, but for the path of an image."""
    if values.null_count:
        return True
    kind = values.type
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _has_null(values.flatten())
    names = [field.name for field in kind if field.name != "path"] if pa.types.is_struct(kind) else []
    return any(_has_null(values.field(name)) for name in names)


def _same_type(name: str, found: pa.Schema) -> bool:
    named = [field.type for schema in (found, ARROW_SCHEMA) for field in schema if field.name == name]
    return len(named) == 2 and bool(named[0].equals(named[1]))


def split_of(shard: Shard) -> str:
    return split_named_in(shard.path.rpartition("/")[2])


def roots_of(inputs: Sequence[PackedInput]) -> list[Path]:
    """Of those on this machine."""
    return [root for each in inputs if (root := root_of(each.repository))]
