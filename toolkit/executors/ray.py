"""A Ray task for each unit of a job, on the cluster of RAY_ADDRESS, or on this machine. Keys of servers must be in the
environment of the cluster's nodes.
"""

import os
import re
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import MissingExtra, UnifiedVisualError
from toolkit.executors import RESTARTS, TICK_S, Outcome, Tell, Work, WorkerDied, outcome

REACH_S = 30.0  # until a cluster takes a connection; Ray itself would ask for many minutes


def results(
    work: Work[Any], units: Sequence[int], *, workers: int, on_news: Tell, on_tick: Callable[[], None]
) -> Iterator[tuple[int, Outcome]]:
    """See `toolkit.executors.outcomes`.

    Raises:
        MissingExtra: ray is not installed. UnifiedVisualError: it does not start, or its cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    is_ours, on_sigterm = not ray.is_initialized(), signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    if is_ours:
        _start(ray)
    task, shared = ray.remote(max_retries=RESTARTS)(_from_here), ray.put(work)
    waiting, running = deque(units), dict[Any, int]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                unit = waiting.popleft()
                running[task.remote(str(Path.cwd()), shared, unit)] = unit
            done, _ = ray.wait(list(running), timeout=TICK_S)
            on_tick()
            for job in done:
                unit = running.pop(job)
                yield unit, _result(ray, job, unit)
    finally:
        for job in running:
            ray.cancel(job)
        if is_ours:
            ray.shutdown()
            # Ray leaves its own, which asks a cluster that is gone: a process forked from this one would hang where it
            # is terminated.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)


def _start(ray: Any) -> None:
    place = re.fullmatch(r"(?:ray://)?([^/]+):(\d+)", os.environ.get("RAY_ADDRESS", ""))
    try:
        if place:
            socket.create_connection((place[1].strip("[]"), int(place[2])), timeout=REACH_S).close()
        ray.init(include_dashboard=False, log_to_driver=False)
    except Exception as error:  # it raises bare ones
        where = os.environ.get("RAY_ADDRESS", "")
        what = (
            f"its cluster at RAY_ADDRESS={where!r} cannot be reached" if where else "it does not start on this machine"
        )
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        hint = (
            "is the cluster up?" if where else "a machine that is very busy takes too long; try again, or use --workers"
        )
        raise UnifiedVisualError(f"ray: {what} ({why}); {hint}") from error


def _result(ray: Any, job: Any, unit: int) -> Outcome:
    try:
        ended: Outcome = ray.get(job)
    except ray.exceptions.RayError as error:
        return Outcome(error=WorkerDied(unit, str(error).partition("\n")[0]))
    return ended


def _from_here(folder: str, work: Work[Any], unit: int) -> Outcome:
    """Paths may be relative."""
    os.chdir(folder)
    return outcome(work, unit, lambda news: None)
