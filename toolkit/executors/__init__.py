"""Units of a job, each somewhere else: here, in processes, on a cluster. Knows jobs, not what they do.

local    in this process, or in several of this machine
ray      tasks on the cluster of RAY_ADDRESS, or on this machine
slurm    a script: an array whose jobs each do a part of the units

A unit is done by one worker and may be begun again by another, after the first died; what it writes must allow for
that. All workers write to one folder, which every machine must see.
"""

import pickle
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from toolkit.errors import UnifiedVisualError
from toolkit.registry import Registry

EXECUTORS = Registry("executors", {"local": "toolkit.executors.local:results", "ray": "toolkit.executors.ray:results"})
RESTARTS = 2  # of a unit whose worker died
TICK_S = 2.0  # between two looks at what is done, for progress

T = TypeVar("T")
Tell = Callable[[Any], None]
Work = Callable[[int, Tell], T]  # (number of a unit, to be called with news of it) -> its result


def run(
    work: Work[T],
    units: Sequence[int],
    *,
    executor: str = "local",
    workers: int = 1,
    on_news: Tell = lambda news: None,
    on_tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, T]]:
    """(unit, its result) of every unit, as they end.

    Args:
        work: must pickle, but for one local worker, which is this process.
        units: begun in this order.
        executor: of EXECUTORS, or "module:NAME".
        workers: units that are done at the same time.
        on_news: called with what a unit tells of itself; never by Ray.
        on_tick: called now and then.

    Raises:
        What the first unit to fail raises; units under way are stopped.
        UnknownName: no such executor. WorkerDied: on one unit, again and again.
    """
    if executor == "local" and min(workers, len(units)) <= 1:
        EXECUTORS.check(executor)
        for unit in units:
            yield unit, work(unit, on_news)
            on_tick()
        return
    ended = outcomes(work, units, executor=executor, workers=workers, on_news=on_news, on_tick=on_tick)
    with closing(ended):
        for unit, each in ended:
            yield unit, each.get()


def outcomes(
    work: Work[Any],
    units: Sequence[int],
    *,
    executor: str = "local",
    workers: int = 1,
    on_news: Tell = lambda news: None,
    on_tick: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, "Outcome"], None, None]:
    """As `run`, always in other processes; the others go on when a unit fails."""
    yield from EXECUTORS.load(executor)(work, units, workers=workers, on_news=on_news, on_tick=on_tick)


class WorkerDied(UnifiedVisualError):
    def __init__(self, unit: int, why: str) -> None:
        super().__init__(
            f"a worker died {RESTARTS + 1} times on unit {unit} of the job: {why}; run the same command again to resume"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a unit, on its way to another process."""

    result: Any = None
    error: BaseException | None = None
    trace: str = ""

    def get(self) -> Any:
        """
        Raises:
            What the unit raised, caused by a text of the place.
        """
        if self.error is not None:
            raise self.error from (_Elsewhere(self.trace) if self.trace else None)
        return self.result


def outcome(work: Work[Any], unit: int, tell: Tell) -> Outcome:
    """Do a unit; an error that does not survive pickling becomes one of words."""
    try:
        return Outcome(result=work(unit, tell))
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = UnifiedVisualError(f"{type(error).__name__}: {error}")
        return Outcome(error=error.with_traceback(None), trace=trace)


class _Elsewhere(Exception):
    """Where a worker failed."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"
