"""Ctrl-C, and the SIGTERM of a scheduler: at the first, calls under way end, so that none is paid twice; at the second,
all stops at once.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolkit.errors import RunStopped

_LOG = logging.getLogger(__name__)


class Interrupted(RunStopped):
    """
    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__("interrupted; calls under way were waited for; run the same command again to resume")
        self.exit_code = 128 + number  # as shells have it: 130 for Ctrl-C


@contextmanager
def draining(stop: Callable[[RunStopped], None]) -> Iterator[None]:
    """Call `stop` at the first signal, within the running loop; after that, signals do what they did before.

    Signals that are ignored stay so, and only a main thread can hear any.
    """
    loop, before = asyncio.get_running_loop(), {}
    if threading.current_thread() is threading.main_thread():
        before = {
            number: handler
            for number in (signal.SIGINT, signal.SIGTERM)
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN
        }

    def restore() -> None:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

    def first(number: int) -> None:
        restore()
        _LOG.warning("interrupted: waiting for the calls under way; once more stops at once")
        stop(Interrupted(number))

    for number in before:
        loop.add_signal_handler(number, first, number)
    try:
        yield
    finally:
        restore()
