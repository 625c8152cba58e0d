"""A source -> `data/<task>/train-00000-of-000NN.parquet` + MANIFEST.json. What was killed goes on where it was.

    stage: rows in source order -> row groups -> shards under OUT/.packing      pack: renamed once all are whole ->
        MANIFEST.json, last

Where rows are cut into groups and shards depends on the rows alone, so the bytes are the same on every run, for any
number of workers. A finished shard
is never written again: a second run reads past it. A folder with a manifest is finished.
"""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from toolkit.errors import SourceError, UsageError
from toolkit.packing.stage import PackOptions, staged_shards
from toolkit.packing.workers import stage_tasks
from toolkit.sources.layout import Source
from toolkit.sources.manifest import MANIFEST, Manifest, Shard, read_manifest
from toolkit.sources.repository import HubRepository, LocalFolder, OnRead
from toolkit.staging.files import write_whole
from toolkit.tasks import TASKS, configs_of, describe_tasks

STAGING = ".packing"
# the plan of a finished folder; it names this machine's files, so it stays here, out of manifest and push
PACKED_FROM = ".packed-from.json"


def pack(
    source: Source,
    out: Path,
    tasks: Iterable[str],
    options: PackOptions | None = None,
    *,
    workers: int = 1,
    on_read: OnRead = lambda path, size: None,
) -> Manifest:
    """Pack the tasks of a source that have rows there.

    Args:
        out: a folder; made if it is not there. One that holds part of the same work is gone on with.
        workers: tasks packed at the same time.
        on_read: told of what is read from archives or shards, for progress.

    Raises:
        UsageError: `out` holds something else; no such rows. UnknownName: a task that is defined nowhere.
        SourceError: the source, or the disk, does not allow it; RowError: a bad row, unless skipped.
    """
    options = options or PackOptions()
    tasks = [task for task in tasks if task in source.tasks]
    if not tasks:
        raise UsageError(f"{source.repository.name} has none of these tasks; it has: {', '.join(source.tasks)}")
    vocabulary = describe_tasks(tasks, source.vocabulary)
    configs_of((*TASKS.values(), *vocabulary.values()))  # raises where names collide
    plan = {"source": source.fingerprint(tasks), "tasks": tasks, "options": asdict(options)}
    if (out / MANIFEST).exists():
        return _finished(out, source, options, plan)
    with _staging(out, plan) as staging:
        _check_disk(source, tasks, out, staging)
        skipped = stage_tasks(source, staging, tasks, options, workers=workers, on_read=on_read)
        shards = [shard for task in tasks for shard in _publish(out, staging / task, task)]
        manifest = Manifest(
            source=_describe(source),
            options=asdict(options),
            shards=tuple(shards),
            skipped={task: skipped[task] for task in tasks if skipped[task]},
            vocabulary=vocabulary,
        )
        write_whole(out / PACKED_FROM, json.dumps(plan))
        write_whole(out / MANIFEST, manifest.to_json())
        shutil.rmtree(staging)
    return manifest


def _finished(out: Path, source: Source, options: PackOptions, plan: dict[str, Any]) -> Manifest:
    manifest = read_manifest(LocalFolder(out))
    path = out / PACKED_FROM
    if path.exists() and json.loads(path.read_text()) != plan:
        raise UsageError(
            f"{out} holds a dataset packed from other files, tasks or options, or from files that changed since; "
            "choose another folder, or remove it"
        )
    if (manifest.source, manifest.options) != (_describe(source), asdict(options)):
        raise UsageError(
            f"{out} holds a dataset packed from {manifest.source} with {manifest.options}; choose another folder, or "
            "remove it"
        )
    shutil.rmtree(out / STAGING, ignore_errors=True)  # of a run that was killed after its last step but one
    return manifest


@contextmanager
def _staging(out: Path, plan: dict[str, Any]) -> Iterator[Path]:
    """The folder of unfinished work, locked; it knows what it is part of."""
    staging = out / STAGING
    staging.mkdir(parents=True, exist_ok=True)
    with (staging / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{out}: another process is packing here; wait for it, or choose another folder"
            ) from error
        path = staging / "plan.json"
        has_shards = any(staging.glob("*/*.json"))  # if nothing is finished, nothing is lost by beginning anew
        if path.exists() and has_shards and json.loads(path.read_text()) != plan:
            raise UsageError(
                f"{out} holds an unfinished pack of another source, tasks or options; give the same again, or remove "
                f"{staging}"
            )
        write_whole(path, json.dumps(plan))
        yield staging


def _check_disk(source: Source, tasks: Iterable[str], out: Path, staging: Path) -> None:
    needed = source.disk_needed(tasks)
    have = sum(path.stat().st_size for path in staging.rglob("*.parquet"))
    for folder, size in ((out, needed["output"] - have), (Path(tempfile.gettempdir()), needed["temporary"])):
        if (free := shutil.disk_usage(folder).free) < size:
            raise SourceError(
                f"{folder}: {free / 1e9:.1f} GB free; about {size / 1e9:.1f} GB needed; free space, or choose another "
                "disk (TMPDIR for temporary files)"
            )


def _publish(out: Path, folder: Path, task: str) -> Iterator[Shard]:
    """Shards of a whole task under their own names; those that already have them are left."""
    shards = staged_shards(folder)
    for number, shard in enumerate(shards):
        named = replace(shard, path=f"data/{task}/train-{number:05d}-of-{len(shards):05d}.parquet")
        (out / named.path).parent.mkdir(parents=True, exist_ok=True)
        if (folder / shard.path).exists():
            (folder / shard.path).replace(out / named.path)
        yield named


def _describe(source: Source) -> dict[str, str]:
    """What was packed; a folder of this machine has no name that means anything elsewhere."""
    repository = source.repository
    if isinstance(repository, HubRepository):
        return {"repository": repository.repo_id, "revision": repository.commit}
    return {"repository": "a local folder", "revision": ""}
