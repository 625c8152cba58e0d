"""Work on items in threads, results in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from toolkit.sources.ahead import closed_at_exit

A = TypeVar("A")
B = TypeVar("B")


@closed_at_exit
def in_threads(function: Callable[[A], B], items: Iterable[A], threads: int) -> Generator[B, None, None]:
    """`map`, on twice as many items at a time as there are threads; one thread is the caller's own."""
    if threads <= 1:
        yield from map(function, items)
        return
    remaining = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting: deque[Future[B]] = deque(pool.submit(function, item) for item in islice(remaining, 2 * threads))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
