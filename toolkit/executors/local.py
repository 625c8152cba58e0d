"""A process for each part of a job, on this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from toolkit.executors import TICK_S, Ended, Part


def results(part: Part, count: int, on_tick: Callable[[], None]) -> Iterator[tuple[int, Ended]]:
    """(number, how it ended) of every part, as they end. At Ctrl-C they let their calls end, and go on with another
    run.
    """
    context = multiprocessing.get_context("spawn")
    pending = {}
    try:
        for number in range(count):
            receiver, sender = context.Pipe(duplex=False)
            # A daemon is told again to stop where this process ends without having waited for it: at the second Ctrl-C.
            process = context.Process(target=_work, args=(part, number, sender), daemon=True)
            process.start()
            sender.close()
            pending[receiver] = number, process
        while pending:
            done = wait(list(pending), TICK_S)
            on_tick()
            for receiver in [each for each in pending if each in done]:
                number, process = pending.pop(receiver)
                yield number, _received(receiver, process)
    finally:
        # Each by itself, so that one that had only begun, and dies of it, does not take the others along.
        for _, process in pending.values():
            process.terminate()
        for _, process in pending.values():
            process.join()


def _received(receiver: Connection, process: multiprocessing.process.BaseProcess) -> Ended:
    ended: Ended | None = None
    with receiver, suppress(EOFError):
        ended = receiver.recv()
    process.join()
    return ended or Ended(problem=f"its process was ended from outside, with code {process.exitcode}")


def _work(part: Part, number: int, sender: Connection) -> None:
    """Ctrl-C in a terminal reaches every process: the parent's own is enough. A worker whose parent is gone stops."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    try:
        ended = part(number)
    except Exception as error:
        ended = Ended(problem=f"{type(error).__name__}: {error}")
    sender.send(ended)
