"""The card and the Croissant metadata of a packed dataset, from its files; written beside it."""

import json
import os
import re
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset_card.card import card_text
from dataset_card.croissant import croissant
from toolkit.errors import RowError, ShardError, UsageError
from toolkit.published import published_rows
from toolkit.rules import check_row
from toolkit.schema import Row, rows_of
from toolkit.sources.hub import HubRepository
from toolkit.sources.manifest import MANIFEST, PLOTS, Manifest, read_manifest
from toolkit.sources.packed import PackedSource
from toolkit.sources.repository import REPO_ID, ReferringFolder, Repository, open_repository, reference_to
from toolkit.staging.files import write_whole

PACKED_REPOSITORY = "fnlp-vision/UnifiedVisual"  # where the packed dataset belongs
# The first snippet names the repository a card was written for.
REPO_LINE = re.compile(r'load_dataset\("(?P<repo>[\w.-]+/[\w.-]+)"')
HUB = "https://huggingface.co/datasets"


def read_card(
    source: str, *, repo_id: str | None = None, revision: str | None = None, token: str | bool | None = None
) -> str:
    """README.md of a packed dataset.

    Args:
        source: a folder, `org/name` or an hf:// URL.
        repo_id: where the dataset will be; default: `source` on the Hub, else as `default_repo_id`.

    Raises:
        UsageError: `repo_id` is not org/name, or the dataset is not packed. SourceError: it cannot be read.
    """
    repository, manifest, name = _open(source, repo_id, revision, token)
    examples = first_rows(repository, manifest)
    return card_text(_with_urls(manifest, repository), examples, repo_id=name, plots=plots_in(repository))


def read_croissant(
    source: str, *, repo_id: str | None = None, revision: str | None = None, token: str | bool | None = None
) -> dict[str, Any]:
    """Croissant JSON-LD of a packed dataset. Arguments and errors as `read_card`, and UsageError also where shards are
    in other repositories.
    """
    repository, manifest, name = _open(source, repo_id, revision, token)
    if _with_urls(manifest, repository) != manifest:
        raise UsageError(
            f"{source}: some of its shards are in other repositories, and Croissant describes the files of one; "
            "`unifiedvisual select` of it, without a condition, brings them together"
        )
    return croissant(manifest, repo_id=name, url=f"{HUB}/{name}")


def _open(
    source: str, repo_id: str | None, revision: str | None, token: str | bool | None
) -> tuple[Repository, Manifest, str]:
    if repo_id is not None and not REPO_ID.fullmatch(repo_id):
        raise UsageError(f"repo_id is {repo_id!r}; expected org/name")
    repository = open_repository(source, revision=revision, token=token)
    if MANIFEST not in repository.list_files():
        raise UsageError(
            f"{repository.name} holds no {MANIFEST}; a card describes a packed dataset, which `unifiedvisual pack "
            f"{source} OUT` makes"
        )
    manifest = read_manifest(repository)
    own = repository.repo_id if isinstance(repository, HubRepository) else default_repo_id(source, manifest)
    return repository, manifest, repo_id or own


def default_repo_id(folder: str | os.PathLike[str], manifest: Manifest) -> str:
    """Where a dataset in a folder belongs: PACKED_REPOSITORY with tasks of the paper, else a name to be filled in."""
    if published_rows(manifest.tasks):
        return PACKED_REPOSITORY
    return f"your-org/{re.sub(r'[^A-Za-z0-9_-]+', '-', Path(folder).resolve().name).strip('-') or 'dataset'}"


def write_card(folder: Path, *, repo_id: str | None = None, token: str | bool | None = None) -> None:
    """Write README.md and croissant.json of a packed dataset, for a repository of this name (default: as
    `default_repo_id`); no croissant.json where shards are in other repositories. A card that a person has changed stays
    as it is.

    Raises:
        SourceError: the folder holds no packed dataset. ShardError: a shard is damaged, or holds no good row.
    """
    repository = open_repository(folder.absolute(), token=token)
    manifest = read_manifest(repository)
    repo_id = repo_id or default_repo_id(folder, manifest)
    examples, plots = first_rows(repository, manifest), plots_in(repository)
    described = _with_urls(manifest, repository)
    readme = folder / "README.md"
    if readme.exists() and (written := REPO_LINE.search(text := readme.read_text(encoding="utf-8", errors="replace"))):
        if text not in (
            card_text(described, examples, repo_id=written["repo"], plots=shown) for shown in (plots, ())
        ):  # plots may have come later
            return
    elif readme.exists():
        return
    write_whole(readme, card_text(described, examples, repo_id=repo_id, plots=plots))
    if described == manifest:  # Croissant tells of the files of one repository
        metadata = croissant(manifest, repo_id=repo_id, url=f"{HUB}/{repo_id}")
        write_whole(folder / "croissant.json", json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")


def _with_urls(manifest: Manifest, repository: Repository) -> Manifest:
    """Shards that are in other repositories by their URLs, which `datasets` takes in place of paths."""
    if not isinstance(repository, ReferringFolder):
        return manifest
    urls = {shard.path: reference_to(repository, shard.path, shard.bytes) for shard in manifest.shards}
    shards = (replace(shard, path=url.url) if (url := urls[shard.path]) else shard for shard in manifest.shards)
    return replace(manifest, shards=tuple(shards))


def plots_in(repository: Repository) -> tuple[str, ...]:
    """Images of a dataset, which `stats --plots` puts into its folder `plots`."""
    return tuple(path for path in repository.list_files() if path.startswith(PLOTS) and path.endswith((".svg", ".jpg")))


def first_rows(repository: Repository, manifest: Manifest) -> dict[str, Row]:
    """Task -> its first row, from one row group of each that has rows.

    Raises:
        ShardError: a shard is damaged, or holds no good row.
    """
    packed = PackedSource(
        repository=repository,
        paths={task: tuple(shard.path for shard in shards if shard.rows) for task, shards in manifest.tasks.items()},
    )
    return {task: _first_row(packed, paths[0]) for task, paths in packed.paths.items() if paths}


def _first_row(packed: PackedSource, shard: str) -> Row:
    """The first that keeps the rules."""
    with closing(packed.read_tables(shard)) as tables:  # type: ignore[type-var]  # an Iterator that is a generator
        for row in (row for table in tables for n in range(len(table)) for row in rows_of(table.slice(n, 1))):
            with suppress(RowError):
                if isinstance(row, Row):
                    check_row(row)
                    return row
    raise ShardError(f"{packed.repository.name}: {shard}: holds no good row; expected at least one; run verify")
