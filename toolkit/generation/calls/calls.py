"""The one place that calls models: cache, limits, budget, retries, one repair turn. Everything is in the journal before
and after.

    request -> key -> in the journal? -> reserve -> intent -> send -> body and cost -> parse -> (one repair) -> answer

A call is known by its content: backend, prompt, rendered text, pictures, seed. What is in the journal is never sent
again.
"""

import asyncio
import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.errors import RunStopped
from toolkit.generation.calls.budget import MAX_OUTPUT_TOKENS, Budget, Price, cost_of, reserve_of
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.keys import canonical, digest
from toolkit.generation.core.protocol import Backend, CallError, Fatal, Refused, Reply, Request, Transient, Usage
from toolkit.generation.core.replies import ReplyProblem, parse_reply
from toolkit.generation.journal import Journal
from toolkit.generation.journal.reading import blobs_in
from toolkit.generation.journal.tables import Call, answered, ended, insert_call, refused, sent, sent_again

CALL_TIMEOUT_S = 600.0
BATCH_TIMEOUT_S = 26 * 3600.0  # the window of a batch, and some hours to be fetched
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
LONGEST_ASKED_S = 900.0  # of what a server asks for; whoever wants more is asked again
LEAST_FREE_BYTES = 64 * 2**20  # on the disk, or nothing is sent: answers of what is under way must find room
REPAIR = "Your reply does not fit: {problem}. Reply again with JSON that fits the schema, and nothing else."


class CallFailed(Exception):
    """A call has no answer, after everything that may be tried.

    Args:
        state: "rejected" if the model answered but the answer is of no use, "failed" if it could not be had.
        reason: one word or two.
    """

    def __init__(self, state: str, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.state, self.reason, self.detail = state, reason, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a recipe gets: the reply by its schema, pictures, and the key under which the journal has all of it."""

    key: str
    value: dict[str, Any] = field(default_factory=dict)
    pictures: tuple[Blob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A role with the backend that plays it."""

    role: str
    identity: Mapping[str, Any]
    model: str
    backend: Backend
    price: Price | None
    max_output_tokens: int = MAX_OUTPUT_TOKENS
    timeout_s: float | None = CALL_TIMEOUT_S


def call_key(identity: Mapping[str, Any], request: Request) -> str:
    """Hash of everything an answer depends on."""
    pictures = [hashlib.sha256(image).hexdigest() for image in request.images]
    return digest(
        [
            dict(identity),
            request.kind,
            request.step,
            request.prompt_sha256,
            request.system,
            request.user,
            [list(turn) for turn in request.history],
            pictures,
            request.seed,
        ]
    )


def pause_s(attempt: int, retry_after_s: float | None, draw: Callable[[], float] = random.random) -> float:
    """How long to wait before the next send: what the server asks for, else full jitter below a doubling bound."""
    if retry_after_s is not None:
        return min(retry_after_s, LONGEST_ASKED_S)
    return draw() * float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt))


def check_room(folder: Path) -> None:
    """
    Raises:
        RunStopped: the disk is nearly full.
    """
    free = shutil.disk_usage(next(each for each in (folder, *folder.absolute().parents) if each.exists())).free
    if free < LEAST_FREE_BYTES:
        room = (
            f"{free / 2**20:.0f} MiB are left on its disk and answers need room, {LEAST_FREE_BYTES >> 20} MiB at least"
        )
        raise RunStopped(f"{folder}: {room}; free space, then run again: nothing is lost")


class CallSite:
    """All calls of one shard."""

    def __init__(self, journal: Journal, blobs: Blobs, budget: Budget, *, concurrency: int, attempts: int) -> None:
        self._journal, self._blobs, self._budget, self._attempts = journal, blobs, budget, attempts
        self._slots = asyncio.Semaphore(concurrency)
        self._open_until: dict[str, float] = {}  # model -> when its server wants to hear from us again

    async def call(self, seat: Seat, request: Request, *, sample: str) -> Answer:
        """An answer, from the journal or the model.

        Raises:
            CallFailed: for this sample. RunStopped: for all of them.
        """
        answer, text, problem = await self._answer(seat, request, sample)
        if problem is None:
            return answer
        repair = replace(request, history=(("assistant", text), ("user", REPAIR.format(problem=problem))))
        answer, _, problem = await self._answer(seat, repair, sample)
        if problem is not None:
            raise CallFailed("rejected", "wrong_schema", f"also after one repair: {problem}")
        return answer

    async def _answer(self, seat: Seat, request: Request, sample: str) -> tuple[Answer, str, str | None]:
        """The answer, its text, and what is wrong with it by its schema."""
        key = call_key(seat.identity, request)
        known = await self._journal.call(key)
        if known and known.state == "ok":
            response = known.response or "{}"
        elif known and known.state == "error":
            reason, _, detail = (known.problem or "refused").partition(": ")
            raise CallFailed("rejected", reason, detail)
        else:
            response = await self._send(seat, request, key, sample)
        content = json.loads(response)
        pictures = tuple(Blob(*found) for found in blobs_in(response))
        if request.schema is None:
            return Answer(key=key, value={"text": content["text"]}, pictures=pictures), content["text"], None
        try:
            return (
                Answer(key=key, value=parse_reply(content["text"], request.schema), pictures=pictures),
                content["text"],
                None,
            )
        except ReplyProblem as error:
            return Answer(key=key), content["text"], str(error)

    async def _send(self, seat: Seat, request: Request, key: str, sample: str) -> str:
        """Send until there is a body that can be read; returns the journaled response."""
        call = Call(
            key, sample, request.step, seat.role, seat.model, "intent", _journaled(request, seat.identity), None, None
        )
        amount = reserve_of(seat.price, request, max_output_tokens=seat.max_output_tokens)
        last: CallError = Transient("not_sent")
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(pause_s(attempt, last.retry_after_s if isinstance(last, Transient) else None))
            await self._wait_for(seat.model)
            async with self._slots:
                held, number = await self._intend(seat, call, amount)
                try:
                    reply = await asyncio.wait_for(seat.backend.send(replace(request, key=key)), seat.timeout_s)
                except asyncio.TimeoutError:
                    last = Transient("timeout", detail=f"no answer in {seat.timeout_s:g} s")
                except CallError as error:
                    last = error
                else:
                    return await self._keep(call, number, held, seat.price, reply)
            await self._note(call, number, held, seat.price, last)
            if isinstance(last, Refused):
                raise CallFailed("rejected", last.problem, last.detail)
            if isinstance(last, Fatal):
                raise RunStopped(f"{seat.role}: {seat.model}: {last}; mend the spec or the key, then run again")
            if isinstance(last, Transient) and last.retry_after_s is not None:
                self._open_until[seat.model] = time.monotonic() + min(last.retry_after_s, LONGEST_ASKED_S)
        raise CallFailed("failed", last.problem, f"{self._attempts} times; last: {last}")

    async def _intend(self, seat: Seat, call: Call, amount: float | None) -> tuple[float, int]:
        """Reserve and journal a send: a new one, or one of a killed process whose answer is still to be had.

        Raises:
            RunStopped: the disk is nearly full, so what is paid for could be lost; or the budget is.
        """
        check_room(self._journal.path.parent)
        doubted = (
            await self._journal.doubted(call.key)
            if getattr(seat.backend, "holds", lambda key: False)(call.key)
            else None
        )
        if doubted:
            number, booked = doubted
            self._budget.take_back(booked)
            held = self._budget.reserve(amount, seat.model)
            await self._journal.write(insert_call(call), sent_again(number))
            return held, number
        held, number = self._budget.reserve(amount, seat.model), next(self._journal.numbers)
        await self._journal.write(insert_call(call), sent(number, call.key, held))
        return held, number

    async def _wait_for(self, model: str) -> None:
        """A server that said when to come back said it to all calls."""
        wait = self._open_until.get(model, 0.0) - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _keep(self, call: Call, number: int, held: float, price: Price | None, reply: Reply) -> str:
        pictures = [list(await asyncio.to_thread(self._blobs.put, picture)) for picture in reply.pictures]
        response = canonical({"text": reply.text, "pictures": pictures})
        cost = cost_of(price, reply.usage)
        done = ended(number, "ok", raw=reply.raw, usage=reply.usage, cost=cost)
        await self._journal.write(answered(call.key, response), done)
        self._budget.settle(held, cost)
        return response

    async def _note(self, call: Call, number: int, held: float, price: Price | None, error: CallError) -> None:
        """A send without a usable answer. Bodies that came are kept; what may have been paid for is booked: all of the
        reserve if a 200 does not say.
        """
        was_answered = error.status == 200 or error.usage is not None
        cost = (cost_of(price, error.usage) if error.usage else (held if price else None)) if was_answered else 0.0
        usage = error.usage or Usage()
        statements = [
            ended(number, "bad", status=error.status, problem=str(error), raw=error.raw, usage=usage, cost=cost)
        ]
        if isinstance(error, Refused):
            statements.append(refused(call.key, str(error)))
        await self._journal.write(*statements)
        self._budget.settle(held, cost)


def _journaled(request: Request, identity: Mapping[str, Any]) -> str:
    """A request as `explain` shows it; pictures by their hash."""
    return canonical(
        {
            "backend": dict(identity),
            "kind": request.kind,
            "system": request.system,
            "user": request.user,
            "history": [list(turn) for turn in request.history],
            "images": [hashlib.sha256(image).hexdigest() for image in request.images],
            "schema": request.schema,
            "seed": request.seed,
        }
    )
