"""`unifiedvisual card`: README.md or Croissant JSON-LD of a packed dataset, printed."""

import json
import re
import sys
from contextlib import closing
from pathlib import Path

from dataset_card.card import card_text
from dataset_card.croissant import croissant
from toolkit.cli.terminal import print_json
from toolkit.errors import ShardError, UsageError
from toolkit.schema import Row, table_to_rows
from toolkit.sources.manifest import MANIFEST, PLOTS, Manifest, read_manifest
from toolkit.sources.packed import PackedSource
from toolkit.sources.repository import REPO_ID, HubRepository, LocalFolder, Repository, open_repository
from toolkit.staging.files import write_whole

PACKED_REPOSITORY = "fnlp-vision/UnifiedVisual"  # where the packed dataset belongs
REPO_LINE = re.compile(
    r'load_dataset\("(?P<repo>[\w.-]+/[\w.-]+)"'
)  # the first snippet names the repository a card was written for
HUB = "https://huggingface.co/datasets"


def run(source: str, *, as_croissant: bool, repo_id: str | None, revision: str | None, token: str | None) -> None:
    repository = open_repository(source, revision=revision, token=token)
    name = repo_id or (repository.repo_id if isinstance(repository, HubRepository) else PACKED_REPOSITORY)
    if not REPO_ID.fullmatch(name):
        raise UsageError(f"--repo-id is {name!r}; expected org/name")
    if MANIFEST not in repository.list_files():
        raise UsageError(
            f"{repository.name} holds no {MANIFEST}; a card describes a packed dataset, which `unifiedvisual pack "
            f"{source} OUT` makes"
        )
    manifest = read_manifest(repository)
    if as_croissant:
        print_json(croissant(manifest, repo_id=name, url=f"{HUB}/{name}"))
    else:
        sys.stdout.write(
            card_text(manifest, first_rows(repository, manifest), repo_id=name, plots=plots_in(repository))
        )


def write_card(folder: Path, repo_id: str = PACKED_REPOSITORY) -> None:
    """README.md and croissant.json of a packed dataset, for a repository of this name. A card that a person has changed
    stays as it is.
    """
    repository = LocalFolder(folder)
    manifest = read_manifest(repository)
    examples, plots = first_rows(repository, manifest), plots_in(repository)
    readme = folder / "README.md"
    if readme.exists() and (written := REPO_LINE.search(text := readme.read_text(encoding="utf-8"))):
        if text not in (
            card_text(manifest, examples, repo_id=written["repo"], plots=shown) for shown in (plots, ())
        ):  # plots may have come later
            return
    elif readme.exists():
        return
    write_whole(readme, card_text(manifest, examples, repo_id=repo_id, plots=plots))
    metadata = croissant(manifest, repo_id=repo_id, url=f"{HUB}/{repo_id}")
    write_whole(folder / "croissant.json", json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")


def plots_in(repository: Repository) -> tuple[str, ...]:
    """Pictures of a dataset, which `stats --plots` puts into its folder `plots`."""
    return tuple(path for path in repository.list_files() if path.startswith(PLOTS) and path.endswith((".svg", ".jpg")))


def first_rows(repository: Repository, manifest: Manifest) -> dict[str, Row]:
    """Task -> its first row, from one row group of each.

    Raises:
        ShardError: a shard is damaged, or holds no row.
    """
    packed = PackedSource(
        repository=repository,
        paths={task: tuple(shard.path for shard in shards) for task, shards in manifest.tasks.items()},
    )
    return {task: _first_row(packed, paths[0]) for task, paths in packed.paths.items()}


def _first_row(packed: PackedSource, shard: str) -> Row:
    with closing(packed.read_tables(shard)) as tables:  # type: ignore[type-var]  # an Iterator that is a generator
        for table in tables:
            for row in table_to_rows(table.slice(0, 1)):
                return row
    raise ShardError(f"{packed.repository.name}: {shard}: holds no row; expected at least one; pack again")
