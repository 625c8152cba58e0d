"""Answers of an earlier run: every call is looked up in its journals by content, and none is sent anywhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.generation.calls.seats import call_key
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.protocol import Backend, Refused, Reply, Request, Transient
from toolkit.generation.journal.reading import Answers, blobs_in


class Replay(Backend):
    """
    Args:
        run: folder of the run whose answers are used.
        identity: of the backend that answered then.
    """

    def __init__(self, run: Path, identity: Mapping[str, Any]) -> None:
        self._identity, self._blobs = dict(identity), Blobs(run / "blobs")
        self._answers = Answers(run)

    async def send(self, request: Request) -> Reply:
        if (call := self._answers.get(call_key(self._identity, request))) is not None:
            return self._reply(*call)
        raise Transient(
            "not_in_journal",
            detail=(
                f"step {request.step!r} of {request.origin.recipe} {request.origin.index} was never answered "
                "in that run"
            ),
        )

    def _reply(self, state: str, response: str | None, problem: str | None) -> Reply:
        if state == "error":
            reason, _, detail = (problem or "refused").partition(": ")
            raise Refused(reason, detail=detail)
        if response is None:
            raise Transient("not_in_journal", detail="the call was sent, but no answer is in the journal")
        pictures = tuple(self._blobs.read(Blob(*found)) for found in blobs_in(response))
        return Reply(raw="", text=json.loads(response)["text"], pictures=pictures)

    async def close(self) -> None:
        self._answers.close()
