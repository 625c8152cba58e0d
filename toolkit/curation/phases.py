"""A job in phases, and the dataset it ends with."""

import errno
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from toolkit.curation.database import is_of_duckdb, with_enough_memory
from toolkit.curation.inputs import PackedInput, roots_of
from toolkit.errors import PartDone, SourceError, UnifiedVisualError, UsageError
from toolkit.executors import Tell
from toolkit.packing.pack import end, made_from, place_shards
from toolkit.sources.manifest import MANIFEST, Manifest, Shard, read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.sources.splits import SPLITS
from toolkit.staging.files import sync_folder
from toolkit.staging.jobs import Job, Part, UnitWork, check_apart, forget, open_job
from toolkit.tasks import Task, in_order

Plan = Mapping[str, Any]
# What is not a file; None is Arrow's, of a file that is not Parquet.
MISSING = (None, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP)
OnDone = Callable[[str, int, int], None]  # phase, finished units, all units


def quiet(phase: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How a job is spread over workers; see `toolkit.executors.run` and `toolkit.staging.jobs.open_job`."""

    workers: int = 1
    executor: str = "local"
    part: Part | None = None
    on_done: OnDone = quiet


@dataclass(kw_only=True)
class Phases:
    """Runs the phases of a job in turn; a part of a job ends with the first that others have not finished."""

    job: Job
    spread: Spread
    begun: int = 0

    def run(self, name: str, work: UnitWork, count: int) -> list[tuple[Path, Any]]:
        """(folder, result) of every unit of a phase.

        Args:
            work: gets numbers from 0; must pickle for several workers.
        """
        first, self.begun = self.begun, self.begun + count
        units = range(first, first + count)
        if self.job.part and all(map(self.job.is_done, units)) and len(self.job.whole(units)) == count:
            results = [self.job.result(unit) for unit in units]
        else:
            results = self.job.run(
                partial(_numbered, work, first),
                units,
                executor=self.spread.executor,
                workers=self.spread.workers,
                on_done=partial(self.spread.on_done, name),
            )
        return list(zip(map(self.job.unit, units), results, strict=True))


def _numbered(work: UnitWork, first: int, unit: int, folder: Path, tell: Tell) -> Any:
    with readable(folder.parent):
        folder.mkdir(exist_ok=True)
        return with_enough_memory(partial(work, unit - first, folder, tell))


@contextmanager
def readable(staging: Path) -> Iterator[None]:
    """
    Raises:
        SourceError: what units before have left is damaged. Errors of sources are classified where these are read.
    """
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, UnifiedVisualError) or (isinstance(error, OSError) and error.errno not in MISSING):
            raise
        raise _damaged(staging, error) from error
    except Exception as error:
        if not is_of_duckdb(error):
            raise
        raise _damaged(staging, error) from error


def _damaged(staging: Path, error: Exception) -> SourceError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return SourceError(
        f"{staging}: unfinished work that cannot be read ({reason:.200}); delete the folder, and run the command again"
    )


@contextmanager
def open_phases(out: Path, plan: Plan, inputs: Sequence[PackedInput], spread: Spread) -> Iterator[Phases | None]:
    """Begin or resume a job whose result is a packed dataset; None: it is finished.

    Raises:
        UsageError: `out` holds something else, is where an input is, or another process is at work there.
    """
    for root in roots_of(inputs):
        check_apart(out, root)
    if is_finished(out, plan):
        yield None
        return
    with open_job(out, plan, part=spread.part) as job:
        if is_finished(out, plan):  # another process has just ended it
            yield None
        else:
            with readable(job.folder):
                yield Phases(job=job, spread=spread)


def is_finished(out: Path, plan: Plan) -> bool:
    """
    Raises:
        UsageError: another dataset is there.
    """
    if not (out / MANIFEST).exists():
        return False
    if made_from(out) != json.loads(json.dumps(plan)):
        raise UsageError(
            f"{out} holds a dataset made from other files or with other options; choose another folder, or remove it"
        )
    forget(out)
    return True


def read_finished(out: Path) -> Manifest:
    return read_manifest(LocalFolder(out))


Staged = tuple[Path | None, Shard]


def finish(
    job: Job,
    staged: Mapping[tuple[str, str], Sequence[Staged]],
    manifest: Callable[[tuple[Shard, ...]], Manifest],
    plan: Plan,
) -> Manifest:
    """Give shards their names, and write the manifest.

    Args:
        staged: (task, split) -> its shards in order, each where it lies.
        manifest: shards -> what describes them.

    Raises:
        UnifiedVisualError: there are none. PartDone: in a part of a job; the whole ends it.
    """
    if job.part:  # others may still be at work
        raise PartDone(job.out, *job.part)
    if not any(staged.values()):
        job.close()
        raise UnifiedVisualError(f"{job.out}: no row is left; nothing was written")
    shards: list[Shard] = []
    for task in in_order({task for task, _ in staged}):
        for split in (split for split in SPLITS if staged.get((task, split))):
            shards += place_shards(job, task, split, staged[task, split])
    sync_folder(job.out / "data")
    written = manifest(tuple(shards))
    end(job, written, plan)
    return written


def one_vocabulary(inputs: Iterable[PackedInput]) -> dict[str, Task]:
    """Definitions of the tasks that are not of the nine.

    Raises:
        UsageError: two datasets define a task differently.
    """
    found: dict[str, tuple[str, Task]] = {}
    for each in inputs:
        for name, task in each.manifest.vocabulary.items():
            first, before = found.setdefault(name, (each.name, task))
            if before != task:
                raise UsageError(f"task {name!r} is {before} in {first}, and {task} in {each.name}; rename one of them")
    return {name: task for name, (_, task) in found.items()}
