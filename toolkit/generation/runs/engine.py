"""One shard of a run: spec -> samples -> recipes -> journal. Killed at any moment, the same command resumes where it
was.

What is there is never made again: finished samples by their id, answered calls by their content. What was under way
when a process was killed may be paid twice, at most one call per worker and kill, and is shown as in doubt.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb

from toolkit.errors import DiskFull, RowError, RunStopped, UnifiedVisualError, is_disk_full, reason_of
from toolkit.generation.calls.budget import Budget
from toolkit.generation.calls.calls import CallSite
from toolkit.generation.calls.seats import CallFailed
from toolkit.generation.calls.sending import check_room
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.keys import number_of
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal import Finished, Journal, finished, insert_sample, journal_paths
from toolkit.generation.journal.reading import redraws, spent
from toolkit.generation.recipes.recipe import Recipe, Rejected, StepFailed
from toolkit.generation.runs.interrupts import draining
from toolkit.generation.runs.lock import lock
from toolkit.generation.runs.plans import Planned, agree, check_budget, plan
from toolkit.generation.runs.rows import Rows
from toolkit.generation.runs.samples import make_row, row_to_json
from toolkit.generation.runs.seats import Seats, open_seats
from toolkit.staging.files import disk_full, sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Told after every sample."""

    recipe: str
    state: str
    spent_usd: float


RECIPE_STEP = "recipe"  # where a sample failed that broke its recipe

OnSample = Callable[[Progress], None]


def run(
    spec: RunSpec,
    folder: Path,
    *,
    shard: tuple[int, int] = (0, 1),
    fork: bool = False,
    replay: Path | None = None,
    on_sample: OnSample = lambda progress: None,
) -> Counter[str]:
    """Make the samples of a shard that are not there yet.

    Args:
        folder: of the run; made if it is not there.
        shard: (i, N): samples are dealt by their id, so shards of one N share no sample.
        fork: go on although the spec makes other rows than those that are there.
        replay: answer every call from the journals of this run, and none from a model.

    Returns:
        How many samples ended in which state.

    Raises:
        UsageError: the spec makes other rows than are there; another process works on the shard. RunStopped: run again
            to go on.
        Interrupted: at Ctrl-C or SIGTERM, once the calls under way have ended; heard in a main thread only.
    """
    planned = plan(spec)
    if replay is None:
        check_budget(spec, planned)
    check_room(folder)
    agree(folder, {each.recipe.name: each.key for each in planned}, fork=fork)
    name = f"{shard[0]:03d}-of-{shard[1]:03d}"
    with lock(folder / "shards" / name):
        sweep(folder)  # what killed processes left half written
        return asyncio.run(
            _run(spec, planned, folder, shard, folder / "shards" / name / "journal.sqlite3", replay, on_sample)
        )


async def _run(
    spec: RunSpec,
    planned: list[Planned],
    folder: Path,
    shard: tuple[int, int],
    path: Path,
    replay: Path | None,
    on_sample: OnSample,
) -> Counter[str]:
    journal, blobs = Journal(path), Blobs(folder / "blobs")
    budget = Budget(_share(spec, folder, shard), spent=spent(path))
    seats = open_seats(spec, planned, path.parent, replay)
    attempts = 1 if replay else spec.attempts
    rows = Rows(folder)
    work = _Work(
        rows=rows,
        spec=spec,
        journal=journal,
        blobs=blobs,
        calls=CallSite(journal, blobs, budget, attempts=attempts, alike=spec.stop_after),
        seats=seats,
        budget=budget,
        redraws=redraws(replay or folder),
        on_sample=on_sample,
    )
    try:
        with draining(work.stop):
            await work.all(_pending(planned, folder, shard, rows))
    finally:
        await seats.close()
        journal.close()
    return work.counts


def _share(spec: RunSpec, folder: Path, shard: tuple[int, int]) -> float | None:
    """Of the cap, for one of N shards: an equal part of what runs with another N have left, or what is left where other
    shards have spent more than theirs already.
    """
    if spec.max_usd is None:
        return None
    by_name = {path.parent.name: spent(path) for path in journal_paths(folder)}
    alike = {f"{number:03d}-of-{shard[1]:03d}" for number in range(shard[1])}
    left = spec.max_usd - sum(usd for name, usd in by_name.items() if name not in alike)
    equal = max(0.0, left) / shard[1]
    others = sum(max(equal, by_name.get(name, 0.0)) for name in alike - {f"{shard[0]:03d}-of-{shard[1]:03d}"})
    return max(0.0, min(equal, left - others))


def _pending(
    planned: list[Planned], folder: Path, shard: tuple[int, int], rows: Rows
) -> Iterator[tuple[Planned, int, str]]:
    for each in planned:
        done = {sample.id for sample in finished(folder, each.recipe.name)}
        for index in range(each.n):
            if (id := each.id(index)) not in done and number_of(id, shard[1]) == shard[0]:
                if rows.are_enough(each, index):
                    break
                yield each, index, id


@dataclass(kw_only=True)
class _Work:
    """Workers that share one list of samples. The first RunStopped lets the others finish their sample, so that nothing
    under way is lost.
    """

    spec: RunSpec
    journal: Journal
    blobs: Blobs
    calls: CallSite
    seats: Seats
    budget: Budget
    redraws: Mapping[str, int]
    rows: Rows
    on_sample: OnSample

    def __post_init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._stopped: UnifiedVisualError | None = None
        self._failures_in_a_row = 0
        self._held: list[tuple[Finished, CallFailed]] = []  # of calls that may show that the spec is wrong

    def stop(self, error: RunStopped) -> None:
        """No further call is sent, no further sample begun."""
        self._stopped = self.budget.closed = self._stopped or error  # type: ignore[assignment]
        self.seats.stop()

    async def all(self, samples: Iterator[tuple[Planned, int, str]]) -> None:
        workers = [asyncio.create_task(self._worker(samples)) for _ in range(self.spec.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        await self._settle()
        if self._held and not self._stopped:
            self._stopped = RunStopped(self._held[-1][1].message)
        if self._stopped:
            raise self._stopped

    async def _settle(self) -> None:
        """Samples whose call was not accepted are rejected for it once others of its step were."""
        held, self._held = self._held, []
        for sample, failed in held:
            if await self.calls.settle(failed):
                await self.journal.write(insert_sample(sample))
                self._count(sample)
            else:
                self._held.append((sample, failed))

    async def _worker(self, samples: Iterator[tuple[Planned, int, str]]) -> None:
        for planned, index, id in samples:
            if self._stopped:
                return
            try:
                sample = await self._sample(planned, index, id)
                if sample is not None:
                    await self.journal.write(insert_sample(sample))
                    self._count(sample)
                if self._held:
                    await self._settle()
            except OSError as error:
                self._stopped = self._stopped or RunStopped(self._unwritten(error))
                return
            except UnifiedVisualError as error:
                self._stopped = self._stopped or error
                return

    def _unwritten(self, error: OSError) -> str:
        if isinstance(error, DiskFull):
            return str(error)
        if is_disk_full(error):
            return str(disk_full(self.blobs.root, "more is"))
        return f"{self.blobs.root}: cannot be written: {reason_of(error)}; see to it, then run again: nothing is lost"

    def _count(self, sample: Finished) -> None:
        self.counts[sample.state] += 1
        self.rows.add(sample)
        self._failures_in_a_row = self._failures_in_a_row + 1 if sample.state == "failed" else 0
        if self._failures_in_a_row >= self.spec.stop_after:
            self._stopped = RunStopped(
                f"{self._failures_in_a_row} samples failed one after another, the last with {sample.reason}: "
                f"{sample.detail}; see to the server, then: generate retry, generate run"
            )
        self.on_sample(Progress(recipe=sample.recipe, state=sample.state, spent_usd=self.budget.spent))

    async def _sample(self, planned: Planned, index: int, id: str) -> Finished | None:
        """One sample, to its end; its row is journaled with pictures by hash. None = it is held until more is known."""
        name = planned.recipe.name
        try:
            times = self.redraws.get(id, 0)
            seats = self.seats.by_name
            row = await make_row(
                self.spec, planned, index, id, redraw=times, calls=self.calls, seats=seats, blobs=self.blobs
            )
        except Rejected as error:
            return Finished(id, name, index, "rejected", error.step, error.reason, error.detail, None)
        except RowError as error:
            return Finished(id, name, index, "rejected", "row", error.kind, str(error), None)
        except StepFailed as error:
            if error.error.state == "unproven":
                sample = Finished(id, name, index, "rejected", error.step, error.error.reason, error.error.detail, None)
                self._held.append((sample, error.error))
                return None
            return Finished(id, name, index, "failed", error.step, error.error.reason, error.error.detail, None)
        except (UnifiedVisualError, OSError):
            raise
        except Exception as error:
            # one sample that breaks a recipe must not end a paid run; stop_after ends one that breaks them all
            detail = f"{str(error)[:500]} ({_place_of(error, planned.recipe)})"
            return Finished(id, name, index, "failed", RECIPE_STEP, type(error).__name__, detail, None)
        return Finished(id, name, index, "ok", None, None, None, row_to_json(row))


def _place_of(error: Exception, recipe: Recipe) -> str:
    """ "file.py:12", where the recipe last was."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(recipe.folder.resolve())]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"
