"""Several processes of this machine. They end with their parent."""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from toolkit.executors import RESTARTS, TICK_S, Outcome, Tell, Work, WorkerDied, outcome

THREADS = "OMP_NUM_THREADS"  # which torch and numpy read when they are imported
LAST_S = 10.0  # for a worker without a unit to end by itself


def results(
    work: Work[Any], units: Sequence[int], *, workers: int, on_news: Tell, on_tick: Callable[[], None]
) -> Iterator[tuple[int, Outcome]]:
    """See `toolkit.executors.outcomes`. At Ctrl-C workers get SIGTERM, and are waited for."""
    waiting, deaths, crew = deque(units), Counter[int](), list[_Worker]()
    try:
        while waiting or any(worker.unit is not None for worker in crew):
            _begin(waiting, crew, work, workers)
            ready = wait([worker.connection for worker in crew], TICK_S)
            for worker in [worker for worker in crew if worker.connection in ready]:
                message, unit = worker.receive(), worker.unit
                if message is _DEAD:
                    crew.remove(worker)
                    if given_up := _bury(worker, deaths, waiting):
                        yield given_up
                elif isinstance(message, Outcome) and unit is not None:
                    worker.unit = None
                    yield unit, message
                else:
                    on_news(message)
                    continue
                on_tick()
            if not ready:
                on_tick()
    finally:
        # Each by itself, so that one that had only begun, and dies of it, does not take the others along.
        for worker in crew:
            worker.dismiss()
        for worker in crew:
            worker.join()


_DEAD = object()


class _Worker:
    """A process, and the unit it is at."""

    def __init__(self, work: Work[Any], threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy the locks of threads that Arrow has started
        self.unit: int | None = None
        self.connection, theirs = context.Pipe()
        # A daemon is told again to stop where this process ends without having waited for it: at the second Ctrl-C.
        self.process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        with _no_interrupts(), _threads_each(threads):  # SIGINT: which its imports would meet before it can ignore it
            self.process.start()
        theirs.close()

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a message
            return _DEAD

    def dismiss(self) -> None:
        """Let it end by itself, which removes what its libraries share, or stop it where it is at work."""
        if self.unit is not None:
            self.process.terminate()
        with suppress(OSError):
            self.connection.send(None)
        self.connection.close()  # for one that outlives SIGTERM to end its calls, and then looks for a unit

    def join(self) -> None:
        if self.unit is None:
            self.process.join(LAST_S)
            self.process.terminate()
        self.process.join()


def _begin(waiting: deque[int], crew: list[_Worker], work: Work[Any], workers: int) -> None:
    """Hand units to workers that have none, and start those that are wanted."""
    while len(crew) < workers and len(waiting) > sum(worker.unit is None for worker in crew):
        crew.append(_Worker(work, max(1, (os.cpu_count() or 1) // workers)))
    for worker in crew:
        if worker.unit is None and waiting:
            worker.unit = waiting.popleft()
            with suppress(OSError):  # it is dead, which its end of the connection says too
                worker.connection.send(worker.unit)


def _bury(worker: _Worker, deaths: Counter[int], waiting: deque[int]) -> tuple[int, Outcome] | None:
    """Put the unit of a dead worker back, or give it up."""
    worker.process.join()
    worker.connection.close()
    if worker.unit is None:
        return None
    deaths[worker.unit] += 1
    if deaths[worker.unit] > RESTARTS:
        return worker.unit, Outcome(error=WorkerDied(worker.unit, _why(worker.process.exitcode or 0)))
    waiting.appendleft(worker.unit)
    return None


@contextmanager
def _threads_each(threads: int) -> Iterator[None]:
    """Processes that are started inside use so many threads for a computation: several that each took all cores would
    wait for one another, at three times the CPU time.
    """
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(threads)
    try:
        yield
    finally:
        del os.environ[THREADS]


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """SIGINT waits until the end of the block; a process that is started inside it never gets one."""
    resource_tracker.ensure_running()  # which the first process would start, and with that let SIGINT through
    came: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()  # where handlers run, whatever thread is told
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number)) if is_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which processes inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _why(code: int) -> str:
    if code < 0:
        return f"the last was killed by {signal.Signals(-code).name}; is there memory enough?"
    return (
        f"the last ended with code {code}; see what it printed (a script that starts workers does so under "
        "`if __name__ == '__main__':`)"
    )


def _serve(work: Work[Any], connection: Connection) -> None:
    """Ctrl-C in a terminal reaches every process: the parent's own is enough."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    turn = threading.Lock()

    def send(message: Any) -> None:
        with turn:  # a unit may tell from several threads
            connection.send(message)

    with suppress(EOFError, OSError):  # nobody listens any more
        while (unit := connection.recv()) is not None:
            send(outcome(work, unit, send))


def _end_with_parent() -> None:
    """Nobody would take the result of a worker whose parent is gone, and a second run may already be at work."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
