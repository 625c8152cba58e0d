"""An event loop whose clock jumps to the next thing to do when there is nothing to do now: hours of waiting take no
time. Threads are waited for.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")
THREAD_S = 0.02  # real time that a thread has to answer before the clock jumps


class _Selector(selectors.DefaultSelector):
    """Waits for files and threads a little, and lets the rest of the time pass at once."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(min(THREAD_S, timeout) if timeout is not None else None)
        if not found and timeout:
            self.passed += timeout
        return found


class FastLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._fast = _Selector()
        super().__init__(self._fast)

    def time(self) -> float:
        return super().time() + self._fast.passed


def run_fast(main: Coroutine[Any, Any, Value]) -> Value:
    loop = FastLoop()
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
