"""A source -> `data/<task>/train-00000-of-000NN.parquet` + MANIFEST.json. A killed run is resumed.

    stage: rows in source order -> row groups -> shards in the staging folder, a unit for each task, or for several that
        can only be read together
    pack: shards get their names once all are whole -> MANIFEST.json, last

Where rows are cut into groups and shards depends on the rows alone, so the bytes are the same on every run, for any
number of workers. A finished shard is never written again: a second run reads past it. A folder with a manifest is
finished.
"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.errors import SourceError, UnifiedVisualError, UsageError
from toolkit.executors import Tell
from toolkit.packing.stage import PackOptions, stage_tasks, staged_shards
from toolkit.sources.hub import HubRepository
from toolkit.sources.layout import Source
from toolkit.sources.manifest import MANIFEST, Manifest, Shard, read_manifest
from toolkit.sources.published.source import TOGETHER, UpstreamSource
from toolkit.sources.repository import LocalFolder, OnRead, root_of
from toolkit.sources.rows import RowsSource
from toolkit.sources.splits import DEFAULT_SPLIT
from toolkit.sources.telling import told
from toolkit.staging.files import check_space, sync_folder, write_whole
from toolkit.staging.jobs import Job, Part, check_apart, forget, open_job
from toolkit.tasks import TASKS, Task, configs_of, describe_tasks

# the plan of a finished folder; it names this machine's files, so it stays here, out of manifest and push
PACKED_FROM = ".packed-from.json"


def pack(
    source: Source,
    out: Path,
    tasks: Iterable[str],
    options: PackOptions | None = None,
    *,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_read: OnRead = lambda path, size: None,
) -> Manifest:
    """Pack the tasks of a source that have rows there.

    Args:
        out: a folder; made if it is not there. One that holds part of the same work is resumed.
        workers: tasks packed at the same time.
        executor: "local", or "ray" for tasks on its cluster instead of processes.
        part: (i, N): only every N-th task, from task i; another process, on any machine, does the others.
        on_read: told of what is read from archives or shards, for progress.

    Raises:
        UsageError: `out` holds something else, or is where the source is, or another process is at work there; no such
            rows. UnknownName: a task that is defined nowhere.
        SourceError: the source cannot be read; RowError: a bad row, unless skipped. UnifiedVisualError: no row is left.
        DiskFull: there is not space enough. PartDone: the part is.
    """
    options = options or PackOptions()
    tasks = _present(source, tasks)
    vocabulary = _described(source, tasks)
    plan: dict[str, Any] = {"source": source.fingerprint(tasks), "tasks": tasks, "options": _shaping(options)}
    if (out / MANIFEST).exists():
        return _finished(out, source, options, plan)
    _check_inputs(source, out)
    with open_job(out, plan, part=part, need_bytes=lambda: source.disk_needed(tasks)["output"]) as job:
        if (out / MANIFEST).exists():  # another process has just ended it
            job.close()
            return _finished(out, source, options, plan)
        _check_disk(source, tasks, job)
        units = _units(source, tasks)
        found = job.run(
            partial(_stage, source, units, options),
            _largest_first(source, units) if workers > 1 else range(len(units)),
            executor=executor,
            workers=workers,
            on_news=lambda news: on_read(*news),
        )
        skipped = {task: counts for unit in found for task, counts in unit.items() if counts}
        shards = _published(job, source, _staged(job, units, tasks), skipped)
        manifest = Manifest(
            source=_describe(source), options=plan["options"], shards=shards, skipped=skipped, vocabulary=vocabulary
        )
        end(job, manifest, plan)
    return manifest


def end(job: Job, manifest: Manifest, packed_from: Mapping[str, Any]) -> None:
    """All shards are in place."""
    write_whole(job.out / PACKED_FROM, json.dumps(packed_from))
    write_whole(job.out / MANIFEST, manifest.to_json())
    job.close()


def made_from(out: Path) -> Any:
    """What `end` wrote of how a dataset was made; None where it cannot be read."""
    try:
        return json.loads((out / PACKED_FROM).read_bytes()) if (out / PACKED_FROM).is_file() else None
    except (OSError, ValueError, RecursionError):
        return None


def _finished(out: Path, source: Source, options: PackOptions, plan: dict[str, Any]) -> Manifest:
    manifest = read_manifest(LocalFolder(out))
    if (out / PACKED_FROM).exists() and made_from(out) != plan:
        raise UsageError(
            f"{out} holds a dataset packed from other files, tasks or options, or from files that changed since; "
            "choose another folder, or remove it"
        )
    if (manifest.source, manifest.options) != (_describe(source), _shaping(options)):
        raise UsageError(
            f"{out} holds a dataset packed from {manifest.source} with {manifest.options}; choose another folder, or "
            "remove it"
        )
    forget(out)
    return manifest


def _present(source: Source, tasks: Iterable[str]) -> list[str]:
    if present := [task for task in tasks if task in source.tasks]:
        return present
    there = f"{', '.join(source.tasks)}{_splits(source)}"
    raise UsageError(f"{source.repository.name} has none of these tasks; it has: {there}")


def _described(source: Source, tasks: Iterable[str]) -> dict[str, Task]:
    vocabulary = describe_tasks(tasks, source.vocabulary)
    configs_of((*TASKS.values(), *vocabulary.values()))  # raises where names collide
    return vocabulary


def _shaping(options: PackOptions) -> dict[str, Any]:
    """Options that the output depends on."""
    return {name: value for name, value in asdict(options).items() if name != "max_in_a_row"}


def _check_inputs(source: Source, out: Path) -> None:
    if isinstance(source, RowsSource):
        for path in source.inputs:
            check_apart(out, path)
    elif root := root_of(source.repository):
        check_apart(out, root)


def _splits(source: Source) -> str:
    known = [] if isinstance(source, RowsSource) else list(source.splits)
    return f" (splits: {', '.join(known)})" if known not in ([], [DEFAULT_SPLIT]) else ""


def _units(source: Source, tasks: Sequence[str]) -> list[list[str]]:
    """Tasks that are staged together."""
    if not isinstance(source, UpstreamSource):
        return [[task] for task in tasks]
    return [shard.split(TOGETHER) for shard in source.shards(tasks)]


def _staged(job: Job, units: Sequence[Sequence[str]], tasks: Sequence[str]) -> dict[str, Path]:
    """Task -> where its shards are, in the order of the tasks."""
    places = {
        task: job.unit(number) / task if len(unit) > 1 else job.unit(number)
        for number, unit in enumerate(units)
        for task in unit
    }
    return {task: places[task] for task in tasks}


def _published(
    job: Job, source: Source, staged: Mapping[str, Path], skipped: Mapping[str, Mapping[str, int]]
) -> tuple[Shard, ...]:
    """Raises UnifiedVisualError: there is none."""
    if not any(map(staged_shards, staged.values())):
        job.close()
        raise UnifiedVisualError(f"{job.out}: no row is left; left out: {skipped}; nothing was packed")
    return tuple(publish(job, staged, getattr(source, "split", DEFAULT_SPLIT)))


def _largest_first(source: Source, units: Sequence[Sequence[str]]) -> list[int]:
    sizes = [source.disk_needed(unit)["output"] for unit in units]
    return sorted(range(len(units)), key=lambda number: -sizes[number])


def _stage(
    source: Source, units: Sequence[Sequence[str]], options: PackOptions, number: int, folder: Path, tell: Tell
) -> dict[str, dict[str, int]]:
    with told(tell) as on_read:
        return stage_tasks(source, folder, units[number], options, owns_unknown=number == 0, on_read=on_read)


def _check_disk(source: Source, tasks: Iterable[str], job: Job) -> None:
    needed = source.disk_needed(tasks)
    have = sum(path.stat().st_size for path in job.out.rglob("*.parquet") if path.is_file())
    check_space(job.out, needed["output"] - have)
    check_space(Path(tempfile.gettempdir()), needed["temporary"])


def publish(job: Job, staged: Mapping[str, Path], split: str = DEFAULT_SPLIT) -> Iterator[Shard]:
    """Shards of whole tasks under their own names; those that already have them are left.

    Args:
        staged: task -> where its shards are.
    """
    for task, place in staged.items():
        yield from place_shards(job, task, split, [(place / shard.path, shard) for shard in staged_shards(place)])
    sync_folder(job.out / "data")


def place_shards(job: Job, task: str, split: str, shards: Sequence[tuple[Path | None, Shard]]) -> Iterator[Shard]:
    """Whole shards of a task and split under their own names.

    Args:
        shards: where each lies, in order; None: in another dataset, where it stays.

    Raises:
        SourceError: one is not there, or not as long as it was when it was written.
    """
    folder = job.out / "data" / task
    folder.mkdir(parents=True, exist_ok=True)
    for number, (staged, shard) in enumerate(shards):
        name = f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
        if staged is not None and staged.exists():
            staged.replace(folder / name)
        found = (folder / name).stat().st_size if (folder / name).exists() else 0  # placed before, where it was resumed
        if staged is not None and found != shard.bytes:
            raise SourceError(
                f"{folder / name}: {found:,} bytes of {shard.bytes:,}: what {job.folder} held is damaged; delete that "
                "folder, and run the command again"
            )
        yield replace(shard, path=f"data/{task}/{name}")
    sync_folder(folder)


def _describe(source: Source) -> dict[str, str]:
    """What was packed; the path of a local folder means nothing on another machine."""
    repository = source.repository
    if isinstance(repository, HubRepository):
        return {"repository": repository.repo_id, "revision": repository.commit}
    return {"repository": "a local folder", "revision": ""}
