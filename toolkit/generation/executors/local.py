"""A process for each shard, on this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from multiprocessing.connection import wait

from toolkit.generation.executors import TICK_S, Ended, Shard


def results(shard: Shard, count: int, on_tick: Callable[[], None]) -> Iterator[tuple[int, Ended]]:
    """(number, how it ended) of every shard, as they end. At Ctrl-C they let their calls end, and go on with another run."""
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker) as pool:
        pending = {pool.submit(shard, number): number for number in range(count)}
        try:
            while pending:
                done = wait_for(pending, timeout=TICK_S, return_when=FIRST_COMPLETED).done
                on_tick()
                for job in done:
                    number, error = pending.pop(job), job.exception()
                    yield number, Ended(problem=f"{type(error).__name__}: {error}") if error else job.result()
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _start_worker() -> None:
    """Ctrl-C in a terminal reaches every process: the parent's own is enough. A worker whose parent is gone stops."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
