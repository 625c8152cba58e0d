"""Read ahead in a thread, so that inflating (which releases the GIL) overlaps with what is done with the result."""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from toolkit.errors import UsageError

T = TypeVar("T")


def in_one_process(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items. A process that was forked meanwhile has none of the threads that make them, and its place in
    their files is that of the other.

    Raises:
        UsageError: asked for more in such a process.
    """
    process = os.getpid()
    for item in items:
        yield item
        _check_process(process)


def _check_process(process: int) -> None:
    if os.getpid() != process:
        raise UsageError(
            "the process was forked in the middle of an iteration; begin another iteration in the new process"
        )


class _Stopped(BaseException):
    """Raised where a reader waits whose own reader is gone."""


class _Reader(threading.Thread):
    """The thread of one read_ahead. One that is nested in it, and runs in it, sees here that nobody waits any more."""

    is_stopped = False


def read_ahead(items: Iterator[T], *, size_of: Callable[[T], int], max_bytes: int) -> Generator[T, None, None]:
    """The same items in the same order, up to `max_bytes` of them read before they are asked for; always at least one.

    What `items` raises is raised here, in its place. Leaving early stops the thread before this generator's close()
    returns, so that what it reads from can be closed; one inside it stops at its next item. The thread is a daemon: it
    never keeps a finished script alive.
    """
    change = threading.Condition()
    waiting: deque[T] = deque()
    waiting_bytes = 0
    ended: BaseException | None = None
    stopped = False

    def fill() -> None:
        nonlocal waiting_bytes, ended
        outcome: BaseException = StopIteration()
        try:
            for item in items:
                with change:
                    while waiting_bytes >= max_bytes and not stopped:
                        change.wait()
                    if stopped:
                        return
                    waiting.append(item)
                    waiting_bytes += size_of(item)
                    change.notify()
        except BaseException as error:  # handed over, not handled
            outcome = error
        finally:
            with change:
                ended = outcome
                change.notify()

    process = os.getpid()
    thread = _Reader(target=fill, name="read-ahead", daemon=True)
    outer = threading.current_thread()
    thread.start()
    try:
        while True:
            if isinstance(outer, _Reader) and outer.is_stopped:
                raise _Stopped
            with change:
                while not waiting and ended is None:
                    change.wait()
                if not waiting:
                    break
                item = waiting.popleft()
                waiting_bytes -= size_of(item)
                change.notify()
            yield item
            _check_process(process)
        if ended is not None and not isinstance(ended, StopIteration):
            raise ended
    finally:
        if os.getpid() == process:  # in one that was forked the thread is not, and the lock may be for ever closed
            with change:
                stopped = thread.is_stopped = True
                change.notify()
            thread.join()
