"""Read ahead in a thread, so that inflating (which releases the GIL) overlaps with what is done with the result."""

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from functools import wraps
from typing import Generic, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from toolkit.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")

_open: WeakValueDictionary[int, Generator[object, None, None]] = WeakValueDictionary()  # by id


def closed_at_exit(make: Callable[P, Generator[T, None, None]]) -> Callable[P, Generator[T, None, None]]:
    """For a generator that has threads: one that a script leaves open is closed while its modules are still there."""

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        generator = make(*args, **kwargs)
        _open[id(generator)] = generator
        return generator

    return made


@atexit.register
def _close_open() -> None:
    for reference in _open.valuerefs():  # a list at once, whatever other threads open meanwhile
        with suppress(ValueError):  # it is running: another thread is in it
            if generator := reference():
                generator.close()


def closed_after(items: Iterator[T]) -> AbstractContextManager[object]:
    """Closes a generator at the end of the block, in the thread that reads: what it reads from may be bound to that.
    Left to the garbage collector, it is closed at any time and in any thread.
    """
    return closing(items) if isinstance(items, Generator) else nullcontext()


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


class _Reader(threading.Thread, Generic[T]):
    """The thread of one read_ahead, and what it has read. One that is nested in it, and runs in it, sees by
    `is_stopped` that nobody waits any more.
    """

    def __init__(self, items: Iterator[T], size_of: Callable[[T], int], max_bytes: int) -> None:
        super().__init__(name="read-ahead", daemon=True)
        self._items, self._size_of, self._max_bytes = items, size_of, max_bytes
        self._change = threading.Condition()
        self._waiting: deque[T] = deque()
        self._waiting_bytes = 0
        self._ended: BaseException | None = None
        self.is_stopped = False

    def run(self) -> None:
        outcome: BaseException = StopIteration()
        try:
            with closed_after(self._items):
                for item in self._items:
                    if not self._add(item):
                        return
        except BaseException as error:  # handed over, not handled
            outcome = error
        finally:
            with self._change:
                self._ended = outcome
                self._change.notify()

    def _add(self, item: T) -> bool:
        """Whether somebody still wants it."""
        with self._change:
            while self._waiting_bytes >= self._max_bytes and not self.is_stopped:
                self._change.wait()
            if not self.is_stopped:
                self._waiting.append(item)
                self._waiting_bytes += self._size_of(item)
                self._change.notify()
            return not self.is_stopped

    def take(self) -> T:
        """The next item.

        Raises:
            StopIteration: there is none; or what the items raised.
        """
        with self._change:
            while not self._waiting and self._ended is None:
                self._change.wait()
            if not self._waiting:
                assert self._ended is not None
                raise self._ended
            item = self._waiting.popleft()
            self._waiting_bytes -= self._size_of(item)
            self._change.notify()
            return item

    def stop(self) -> None:
        with self._change:
            self.is_stopped = True
            self._change.notify()
        self.join()


@closed_at_exit
def read_ahead(items: Iterator[T], *, size_of: Callable[[T], int], max_bytes: int) -> Generator[T, None, None]:
    """The same items in the same order, up to `max_bytes` of them read before they are asked for; always at least one.

    What `items` raises is raised here, in its place. Leaving early closes them, in the thread, and stops it before
    this generator's close() returns, so that what they read from can be closed; one inside it stops at its next item.
    The thread is a daemon: it never keeps a finished script alive.
    """
    process, outer = os.getpid(), threading.current_thread()
    reader = _Reader(items, size_of, max_bytes)
    reader.start()
    try:
        while True:
            if isinstance(outer, _Reader) and outer.is_stopped:
                raise _Stopped
            try:
                item = reader.take()
            except StopIteration:
                return
            yield item
            _check_process(process)
    finally:
        if os.getpid() == process:  # in one that was forked the thread is not, and the lock may be locked forever
            reader.stop()
