"""A Ray task for each part of a job, on the cluster of RAY_ADDRESS, or on this machine. Keys of servers must be in the
environment of the cluster's nodes.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from toolkit.errors import MissingExtra
from toolkit.executors import TICK_S, Ended, Part


def results(part: Part, count: int, on_tick: Callable[[], None]) -> Iterator[tuple[int, Ended]]:
    """(number, how it ended) of every part, as they end. No task is tried again by Ray: the next run goes on with what
    is missing.

    Raises:
        MissingExtra: ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error
    is_ours, on_sigterm = not ray.is_initialized(), signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    if is_ours:
        ray.init(include_dashboard=False, log_to_driver=False)
    task = ray.remote(max_retries=0)(_from_here)
    pending = {task.remote(str(Path.cwd()), part, number): number for number in range(count)}
    try:
        while pending:
            done, _ = ray.wait(list(pending), timeout=TICK_S)
            on_tick()
            for job in done:
                number = pending.pop(job)
                try:
                    yield number, ray.get(job)
                except ray.exceptions.RayError as error:
                    yield number, Ended(problem=str(error).partition("\n")[0])
    finally:
        for job in pending:
            ray.cancel(job)
        if is_ours:
            ray.shutdown()
            # Ray leaves its own, which asks a cluster that is gone: a process forked from this one would hang where it
            # is terminated.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, on_sigterm)


def _from_here(folder: str, part: Part, number: int) -> Ended:
    """Paths in a spec may be relative."""
    os.chdir(folder)
    return part(number)
