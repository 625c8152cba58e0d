"""One shard of a run: spec -> samples -> recipes -> journal. Killed at any moment, the same command goes on where it
was.

What is there is never made again: finished samples by their id, answered calls by their content. What was under way
when a process was killed may be paid twice, at most one call per worker and kill, and is shown as in doubt.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import RowError, RunStopped, UnifiedVisualError
from toolkit.generation.backends import get_backend, open_backend
from toolkit.generation.calls.budget import MAX_OUTPUT_TOKENS, Budget, Price
from toolkit.generation.calls.calls import BATCH_TIMEOUT_S, CALL_TIMEOUT_S, CallSite, Seat, check_room
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.keys import canonical, digest, number_of
from toolkit.generation.core.protocol import Backend
from toolkit.generation.core.spec import BackendSpec, RunSpec
from toolkit.generation.journal import Finished, Journal, finished, insert_sample, journal_paths
from toolkit.generation.journal.reading import redraws, spent
from toolkit.generation.recipes.recipe import Context, Made, Rejected, StepFailed, to_row
from toolkit.generation.recipes.safety import safety_of
from toolkit.generation.runs.interrupts import draining
from toolkit.generation.runs.lock import lock
from toolkit.generation.runs.plans import Planned, agree, plan, price_for
from toolkit.schema import Row
from toolkit.staging.files import sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Told after every sample."""

    recipe: str
    state: str
    spent_usd: float


RECIPE_STEP = "recipe"  # where a sample failed that broke its recipe

OnSample = Callable[[Progress], None]
OpenBackend = Callable[[str, Mapping[str, Any]], Backend]


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
    check_room(folder)
    agree(folder, {each.recipe.name: each.key for each in planned}, fork=fork)
    name = f"{shard[0]:03d}-of-{shard[1]:03d}"
    with lock(folder / "shards" / name):
        sweep(folder)  # what killed processes left half written
        return asyncio.run(
            _run(spec, planned, folder, shard, folder / "shards" / name / "journal.sqlite3", replay, on_sample)
        )


def seats_for(spec: RunSpec, planned: list[Planned], folder: Path, replay: Path | None) -> dict[str, Seat]:
    """Role -> who plays it; a backend that plays several roles is opened once. What is replayed costs nothing."""
    open_with = _opener(spec, folder, replay)
    seats: dict[str, Seat] = {}
    opened: dict[str, Backend] = {}
    for role in sorted({role for each in planned for role in each.seats}):
        backend = spec.backend(role)
        name = canonical([backend.kind, dict(backend.options)])
        if name not in opened:
            opened[name] = open_with(role)
        params = backend.options.get("params") or {}
        seats[role] = Seat(
            role=role,
            identity=backend.identity(),
            model=backend.model,
            backend=opened[name],
            price=Price() if replay else price_for(spec, backend),
            max_output_tokens=int(params.get("max_tokens") or params.get("max_completion_tokens") or MAX_OUTPUT_TOKENS),
            timeout_s=_timeout_s(backend),
        )
    return seats


def _timeout_s(backend: BackendSpec) -> float | None:
    """How long a call may take; None = as long as it does: models of this process answer one call after another, so
    waiting says nothing.
    """
    if backend.is_batch:
        return BATCH_TIMEOUT_S
    asked = backend.options.get("timeout_s", None if get_backend(backend).is_free else CALL_TIMEOUT_S)
    return None if asked is None else float(asked)


async def _run(
    spec: RunSpec,
    planned: list[Planned],
    folder: Path,
    shard: tuple[int, int],
    path: Path,
    replay: Path | None,
    on_sample: OnSample,
) -> Counter[str]:
    seats = seats_for(spec, planned, path.parent, replay)
    journal, blobs = Journal(path), Blobs(folder / "blobs")
    budget = Budget(_share(spec, folder, shard[1]), spent=spent(path))
    calls = CallSite(journal, blobs, budget, concurrency=spec.concurrency, attempts=1 if replay else spec.attempts)
    again = redraws(replay or folder)
    work = _Work(
        spec=spec,
        journal=journal,
        blobs=blobs,
        calls=calls,
        seats=seats,
        budget=budget,
        redraws=again,
        on_sample=on_sample,
    )
    try:
        with draining(work.stop):
            await work.all(_pending(planned, folder, shard))
    finally:
        journal.close()
        for backend in {id(seat.backend): seat.backend for seat in seats.values()}.values():
            await backend.close()
    return work.counts


def _share(spec: RunSpec, folder: Path, num_shards: int) -> float | None:
    """Of the cap, for one of N shards; what runs with another N have spent is gone."""
    elsewhere = sum(
        spent(path) for path in journal_paths(folder) if not path.parent.name.endswith(f"-of-{num_shards:03d}")
    )
    return None if spec.max_usd is None else max(0.0, spec.max_usd - elsewhere) / num_shards


def _opener(spec: RunSpec, folder: Path, replay: Path | None) -> Callable[[str], Backend]:
    if replay is None:
        return lambda role: open_backend(spec.backend(role), folder)
    from toolkit.generation.calls.replay import Replay

    return lambda role: Replay(replay, spec.backend(role).identity())


def _pending(planned: list[Planned], folder: Path, shard: tuple[int, int]) -> Iterator[tuple[Planned, int, str]]:
    for each in planned:
        done = {sample.id for sample in finished(folder, each.recipe.name)}
        for index in range(each.n):
            if (id := each.id(index)) not in done and number_of(id, shard[1]) == shard[0]:
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
    seats: dict[str, Seat]
    budget: Budget
    redraws: Mapping[str, int]
    on_sample: OnSample

    def __post_init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._stopped: UnifiedVisualError | None = None
        self._failures_in_a_row = 0

    def stop(self, error: RunStopped) -> None:
        """No further call is sent, no further sample begun."""
        self._stopped = self.budget.closed = self._stopped or error  # type: ignore[assignment]

    async def all(self, samples: Iterator[tuple[Planned, int, str]]) -> None:
        workers = [asyncio.create_task(self._worker(samples)) for _ in range(self.spec.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        if self._stopped:
            raise self._stopped

    async def _worker(self, samples: Iterator[tuple[Planned, int, str]]) -> None:
        for planned, index, id in samples:
            if self._stopped:
                return
            try:
                sample = await self._sample(planned, index, id)
                await self.journal.write(insert_sample(sample))
            except OSError as error:
                self._stopped = self._stopped or RunStopped(
                    f"{self.blobs.root}: cannot be written: {error}; free space, then run again: nothing is lost"
                )
                return
            except UnifiedVisualError as error:
                self._stopped = self._stopped or error
                return
            self._count(sample)

    def _count(self, sample: Finished) -> None:
        self.counts[sample.state] += 1
        self._failures_in_a_row = self._failures_in_a_row + 1 if sample.state == "failed" else 0
        if self._failures_in_a_row >= self.spec.stop_after:
            self._stopped = RunStopped(
                f"{self._failures_in_a_row} samples failed one after another, the last with {sample.reason}: "
                f"{sample.detail}; "
                "see to the server, then: generate retry, generate run"
            )
        self.on_sample(Progress(recipe=sample.recipe, state=sample.state, spent_usd=self.budget.spent))

    async def _sample(self, planned: Planned, index: int, id: str) -> Finished:
        """One sample, to its end; its row is journaled with pictures by hash."""
        name = planned.recipe.name
        try:
            times = self.redraws.get(id, 0)
            row = await make_row(
                self.spec, planned, index, id, redraw=times, calls=self.calls, seats=self.seats, blobs=self.blobs
            )
        except Rejected as error:
            return Finished(id, name, index, "rejected", error.step, error.reason, error.detail, None)
        except RowError as error:
            return Finished(id, name, index, "rejected", "row", error.kind, str(error), None)
        except StepFailed as error:
            return Finished(id, name, index, "failed", error.step, error.error.reason, error.error.detail, None)
        except (UnifiedVisualError, OSError):
            raise
        except Exception as error:
            # one sample that breaks a recipe must not end a paid run; stop_after ends one that breaks them all
            return Finished(id, name, index, "failed", RECIPE_STEP, type(error).__name__, str(error)[:500], None)
        return Finished(id, name, index, "ok", None, None, None, row_to_json(row))


async def make_row(
    spec: RunSpec,
    planned: Planned,
    index: int,
    id: str,
    *,
    redraw: int,
    calls: CallSite,
    seats: Mapping[str, Seat],
    blobs: Blobs,
) -> Row:
    """
    Args:
        redraw: how often the sample was put back to be made anew; each time it has a seed of its own, and so scenes,
            prompts and calls of its own.

    Raises:
        Rejected, RowError: the sample is no good. StepFailed: it could not be finished.
    """
    seed = number_of(digest([spec.seed, "redraw", redraw]), 2**31) if redraw else spec.seed
    record = await asyncio.to_thread(planned.records.read, index, seed)
    context = Context(
        recipe=planned.recipe,
        prompts=planned.prompts,
        sample=id,
        index=index,
        seed=seed,
        record=record,
        options=planned.options,
        calls=calls,
        seats=seats,
        blobs=blobs,
    )
    made: Made = await planned.recipe.make(context)
    return to_row(context, made, is_procedural=spec.is_procedural, safety=await safety_of(context, made))


def run_one(spec: RunSpec, planned: Planned, index: int, folder: Path, *, replay: Path) -> Row:
    """One sample, made from the journals of a run, in a folder of its own.

    Raises:
        RunStopped: an answer it needs is not there.
    """

    async def one() -> Row:
        seats = seats_for(spec, [planned], folder, replay)
        journal, blobs = Journal(folder / "journal.sqlite3"), Blobs(folder / "blobs")
        calls = CallSite(journal, blobs, Budget(None), concurrency=1, attempts=1)
        id = planned.id(index)
        try:
            return await make_row(
                spec, planned, index, id, redraw=redraws(replay).get(id, 0), calls=calls, seats=seats, blobs=blobs
            )
        except (Rejected, StepFailed) as error:
            raise RunStopped(f"{planned.recipe.name}: sample {index}: {error}") from error
        finally:
            journal.close()
            for seat in seats.values():
                await seat.backend.close()

    return asyncio.run(one())


def row_to_json(row: Row) -> str:
    """A row as the journal holds it: pictures by their hash, in `provenance`."""
    return canonical({**row.to_dict(), "images": [image.path for image in row.images]})


def row_from_json(text: str, blobs: Blobs) -> Row:
    columns = json.loads(text)
    shas = json.loads(columns["provenance"])["images_sha256"]
    images = []
    for path, sha256 in zip(columns["images"], shas, strict=True):
        suffix = path.rpartition(".")[2]
        images.append({"path": path, "bytes": blobs.read(Blob(sha256, "" if suffix == "bin" else suffix))})
    return Row.from_dict({**columns, "images": images})
