"""A packed dataset -> a Hub repository, then compared with the manifest there."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import SourceError, UsageError
from toolkit.packing.verify import verify_packed
from toolkit.sources.findings import Findings
from toolkit.sources.hub_waits import hub_errors
from toolkit.sources.manifest import MANIFEST, PLOTS, Manifest, read_manifest
from toolkit.sources.references import REFERENCES
from toolkit.sources.repository import REPO_ID, LocalFolder, open_repository

# Beside the shards. Never a module: `datasets` refuses to load a repository that holds a script of its own name.
UPLOADED = (MANIFEST, "README.md", "croissant.json")
ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True)
class PushPlan:
    """What would be uploaded: path -> bytes."""

    repo_id: str
    files: dict[str, int]


def plan_push(folder: Path, repo_id: str) -> PushPlan:
    """The files a push uploads.

    Raises:
        UsageError: no name of a dataset. SourceError: the folder is no finished packed dataset: no manifest, or shards
            that are not those it lists.
    """
    if not REPO_ID.fullmatch(repo_id):
        raise UsageError(f"{repo_id!r} is no name of a Hub dataset; expected org/name")
    repository = LocalFolder(folder)
    manifest = read_manifest(repository)
    files = repository.list_files()
    if REFERENCES in files and (missing := [shard.path for shard in manifest.shards if shard.path not in files]):
        raise UsageError(
            f"{folder}: {len(missing)} of {len(manifest.shards)} shards are in other datasets of the Hub, as "
            f"{REFERENCES} says; merge without --reference to push them"
        )
    for shard in manifest.shards:
        if files.get(shard.path) != shard.bytes:
            raise SourceError(
                f"{folder}: {shard.path} has {files.get(shard.path, 0):,} bytes; expected {shard.bytes:,}; check it "
                f"with `unifiedvisual verify {folder}`"
            )
    wanted = {shard.path for shard in manifest.shards} | set(UPLOADED)
    return PushPlan(
        repo_id=repo_id, files={path: size for path, size in files.items() if path in wanted or path.startswith(PLOTS)}
    )


def push(
    folder: Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    token: str | None = None,
    on_retry: Callable[[str], None] = lambda message: None,
) -> Findings:
    """Upload, then verify what the Hub serves. What was uploaded before is not sent again, so a push that broke is
    simply repeated.

    Args:
        revision: a branch, made if it is not there; None = main.
        on_retry: told of an attempt that failed.

    Raises:
        UsageError, SourceError: as `plan_push`; or the Hub refuses.
    """
    from huggingface_hub import HfApi

    plan = plan_push(folder, repo_id)
    api = HfApi(token=token)
    with hub_errors(repo_id):
        api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        if revision:
            api.create_branch(repo_id, branch=revision, repo_type="dataset", exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with hub_errors(repo_id):
                api.upload_folder(
                    repo_id=repo_id,
                    repo_type="dataset",
                    folder_path=folder,
                    revision=revision,
                    allow_patterns=sorted(plan.files),
                    commit_message=f"{read_manifest(LocalFolder(folder)).total('rows'):,} rows",
                )
            break
        except SourceError as error:
            if attempt == ATTEMPTS:
                raise
            on_retry(f"attempt {attempt} of {ATTEMPTS}: {error}")
            time.sleep(2**attempt)
    return verify_pushed(repo_id, read_manifest(LocalFolder(folder)), revision=revision, token=token)


def verify_pushed(repo_id: str, manifest: Manifest, *, revision: str | None, token: str | None) -> Findings:
    """What the Hub serves: its manifest must be ours, and every shard what that says."""
    repository = open_repository(f"hf://datasets/{repo_id}", revision=revision, token=token)
    if read_manifest(repository) != manifest:
        return Findings(
            source=repo_id,
            problems=(
                ("other_manifest", f"{repository.name}: its {MANIFEST} is not the one that was uploaded; push again"),
            ),
        )
    return verify_packed(repository)
