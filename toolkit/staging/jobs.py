"""A job in a folder: done unit by unit, by one command at a time, and resumed by the same command.

    <out>/.staging/LOCK         held while a command is at work; parts of one job share it
    <out>/.staging/plan.json    what the work is: another plan is refused once a unit is finished
    <out>/.staging/00003/       files of unit 3
    <out>/.staging/00003.done   unit 3 is finished: its result, and checksums of its files

What an earlier process left is checked before it is used: a unit whose marker or files are no longer as they were
written is done again.

Units do not depend on one another, and what becomes of all of them not on who did which: one process, several, a
cluster, or each of them for a while until it was killed.
"""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.errors import DiskFull, PartDone, SourceError, UsageError, reason_of, shown
from toolkit.executors import Tell, run
from toolkit.executors.memory import keep_freed_memory
from toolkit.staging.checksums import noting
from toolkit.staging.files import disk_errors, disk_full, size_text, write_whole
from toolkit.staging.locks import WAIT_S, hold, is_held, take
from toolkit.staging.marks import DONE, Placed, damaged, mark, remove, result_of

STAGING = ".staging"
_BUSY = "{}: another process is at work here; wait for it, or choose another folder"

_log = logging.getLogger(__name__)

Part = tuple[int, int]  # (i, N): every N-th unit from unit i
UnitWork = Callable[[int, Path, Tell], Any]  # (number, its folder, to be called with news) -> JSON


@dataclass(frozen=True)
class Job:
    """
    Attributes:
        out: where the result goes.
        folder: of unfinished work, in `out`.
        part: what this process does of it; None = all.
    """

    out: Path
    folder: Path
    part: Part | None = None

    def unit(self, number: int) -> Path:
        """Folder of a unit."""
        return self.folder / f"{number:05d}"

    def is_done(self, number: int) -> bool:
        return result_of(self._marker(number)) is not None

    def _marker(self, number: int) -> Path:
        return self.unit(number).with_suffix(DONE)

    def whole(self, units: Iterable[int]) -> list[int]:
        """Those that are finished, and whose files are as they were written. What is damaged of others is removed, so
        that they are done again.
        """
        placed = Placed(self.out, self.folder)
        return [unit for unit in units if self.is_done(unit) and self._is_whole(unit, placed)]

    def _is_whole(self, unit: int, placed: Placed) -> bool:
        if not (found := damaged(self._marker(unit), placed)):
            return True
        with _alone(self.unit(unit)):
            for path in (*found, self._marker(unit)):
                remove(path)
        _log.warning("%s: was damaged since it was written; this unit of the work is done again", found[0])
        return False

    def result(self, number: int) -> Any:
        """Of a finished unit.

        Raises:
            SourceError: its marker has become unreadable since.
        """
        if (found := result_of(self._marker(number))) is None:
            raise SourceError(
                f"{self._marker(number)}: cannot be read any more; run the same command again: it is resumed"
            )
        return found[0]

    def run(
        self,
        work: UnitWork,
        units: Sequence[int],
        *,
        executor: str = "local",
        workers: int = 1,
        on_news: Tell = lambda news: None,
        on_done: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Any]:
        """Do the units that are not finished, and return the results of all, by number.

        Args:
            work: finds in the folder of its unit what a killed process left there; must pickle for several workers.
            units: 0 to N - 1, in the order in which they are begun.
            executor, workers, on_news: see `toolkit.executors.run`.
            on_done: called with (finished units, all units).

        Raises:
            PartDone: of a job of several parts, this one is.
        """
        first, step = self.part or (0, 1)
        ours = units[first::step]
        left = {*self.whole(ours)}
        missing, before = [unit for unit in ours if unit not in left], len(left)
        if before:
            on_done(before, len(ours))
        ended = run(partial(_do, work, self), missing, executor=executor, workers=workers, on_news=on_news)
        for done, _ in enumerate(ended, before + 1):
            on_done(done, len(ours))
        if self.part:
            raise PartDone(self.out, *self.part)
        return [self.result(unit) for unit in sorted(units)]

    def close(self) -> None:
        """The result is whole, in its place and on the disk."""
        shutil.rmtree(self.folder)


@contextmanager
def open_job(
    out: Path, plan: Mapping[str, Any], *, part: Part | None = None, need_bytes: Callable[[], int] | None = None
) -> Iterator[Job]:
    """Begin a job in a folder, or resume it.

    Args:
        plan: JSON; all that the result depends on.
        part: (i, N): this process does only a part; others may do theirs at the same time.
        need_bytes: about as many as the result takes, for the message about a full disk.

    Raises:
        UsageError: another command is at work there, or has left a part of other work.
        DiskFull: from the block.
    """
    busy = _BUSY.format(out)
    job, wait_s = Job(out, out / STAGING, part), WAIT_S if part else 0.0
    with _full(out, need_bytes), hold(job.folder / "LOCK", busy=busy, shared=bool(part), wait_s=wait_s) as handle:
        until = time.monotonic() + WAIT_S
        while not take(handle):  # one part of several makes the plan, alone
            if not take(handle, shared=True) or time.monotonic() > until:
                raise UsageError(busy)
            if _plan(job).exists():
                break
            time.sleep(0.02)
        _agree(job, json.loads(json.dumps(plan)))
        if part and not take(handle, shared=True):
            raise UsageError(busy)
        yield job


def check_apart(out: Path, source: Path) -> None:
    """
    Raises:
        UsageError: the output is the input, or would be taken for a part of it when that is read again.
    """
    here, there = out.resolve(), source.resolve()
    if here == there:
        raise UsageError(f"{out} is what is read; choose another folder for what is written")
    if here.is_relative_to(there):
        raise UsageError(f"{out} lies inside {source}, which is read; choose a folder beside it")


def check_free(out: Path) -> None:
    """For those who have much to do before they know their plan.

    Raises:
        UsageError: another command is at work there.
    """
    if is_held(out / STAGING / "LOCK"):
        raise UsageError(_BUSY.format(out))


def forget(out: Path) -> None:
    """Remove what a process left that was killed after its result was whole."""
    folder = out / STAGING
    if folder.exists():
        with suppress(OSError, UsageError), hold(folder / "LOCK", busy=""):
            shutil.rmtree(folder)


def is_begun(out: Path) -> bool:
    """Whether a folder holds unfinished work."""
    return _plan(Job(out, out / STAGING)).exists()


def _plan(job: Job) -> Path:
    return job.folder / "plan.json"


def _agree(job: Job, plan: dict[str, Any]) -> None:
    path = _plan(job)
    try:
        before = dict(json.loads(_content(path))) if os.path.lexists(path) else None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path}: what the unfinished work is cannot be read ({reason_of(error)}); delete {job.folder}, and run "
            "the command again"
        ) from error
    if before == plan:
        return
    if before is not None:
        if any(True for pattern in ("*", "*/*") for _ in job.folder.glob(pattern + DONE)):
            raise UsageError(
                f"{job.out} holds unfinished work of another command: {difference(before, plan)}; give that one again, "
                f"or delete {job.folder}"
            )
        for left in job.folder.iterdir():  # nothing is finished: nothing is lost by beginning anew
            if left.is_dir():
                shutil.rmtree(left)
    write_whole(path, json.dumps(plan))


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two plans, in words."""
    for key in {**before, **now}:
        old, new = before.get(key), now.get(key)
        if old != new and isinstance(old, dict) and isinstance(new, dict):
            return difference(old, new)
        if old != new:
            return f"{key} is {shown(old)} there, and {shown(new)} here"
    return "nothing"


def _do(work: UnitWork, job: Job, unit: int, tell: Tell) -> None:
    keep_freed_memory()
    folder = job.unit(unit)
    with _alone(folder):
        if not job.is_done(unit):
            with noting() as files:
                result = work(unit, folder, tell)
                ours = [path for path in files if str(path).startswith(f"{folder}{os.sep}")]
                mark(folder.with_suffix(DONE), result, ours)


@contextmanager
def _alone(unit: Path) -> Iterator[None]:
    busy = f"{unit}: another process is at work on this unit; wait for it"
    with hold(unit.with_suffix(".lock"), busy=busy, wait_s=WAIT_S):
        yield


def _content(path: Path) -> bytes:
    """Of a file, and of nothing that is read for ever."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is not a file")
    return path.read_bytes()


@contextmanager
def _full(out: Path, need_bytes: Callable[[], int] | None) -> Iterator[None]:
    def need() -> str:
        return f"about {size_text(need_bytes())} in all are" if need_bytes else "more are"

    try:
        with disk_errors(out, need):
            yield
    except DiskFull as error:
        if not need_bytes or error.path in (None, out) or not error.path.is_relative_to(out):
            raise
        raise disk_full(out, need()) from error
