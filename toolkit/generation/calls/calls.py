"""The one place that calls models: what is in the journal is never sent again; a reply that is cut or does not fit its
schema is asked for once more.

    request -> key -> in the journal? -> send -> parse -> (once more with more room) -> (one repair) -> answer

A call is known by its content: backend, prompt, rendered text, pictures, seed.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.generation.calls.budget import Budget
from toolkit.generation.calls.prices import BYTES_PER_TOKEN
from toolkit.generation.calls.seats import CallFailed, Seat, call_key
from toolkit.generation.calls.sending import Sender
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.protocol import Request
from toolkit.generation.core.replies import ReplyProblem, parse_reply
from toolkit.generation.journal import Journal
from toolkit.generation.journal.reading import blobs_in
from toolkit.generation.journal.tables import refused

RAISED = 2  # times as many output tokens, once, for a reply that was cut
REPAIR = "Your reply does not fit: {problem}. Reply again with JSON that fits this schema, and nothing else: {schema}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a recipe gets: the reply by its schema, pictures, and the key under which the journal has all of it."""

    key: str
    value: dict[str, Any] = field(default_factory=dict)
    pictures: tuple[Blob, ...] = ()


@dataclass(slots=True)
class _Read:
    """A journaled response, read by its schema."""

    answer: Answer
    text: str
    problem: str | None
    is_cut: bool


class CallSite:
    """All calls of one part of a run. Args: as for `Sender`."""

    def __init__(self, journal: Journal, blobs: Blobs, budget: Budget, *, attempts: int, alike: int = 10) -> None:
        self._journal = journal
        self._sender = Sender(journal, blobs, budget, attempts=attempts, alike=alike)

    async def call(self, seat: Seat, request: Request, *, sample: str) -> Answer:
        """An answer, from the journal or the model.

        Raises:
            CallFailed: for this sample. RunStopped: for all of them.
        """
        read = await self._read(seat, request, sample)
        if read.is_cut:
            request = replace(request, max_output_tokens=RAISED * seat.asked.max_output_tokens)
            read = await self._read(seat, request, sample)
        if read.problem is not None and not read.is_cut:
            repair = REPAIR.format(problem=read.problem, schema=json.dumps(request.schema, ensure_ascii=False))
            request = replace(request, history=(("assistant", read.text), ("user", repair)))
            read = await self._read(seat, request, sample)
        if read.is_cut:
            limit = request.max_output_tokens or seat.asked.max_output_tokens
            detail = f"the reply is cut off after {limit} tokens; raise max_tokens in params of {seat.role}"
            raise CallFailed("rejected", "cut_off", detail, read.answer.key)
        if read.problem is not None:
            raise CallFailed("rejected", "wrong_schema", f"also after one repair: {read.problem}", read.answer.key)
        return read.answer

    async def _read(self, seat: Seat, request: Request, sample: str) -> _Read:
        key = call_key(seat.identity, request)
        known = await self._journal.call(key)
        if known and known.state == "ok":
            response = known.response or "{}"
            self._sender.proven.add(seat.step(request))
        elif known and known.state == "error":
            reason, _, detail = (known.problem or "refused").partition(": ")
            raise CallFailed("rejected", reason, detail, key)
        else:
            response = await self._sender.send(seat, replace(request, key=key), sample)
        content = json.loads(response)
        text, is_cut = content["text"], bool(content.get("is_cut"))
        is_used = request.kind == "chat" and seat.asked.is_limited and not is_cut  # what is cut off is put nowhere
        if is_used and len(text.encode()) > (most := _most_bytes(seat)):
            detail = f"a reply of {len(text):,} characters; expected at most {most:,} bytes, by max_tokens in params"
            raise CallFailed("rejected", "too_long", f"{detail} of {seat.role}", key)
        pictures = tuple(Blob(*found) for found in blobs_in(response))
        if request.schema is None:
            return _Read(Answer(key=key, value={"text": text}, pictures=pictures), text, None, is_cut)
        try:
            value = parse_reply(text, request.schema)
        except ReplyProblem as error:
            return _Read(Answer(key=key), text, str(error), is_cut)
        return _Read(Answer(key=key, value=value, pictures=pictures), text, None, False)  # nothing that counts is cut

    async def settle(self, failed: CallFailed) -> bool:
        """Whether a call that was not accepted is the sample's fault after all, since others of its step were."""
        if failed.step not in self._sender.proven:
            return False
        await self._journal.write(refused(failed.key, str(failed)))
        return True


def _most_bytes(seat: Seat) -> int:
    """Of a reply: longer ones would cost more than is reserved for the calls that they are put into."""
    return RAISED * seat.asked.max_output_tokens * BYTES_PER_TOKEN
