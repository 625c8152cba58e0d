"""How many calls a backend gets at a time and a minute, and how long one may take.

The number under way grows while more of them get more answers a second, and is halved where the server says that it is
too much (429, 503) or answers too late. Where it queues what it is sent, more under way only wait longer, so the number
stays as small as keeps it busy.

A call may take its time from when the server can have begun with it: each answer that comes means that the server
works, and starts the clock of those that wait anew, up to a turn for each that was there before.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

_LOG = logging.getLogger(__name__)
FIRST_LIMIT = 4  # calls under way before anything is known of a server
LEAST_WINDOW = 8  # answers after which the rate is looked at
GROWS, HOLDS = 1.15, 1.05  # times as many answers a second that justify twice, or a quarter more, calls under way
CALM_WINDOWS = 4  # between two trials of a quarter more
TOLD_AFTER_S = 10.0  # of a wait that a server asks for
Ended = Literal["answered", "overloaded", "other"]


@dataclass(kw_only=True, eq=False)
class Turn:
    """A call under way.

    Attributes:
        since: when it was sent, by the loop's clock.
        allowed_s: from when the server can last have begun with it: when it was sent, or answered another.
        until: not even answers to others keep it waiting longer.
    """

    lane: "Lane"
    since: float
    allowed_s: float
    until: float
    epoch: int

    @property
    def ends(self) -> float:
        return min(max(self.since, self.lane.last_answer) + self.allowed_s, self.until)


@dataclass(kw_only=True)
class _Window:
    """Answers that are looked at together."""

    start: float
    answers: int = 0
    is_full: bool = False  # whether a call had to wait for its turn


@dataclass(kw_only=True)
class Lane:
    """All calls to one backend.

    Args:
        name: for messages.
        most: calls under way at the same time; None = no limit.
        per_minute: calls begun; None = no limit.
        adapts: whether the number is found by trying.
        timeout_s: of a call; None = no limit.
    """

    name: str
    most: int | None = None
    per_minute: float | None = None
    adapts: bool = True
    timeout_s: float | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.limit = min(FIRST_LIMIT, self.most or FIRST_LIMIT) if self.adapts else self.most
        self._under_way: set[Turn] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed_until = self._next_start = self.last_answer = 0.0
        self._epoch = self._calm = 0
        self._tell_at_s = TOLD_AFTER_S
        self._phase: Literal["doubling", "trial", "steady"] = "doubling"
        self._best = 0.0, self.limit or 1  # answers a second, and at which limit
        self._window: _Window | None = None

    async def enter(self, patience: float = 1.0) -> Turn:
        """Wait for a turn; not where the run is stopping.

        Args:
            patience: times the usual time that this call may take.
        """
        while not self.stopping.is_set():
            wait = max(self._closed_until, self._next_start) - _now()
            if wait > 0:
                await self.pause(wait)
            elif self.limit is not None and len(self._under_way) >= self.limit:
                if self._window:
                    self._window.is_full = True
                await self._queue()
            else:
                break
        now = _now()
        if self.per_minute:
            self._next_start = max(now, self._next_start) + 60 / self.per_minute
        if self._window is None:
            self._window = _Window(start=now)
        allowed_s = float("inf") if self.timeout_s is None else self.timeout_s * patience
        until = now + allowed_s * (len(self._under_way) + 1)
        turn = Turn(lane=self, since=now, allowed_s=allowed_s, until=until, epoch=self._epoch)
        self._under_way.add(turn)
        return turn

    async def _queue(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def pause(self, seconds: float) -> None:
        """Sleep, but not longer than the run goes on."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def leave(self, turn: Turn, ended: Ended) -> None:
        """A call is no longer under way."""
        self._under_way.discard(turn)
        if ended == "answered":
            self.last_answer = _now()
            if self.adapts:
                self._look()
        elif ended == "overloaded" and self.adapts and turn.epoch == self._epoch:
            self._epoch += 1  # those under way with it say nothing new
            self.limit = max(1, (self.limit or 1) // 2)
            self._phase, self._calm, self._window = "steady", 0, None
        self._wake()

    def close_for(self, seconds: float, why: str) -> None:
        """The server wants no call for a while, and tells it to all."""
        until = _now() + seconds
        if until > self._closed_until:
            if seconds > TOLD_AFTER_S and until > self._closed_until + 1:
                _LOG.warning("%s: waiting %.0f s, as its server asks (%s)", self.name, seconds, why)
            self._closed_until = until

    def tell(self, waited_s: float, message: str) -> None:
        """Say what is waited for, after a while, and then ever more seldom."""
        if waited_s < TOLD_AFTER_S:
            self._tell_at_s = TOLD_AFTER_S
        elif waited_s >= self._tell_at_s:
            _LOG.warning("%s: %s", self.name, message)
            self._tell_at_s = 3 * waited_s

    def stop(self) -> None:
        """Nobody waits for a turn any longer."""
        self.stopping.set()
        while self._waiting:
            self._wake()

    def _look(self) -> None:
        """After a window of answers: more, fewer, or as many calls under way."""
        window, limit = self._window, self.limit or 1
        if window is None:
            return
        window.answers += 1
        if window.answers < max(limit, LEAST_WINDOW):
            return
        now = _now()
        if window.is_full:
            self.limit = self._next_limit(window.answers / max(now - window.start, 1e-9), limit)
        self._window = _Window(start=now)
        for _ in range((self.limit or 1) - limit):
            self._wake()

    def _next_limit(self, rate: float, limit: int) -> int:
        """
        Args:
            rate: answers a second, at this limit.
        """
        most = self.most or 1_000_000
        before, best_limit = self._best
        if self._phase == "steady":
            self._calm, self._best = self._calm + 1, (rate, limit)
            if self._calm < CALM_WINDOWS or limit >= most:
                return limit
            self._phase, self._calm = "trial", 0
        elif rate > before * (GROWS if self._phase == "doubling" else HOLDS):
            self._best = rate, limit
        else:
            self._phase = "steady"
            return best_limit
        return min(most, limit * 2 if self._phase == "doubling" else limit + max(1, limit // 4))


class Timer:
    """Ends its block with asyncio.TimeoutError when a call has had its time."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._handle: asyncio.TimerHandle | None = None
        self._has_rung = False

    def __enter__(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._turn.allowed_s < float("inf"):
            self._handle = self._loop.call_at(self._turn.ends, self._ring)

    def _ring(self) -> None:
        if self._turn.ends > self._loop.time() + 1e-3:
            self._handle = self._loop.call_at(self._turn.ends, self._ring)
        elif self._task:
            self._has_rung = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle:
            self._handle.cancel()
        if self._has_rung and self._task:
            uncancel: Callable[[], int] = getattr(self._task, "uncancel", lambda: 0)  # since Python 3.11
            if uncancel() == 0 and kind is asyncio.CancelledError:
                raise asyncio.TimeoutError from error


def _now() -> float:
    return asyncio.get_running_loop().time()
