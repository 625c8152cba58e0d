"""One content, sent until an answer can be read. Everything is in the journal before and after.

    turn -> reserve -> intent -> send -> body and cost -> journal

What may cost something is tried a few times only, so that nothing is paid for over and over.
"""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import DiskFull, ImageError, RunStopped, UnifiedVisualError
from toolkit.generation.calls.budget import Budget
from toolkit.generation.calls.limits import Ended, Timer, Turn
from toolkit.generation.calls.prices import cost_of, reserve_of
from toolkit.generation.calls.seats import CallFailed, Seat, journaled
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.keys import canonical
from toolkit.generation.core.protocol import (
    Adapted,
    BadRequest,
    CallError,
    Fatal,
    Refused,
    Reply,
    Request,
    Transient,
    Usage,
)
from toolkit.generation.core.texts import whole_text
from toolkit.generation.journal import Journal
from toolkit.generation.journal.tables import (
    Call,
    Statement,
    answered,
    ended,
    insert_call,
    learned,
    refused,
    sent,
    sent_again,
)
from toolkit.images import decode_image
from toolkit.staging.files import check_space

CALL_TIMEOUT_S = 600.0
BATCH_TIMEOUT_S = 26 * 3600.0  # the window of a batch, and some hours to be fetched
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
BELIEVED = 3  # sends of a content after which a server is asked again as soon as it says
LONGEST_ASKED_S = 900.0  # of what a server asks for; one that wants more is asked again
RATE_PATIENCE_S = 2 * 3600.0  # without any answer, of a server that says it is asked too often
HEARD_TRIES, UNHEARD_TRIES = 2, 3  # of one content whose answer was paid for and of no use, or was never heard of
PAID_TRIES = HEARD_TRIES + UNHEARD_TRIES - 1  # the most sends of one content that cost something
PATIENCE = 3.0
LEAST_FREE_BYTES = 64 * 2**20  # on the disk, or nothing is sent: answers of what is under way must find room
OVERLOADED = ("rate_limit", "timeout", "status_503", "status_529")


def pause_s(attempt: int, retry_after_s: float | None, draw: Callable[[], float] = random.random) -> float:
    """How long to wait before the next send: what the server asks for, else full jitter below a doubling bound; and no
    less than that where what it asked for was too little, again and again.
    """
    jitter = draw() * float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 30)))
    if retry_after_s is None:
        return jitter
    asked_s = min(retry_after_s, LONGEST_ASKED_S)
    return asked_s if attempt <= BELIEVED else max(asked_s, jitter)


def check_room(folder: Path) -> None:
    """
    Raises:
        RunStopped: the disk is nearly full.
    """
    try:
        check_space(folder, LEAST_FREE_BYTES)
    except DiskFull as error:
        raise RunStopped(str(error)) from error


class Sender:
    """All sends of one part of a run.

    Args:
        attempts: sends of one content that came to nothing and cost nothing.
        alike: samples whose calls of a step are not accepted, and no other is, before the run stops.
    """

    def __init__(self, journal: Journal, blobs: Blobs, budget: Budget, *, attempts: int, alike: int) -> None:
        self._journal, self._blobs, self._budget, self._attempts, self._alike = journal, blobs, budget, attempts, alike
        self.proven: set[tuple[str, str]] = set()  # steps of which a call was accepted
        self._unproven: dict[tuple[str, str], set[str]] = defaultdict(set)  # samples of those of which none was
        self._looked_at = -1.0  # when the disk was last found to have room
        self._written: dict[int, Mapping[str, Any]] = {}  # backend -> what it has learned, as the journal has it

    async def send(self, seat: Seat, request: Request, sample: str) -> str:
        """The response, as it is journaled.

        Args:
            request: with its key.

        Raises:
            CallFailed: for this sample. RunStopped: for all of them.
        """
        call = Call(
            *(request.key, sample, request.step, seat.role, seat.model, "intent"),
            *(journaled(request, seat.identity), None, None),
        )
        amount, begun = reserve_of(seat.price, request, seat.asked), asyncio.get_running_loop().time()
        free = heard = unheard = tries = 0
        while True:
            tries += 1
            turn = await seat.lane.enter(PATIENCE if unheard else 1.0)
            outcome: Ended = "other"
            try:
                held, number = await self._intend(seat, call, amount)
                got = await _ask(seat, request, turn)
                outcome = _outcome(got)
            finally:
                seat.lane.leave(turn, outcome)
            if isinstance(got, Reply):
                try:
                    return await self._keep(seat, request, number, held, got)
                except CallError as error:
                    got = error
            await self._note(seat, request, number, held, got)
            self._raise_final(seat, request, got, sample)
            if isinstance(got, Adapted):
                continue
            is_limit = got.problem == "rate_limit"
            heard, unheard = heard + (got.may_cost and got.is_heard), unheard + (got.may_cost and not got.is_heard)
            free += not got.may_cost and not is_limit
            if heard >= HEARD_TRIES or unheard >= UNHEARD_TRIES or free >= self._attempts:
                raise CallFailed("failed", got.problem, f"{heard + unheard + free} times; last: {got}", request.key)
            if is_limit:
                _check_patience(seat, got, begun)
            await _wait(seat, got, tries)

    def _raise_final(self, seat: Seat, request: Request, error: CallError, sample: str) -> None:
        """
        Raises:
            RunStopped, CallFailed: nothing that comes later can change it.
        """
        if isinstance(error, Fatal):
            raise RunStopped(f"{seat.role}: {seat.model}: {error}; correct the spec or the key, then run again")
        if not isinstance(error, Refused):
            return
        step = seat.step(request)
        if not isinstance(error, BadRequest) or step in self.proven:
            raise CallFailed("rejected", error.problem, error.detail, request.key)
        self._unproven[step].add(sample)
        message = (
            f"{seat.role}: {seat.model}: no call of {request.step!r} was accepted, the last with {error}; correct the "
            "spec, then run again: no sample was charged with it"
        )
        if len(self._unproven[step]) >= self._alike:
            raise RunStopped(message)
        raise CallFailed("unproven", error.problem, error.detail, request.key, step=step, message=message)

    async def _intend(self, seat: Seat, call: Call, amount: float | None) -> tuple[float, int]:
        """Reserve and journal a send: a new one, or one of a killed process whose answer is still to be had.

        Raises:
            RunStopped: the disk is nearly full, so what is paid for could be lost; or the budget is.
        """
        self._check_room()
        doubted = await self._journal.doubted(call.key) if seat.backend.holds(call.key) else None
        if doubted:
            number, booked = doubted
            held = self._budget.reserve_again(booked, amount, seat.model)
            await self._journal.write(insert_call(call), sent_again(number))
            return held, number
        held, number = self._budget.reserve(amount, seat.model), next(self._journal.numbers)
        await self._journal.write(insert_call(call), sent(number, call.key, held))
        return held, number

    def _check_room(self) -> None:
        """At most twice a second: it takes as long as all else of a call."""
        if (now := time.monotonic()) > self._looked_at + 0.5:
            self._looked_at = now
            check_room(self._journal.path.parent)

    async def _keep(self, seat: Seat, request: Request, number: int, held: float, reply: Reply) -> str:
        """Journal an answer.

        Raises:
            Transient, Refused: not a valid image.
        """
        is_drawn = request.kind in ("generate", "edit")
        pictures = [list(await asyncio.to_thread(self._put, each, is_drawn, reply)) for each in reply.pictures]
        content = {"text": whole_text(reply.text), "pictures": pictures, **({"is_cut": True} if reply.is_cut else {})}
        response, cost = canonical(content), _booked(seat, request, reply.usage, held)
        done = ended(number, "ok", raw=reply.raw, usage=reply.usage, cost=cost)
        await self._journal.write(answered(request.key, response), done, *self._lessons(seat))
        self._budget.settle(held, cost, seat.model)
        self.proven.add(seat.step(request))
        return response

    def _put(self, picture: bytes, is_drawn: bool, reply: Reply) -> Blob:
        if is_drawn:
            self._check_picture(picture, reply)
        return self._blobs.put(picture)

    def _check_picture(self, picture: bytes, reply: Reply) -> None:
        """
        Raises:
            Transient: it cannot be decoded. Refused: it shows nothing.
        """
        given: dict[str, Any] = {"raw": reply.raw, "status": 200, "usage": reply.usage}
        try:
            extrema: Any = decode_image(picture, "picture").getextrema()
        except ImageError as error:
            kept = self._blobs.put(picture).name
            raise Transient("broken_picture", detail=f"{error}; kept as {kept}", **given) from error
        if not any(high for _, high in extrema):
            why = "every pixel is black, as of numbers that overflow (try another dtype), or of a filter"
            raise Refused("black_picture", detail=why, **given)

    async def _note(self, seat: Seat, request: Request, number: int, held: float, error: CallError) -> None:
        """A send without a usable answer. Bodies that came are kept; what may have been paid for is booked: all of the
        reserve if the server does not say.
        """
        cost = _booked(seat, request, error.usage or Usage(), held) if error.may_cost else 0.0
        done = ended(
            number,
            "in_doubt" if error.may_cost and not error.is_heard else "bad",
            status=error.status,
            problem=str(error),
            raw=error.raw,
            usage=error.usage or Usage(),
            cost=cost,
        )
        is_final = isinstance(error, Refused) and (
            not isinstance(error, BadRequest) or seat.step(request) in self.proven
        )
        final = [refused(request.key, str(error))] if is_final else []
        await self._journal.write(done, *final, *self._lessons(seat))
        self._budget.settle(held, cost, seat.model)

    def _lessons(self, seat: Seat) -> list[Statement]:
        """What a backend has learned since it was last written down."""
        facts = seat.backend.learned
        if not facts or self._written.get(id(seat.backend)) is facts:
            return []
        self._written[id(seat.backend)] = facts
        return [learned(seat.identity_sha256, canonical(dict(facts)))]


def _booked(seat: Seat, request: Request, usage: Usage, held: float) -> float | None:
    """What a send is taken to have cost: the reserve if the server does not say; None = there is no price."""
    if seat.price is None:
        return None
    cost = cost_of(seat.price, usage, request)
    return held if cost is None else cost


async def _ask(seat: Seat, request: Request, turn: Turn) -> Reply | CallError:
    try:
        with Timer(turn):
            return await seat.backend.send(request)
    except asyncio.TimeoutError:
        return Transient("timeout", detail=f"no answer in {turn.allowed_s:g} s", may_cost=True)
    except CallError as error:
        return error
    except UnifiedVisualError:
        raise
    except Exception as error:  # of a backend from outside, say; what it sent may be billed
        return Transient("backend_error", detail=f"{type(error).__name__}: {error}", may_cost=True)


def _outcome(got: Reply | CallError) -> Ended:
    if isinstance(got, Reply):
        return "answered"
    return "overloaded" if got.problem in OVERLOADED else "other"


async def _wait(seat: Seat, error: CallError, tries: int) -> None:
    asked_s = error.retry_after_s if isinstance(error, Transient) else None
    if asked_s is not None:
        seat.lane.close_for(min(asked_s, LONGEST_ASKED_S), error.problem)
    await seat.lane.pause(pause_s(tries, asked_s))


def _check_patience(seat: Seat, error: CallError, begun: float) -> None:
    """
    Raises:
        RunStopped: a server has only said for hours that it is asked too often.
    """
    since_s = asyncio.get_running_loop().time() - max(begun, seat.lane.last_answer)
    hours = RATE_PATIENCE_S / 3600
    seat.lane.tell(since_s, f"no answer for {since_s:.0f} s but {error}; tried for up to {hours:g} hours")
    if since_s > RATE_PATIENCE_S:
        raise RunStopped(f"{seat.role}: {seat.model}: no answer for {hours:g} hours but {error}; run again later")
