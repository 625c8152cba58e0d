"""Answers of an earlier run: every call is looked up in its journals by content, and none is sent anywhere."""

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from toolkit.errors import SourceError
from toolkit.generation.calls.calls import call_key
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.journal import blobs_in, journal_paths
from toolkit.generation.core.prompting import prompt_files
from toolkit.generation.core.protocol import Refused, Reply, Request, Transient


class Replay:
    """
    Args:
        run: folder of the run whose answers are used.
        identity: of the backend that answered then.
    """

    def __init__(self, run: Path, identity: Mapping[str, Any]) -> None:
        self._identity, self._blobs = dict(identity), Blobs(run / "blobs")
        self._journals = [sqlite3.connect(path) for path in journal_paths(run)]
        if not self._journals:
            raise SourceError(f"{run}: holds no journal to replay; expected shards/*/journal.sqlite3")

    async def send(self, request: Request) -> Reply:
        for sha256 in _prompt_shas(request.step):
            key = call_key(self._identity, request, sha256)
            for db in self._journals:
                with closing(db.execute("SELECT state, response, problem FROM calls WHERE key = ?", (key,))) as found:
                    if (call := found.fetchone()) is not None:
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
        for db in self._journals:
            db.close()


@cache
def _prompt_shas(step: str) -> list[str]:
    return [
        hashlib.sha256(content).hexdigest()
        for name, content in prompt_files().items()
        if name.partition("@")[0] == step
    ]
