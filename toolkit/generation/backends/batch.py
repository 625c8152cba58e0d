"""OpenAI's Batch API under openai_chat and openai_images: half the price, within a day.

    text: {kind: openai_chat, mode: batch, model: gpt-6-luna, base_url: https://api.openai.com/v1, api_key_env:
        OPENAI_API_KEY}

Calls that wait are gathered until none has come for `gather_s` seconds, that is until no sample can go on without an
answer, and are sent as one batch, so set `concurrency` of the run to the samples a wave may have. Lines that are
missing, expired or failed, and those of a batch that is gone at the server, are asked again in the next batch; see
`batch_files` for what is kept. Source: developers.openai.com/api/docs/guides/batch (50,000 requests, 200 MB, 24 h).
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from toolkit.errors import UnifiedVisualError
from toolkit.generation.backends.answers import error_of
from toolkit.generation.backends.batch_files import MAX_BYTES, MAX_REQUESTS, BatchFile, BatchFolder, is_good, split
from toolkit.generation.backends.http import Server
from toolkit.generation.core.protocol import (
    Adapted,
    Backend,
    BadRequest,
    CallError,
    Fatal,
    Refused,
    Reply,
    Request,
    Transient,
)

_LOG = logging.getLogger(__name__)
LONGEST_POLL_S = 300.0
ENDED = ("completed", "expired", "failed", "cancelled")
FULL = "token_limit_exceeded"  # too much is under way; the batch is taken later
TRIES = 400  # of making a batch while too much is under way: with the longest pause a day and a half


class Batchable(Protocol):
    """What a backend must tell so that its calls can go into a file."""

    server: Server
    learned: Mapping[str, Any]

    def line(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Endpoint and body."""
        ...

    def lesson(self, error: BadRequest, sent: Mapping[str, Any], known: Mapping[str, Any]) -> Adapted | None: ...

    def read(self, body: dict[str, Any], raw: str | bytes) -> Reply: ...

    async def close(self) -> None: ...


class _Gone(Exception):
    """The server has no such batch any more."""


class Batched(Backend):
    """
    Args:
        folder: of this part's batches.
    """

    def __init__(self, inner: Batchable, folder: Path, *, gather_s: float = 10.0, poll_s: float = 15.0) -> None:
        self._inner, self._gather_s, self._poll_s = inner, gather_s, poll_s
        self._folder = BatchFolder(folder)
        self._under_way, self._answered = self._folder.under_way(), self._folder.answered()
        self._futures: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._waiting: list[tuple[str, str]] = []  # endpoint, line
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gathering: asyncio.Task[None] | None = None

    @property
    def learned(self) -> Mapping[str, Any]:
        return self._inner.learned

    @learned.setter
    def learned(self, facts: Mapping[str, Any]) -> None:
        self._inner.learned = facts

    def holds(self, key: str) -> bool:
        return key in self._answered or key in self._under_way

    async def send(self, request: Request) -> Reply:
        known, sent = self._inner.learned, self._inner.line(request)
        line = self._answered.pop(request.key) if request.key in self._answered else await self._line(request, *sent)
        raw, response = json.dumps(line), line.get("response")
        if isinstance(line.get("error"), dict):
            code, message = line["error"].get("code"), line["error"].get("message")
            raise Transient(str(code or "batch_line"), detail=str(message), raw=raw)
        if not isinstance(response, dict) or not isinstance(response.get("body"), dict):
            detail = "the batch ended without an answer to this request"
            raise Transient("empty_line", detail=detail, raw=raw, may_cost=True)
        body = json.dumps(response["body"])
        if (status := response.get("status_code", 200)) == 200:
            return self._inner.read(response["body"], body)
        error = error_of(int(status), {}, body)
        if isinstance(error, BadRequest):
            raise self._inner.lesson(error, sent[1], known) or error
        raise error

    async def _line(self, request: Request, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._futures[request.key] = future
        if request.key in self._under_way:
            self._follow(self._under_way[request.key])
        else:
            line = json.dumps({"custom_id": request.key, "method": "POST", "url": f"/v1/{endpoint}", "body": body})
            if len(line) > MAX_BYTES:
                raise Refused("too_large", detail=f"{len(line):,} bytes; a batch holds {MAX_BYTES:,}")
            self._waiting.append((endpoint, line))
            if self._gathering:
                self._gathering.cancel()
            self._gathering = asyncio.create_task(self._gather())
        try:
            return await future
        finally:
            if self._futures.get(request.key) is future:
                del self._futures[request.key]

    async def _gather(self) -> None:
        """When nobody has come for a while, all who wait go."""
        await asyncio.sleep(self._gather_s if len(self._waiting) < MAX_REQUESTS else 0)
        waiting, self._waiting, self._gathering = self._waiting, [], None
        for endpoint in sorted({endpoint for endpoint, _ in waiting}):
            lines = [line for each, line in waiting if each == endpoint]
            for part in split(lines):
                try:
                    batch = self._folder.write(part)
                except Exception as error:  # each that waits must hear of it
                    for line in part:
                        self._tell(json.loads(line)["custom_id"], error)
                    continue
                self._under_way |= dict.fromkeys(batch.keys, batch)
                self._follow(batch)

    def _follow(self, batch: BatchFile) -> None:
        task = self._tasks.get(batch.name)
        if task is None or task.done():
            self._tasks[batch.name] = asyncio.create_task(self._through(batch))

    async def _through(self, batch: BatchFile) -> None:
        """One batch to its end; every call in it gets a line or an error."""
        problem: Exception | None = None
        lines: dict[str, dict[str, Any]] = {}
        try:
            lines = await self._results(batch)
        except Refused as error:  # what the server does not accept of a batch is no fault of the samples in it
            problem = Fatal(f"batch_{error.problem}", detail=error.detail, raw=error.raw, status=error.status)
        except (CallError, UnifiedVisualError) as error:
            problem = error
        except Exception as error:  # each that waits must hear of it
            problem = Fatal("batch_broken", detail=f"{batch.name}: {type(error).__name__}: {error}")
        for key in batch.keys:
            if not isinstance(problem, Fatal):
                self._under_way.pop(key, None)
            self._tell(key, problem or lines.get(key) or {})

    def _tell(self, key: str, found: Exception | dict[str, Any]) -> None:
        waiting = self._futures.get(key)
        if waiting and not waiting.done():
            if isinstance(found, Exception):
                waiting.set_exception(found)
            else:
                waiting.set_result(found)
        elif not isinstance(found, Exception) and is_good(found):
            self._answered[key] = found

    async def _results(self, batch: BatchFile) -> dict[str, dict[str, Any]]:
        try:
            ended = await self._ended(batch)
        except _Gone as error:
            batch.drop()
            detail = f"{batch.name}: its server has no such batch any more; its calls are asked again"
            raise Transient("batch_gone", detail=detail, may_cost=True) from error
        files = [ended[name] for name in ("output_file_id", "error_file_id") if ended.get(name)]
        texts = [await self._patiently(self._inner.server.text, f"files/{file}/content") for file in files]
        if not texts:
            why = {"code": f"batch_{ended['status']}", "message": json.dumps(ended.get("errors"))[:300]}
            if ended["status"] == "failed":
                raise Fatal("batch_failed", detail=_complaint(ended) or why["message"], raw=json.dumps(ended))
            if ended["status"] != "completed":  # else what became of its calls is not known
                texts = ["".join(json.dumps({"custom_id": key, "error": why}) + "\n" for key in batch.keys)]
        return batch.keep("\n".join(texts))

    async def _ended(self, batch: BatchFile) -> dict[str, Any]:
        """The batch as the server has it at its end; made anew as long as too much else is under way."""
        pause = self._poll_s
        for tries in range(TRIES):
            remote = await self._patiently(self._remote, batch, tries)
            found = await self._poll(remote)
            if found["status"] != "failed" or FULL not in json.dumps(found.get("errors")):
                return found
            if pause > 10:
                _LOG.warning("%s: waiting %.0f s: %s", batch.name, pause, _complaint(found))
            batch.forget_remote(found["id"])
            await asyncio.sleep(pause)
            pause = min(LONGEST_POLL_S, pause * 1.5)
        raise Transient("batch_full", detail=_complaint(found))

    async def _poll(self, remote: str) -> dict[str, Any]:
        pause = self._poll_s
        while True:
            found: dict[str, Any] = await self._patiently(self._inner.server.get, f"batches/{remote}", is_ours=True)
            if found.get("status") in ENDED:
                return {"id": remote, **found}
            await asyncio.sleep(pause)
            pause = min(LONGEST_POLL_S, pause * 1.5)

    async def _remote(self, batch: BatchFile, tries: int) -> str:
        """Id at the server: noted, found, or new."""
        if noted := batch.remote():
            return noted
        metadata = {"run": self._folder.run, "batch": batch.name, **({"try": str(tries)} if tries else {})}
        found = await self._find(metadata, batch.forgotten)
        if found is None:
            content = batch.path.read_bytes()
            upload = "file", batch.path.name, content, "application/jsonl"
            file, _ = await self._inner.server.upload("files", {"purpose": "batch"}, [upload])
            order = {
                "input_file_id": file["id"],
                "endpoint": json.loads(content.partition(b"\n")[0])["url"],
                "completion_window": "24h",
                "metadata": metadata,
            }
            found = str((await self._inner.server.post("batches", order))[0]["id"])
        batch.note_remote(found, metadata)
        return found

    async def _find(self, metadata: dict[str, str], without: set[str]) -> str | None:
        """The server's batch with this metadata; None = there is none."""
        after: dict[str, str] = {}
        while True:
            page = await self._inner.server.get("batches", limit=100, **after)
            for batch in page["data"]:
                if batch.get("metadata") == metadata and batch["id"] not in without:
                    return str(batch["id"])
            if not page.get("has_more") or not page["data"]:
                return None
            after = {"after": page["data"][-1]["id"]}

    async def _patiently(self, ask: Any, *arguments: Any, is_ours: bool = False) -> Any:
        """Again until it is answered, unless it never will be: a batch that was paid for is not given up because the
        line is bad.

        Args:
            is_ours: what is asked for was there, so that a 404 says that it is gone.
        """
        pause = self._poll_s
        while True:
            try:
                return await ask(*arguments)
            except Transient as error:
                wait = error.retry_after_s or pause
                if wait > 10:
                    _LOG.warning("batches: waiting %.0f s, as the server cannot be asked: %s", wait, error)
                await asyncio.sleep(min(wait, LONGEST_POLL_S))
                pause = min(LONGEST_POLL_S, pause * 1.5)
            except Fatal as error:
                if is_ours and error.status in (404, 410):
                    raise _Gone from error
                raise

    async def close(self) -> None:
        tasks = [task for task in (*self._tasks.values(), self._gathering) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._inner.close()


def _complaint(batch: Mapping[str, Any]) -> str:
    """The first sentence that says why a batch failed."""
    errors = batch.get("errors")
    found = errors.get("data") if isinstance(errors, dict) else None
    first = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}
    return str(first.get("message") or "")
