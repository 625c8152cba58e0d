"""How many calls a server gets, and how long one may take; hours of it, by a clock that jumps."""

import asyncio
import logging

import pytest

from tests.fast_clock import run_fast
from toolkit.generation.calls.limits import FIRST_LIMIT, Lane, Timer


class Server:
    """Takes `calls` at a time for `seconds` each, in the order in which they come; refuses more than `most` waiting."""

    def __init__(self, seconds, *, calls=1, most=10**9):
        self.seconds, self.most, self.slots = seconds, most, asyncio.Semaphore(calls)
        self.begun = self.waiting = self.longest = self.refused = 0

    async def answer(self):
        if self.waiting >= self.most:
            self.refused += 1
            return False
        self.waiting += 1
        self.longest = max(self.longest, self.waiting)
        try:
            async with self.slots:
                self.begun += 1
                await asyncio.sleep(self.seconds)
        finally:
            self.waiting -= 1
        return True


async def send_all(lane, server, count, workers):
    """How many calls were answered and how many timed out."""
    left, ended = iter(range(count)), {"answered": 0, "timeout": 0}

    async def worker():
        for _ in left:
            is_answered = False
            while not is_answered:
                turn = await lane.enter()
                outcome = "other"
                try:
                    with Timer(turn):
                        is_answered = await server.answer()
                    outcome = "answered" if is_answered else "overloaded"
                except asyncio.TimeoutError:
                    ended["timeout"] += 1
                    outcome = "overloaded"
                    break
                finally:
                    lane.leave(turn, outcome)
            ended["answered"] += is_answered

    await asyncio.gather(*(worker() for _ in range(workers)))
    return ended


def test_a_server_that_draws_one_after_another_for_30_s_draws_none_twice():
    async def main():
        server = Server(30.0)
        ended = await send_all(Lane(name="m", most=24, timeout_s=60.0), server, 96, 24)
        return ended, server

    ended, server = run_fast(main())
    assert (ended, server.begun) == ({"answered": 96, "timeout": 0}, 96)
    assert server.longest <= 2 * FIRST_LIMIT  # more would only wait


def test_a_server_that_works_for_others_is_not_late():
    """All 24 at once, of which the last waits 12 minutes for its turn."""

    async def main():
        return await send_all(Lane(name="m", most=24, adapts=False, timeout_s=60.0), Server(30.0), 24, 24)

    assert run_fast(main()) == {"answered": 24, "timeout": 0}


def test_a_server_that_never_answers_is_late():
    async def main():
        loop = asyncio.get_running_loop()
        started = loop.time()
        ended = await send_all(Lane(name="m", most=3, adapts=False, timeout_s=60.0), Server(10**6), 3, 3)
        return ended, loop.time() - started

    ended, seconds = run_fast(main())
    assert ended == {"answered": 0, "timeout": 3}
    assert 59 < seconds < 70


def test_one_lost_call_does_not_wait_for_ever_while_others_are_answered():
    async def main():
        lane = Lane(name="m", adapts=False, timeout_s=60.0)
        lost = await lane.enter()

        async def others():
            while True:
                turn = await lane.enter()
                await asyncio.sleep(10)
                lane.leave(turn, "answered")

        task = asyncio.create_task(others())
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(asyncio.TimeoutError), Timer(lost):
            await asyncio.sleep(10**6)
        task.cancel()
        return loop.time() - started

    assert 59 < run_fast(main()) < 70  # nothing was before it, so it had one turn


def test_a_server_of_many_gets_many():
    async def main():
        server = Server(1.0, calls=64)
        lane = Lane(name="m", most=64)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await send_all(lane, server, 2_000, 64)
        return lane.limit, loop.time() - started

    limit, seconds = run_fast(main())
    assert limit >= 48
    assert seconds < 2_000 / 64 * 1.5  # all of them would take 31 s


def test_a_server_that_is_asked_too_often_gets_fewer():
    async def main():
        server = Server(1.0, calls=4, most=6)
        lane = Lane(name="m", most=64)
        ended = await send_all(lane, server, 400, 64)
        return ended["answered"], server.refused

    answered, refused = run_fast(main())
    assert answered == 400
    assert refused < 100


def test_requests_a_minute_are_begun_evenly():
    async def main():
        lane, loop = Lane(name="m", per_minute=30, most=64), asyncio.get_running_loop()
        started = loop.time()
        await send_all(lane, Server(0.1, calls=64), 31, 64)
        return loop.time() - started

    assert 60 <= run_fast(main()) < 62


def test_a_wait_that_a_server_asks_for_holds_all_and_is_said(caplog):
    async def main():
        lane, loop = Lane(name="m", adapts=False), asyncio.get_running_loop()
        started = loop.time()
        lane.close_for(300, "rate_limit")
        await asyncio.gather(lane.enter(), lane.enter())
        return loop.time() - started

    with caplog.at_level(logging.WARNING):
        assert 300 <= run_fast(main()) < 301
    assert caplog.messages == ["m: waiting 300 s, as its server asks (rate_limit)"]


def test_a_server_that_is_waited_for_is_told_of_ever_more_seldom(caplog):
    lane = Lane(name="m")
    with caplog.at_level(logging.WARNING):
        for waited_s in (1, 9, 11, 20, 32, 34, 40, 110, 5, 12):  # after the last answer, which came before the 5
            lane.tell(waited_s, f"{waited_s} s")
    assert caplog.messages == ["m: 11 s", "m: 34 s", "m: 110 s", "m: 12 s"]


def test_who_waits_is_let_go_when_the_run_stops():
    async def main():
        lane = Lane(name="m", most=1, adapts=False)
        await lane.enter()
        lane.close_for(10**6, "rate_limit")
        waiting = [asyncio.create_task(lane.enter()) for _ in range(3)]
        await asyncio.sleep(1)
        lane.stop()
        await asyncio.wait_for(asyncio.gather(*waiting), 1)

    run_fast(main())


def test_an_end_from_outside_is_not_a_timeout():
    async def main():
        async def work():
            with Timer(await Lane(name="m", timeout_s=60.0).enter()):
                await asyncio.sleep(10**6)

        task = asyncio.create_task(work())
        await asyncio.sleep(1)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run_fast(main())
