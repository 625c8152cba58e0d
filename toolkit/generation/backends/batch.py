"""OpenAI's Batch API under openai_chat and openai_images: half the price, within a day.

    text: {kind: openai_chat, mode: batch, model: gpt-4o-mini, base_url: https://api.openai.com/v1, api_key_env:
        OPENAI_API_KEY}

Calls that wait are gathered until none has come for `gather_s` seconds, that is until no sample can go on without an
answer, and are sent as one batch, so set `concurrency` of the run to the samples a wave may have. A batch is known by
three files, each whole or not there:

    batches/0001-<hash>.jsonl         its requests, written before anything is sent; custom_id = key of the call
    batches/0001-<hash>.remote.json   its id at the server, written before it is asked how far it is
    batches/0001-<hash>.out.jsonl     what came back, good and bad

Killed between making a batch and noting its id, the next run finds it among the server's batches by its metadata, and
makes no second one. Lines that are
missing, expired or failed are asked again in the next batch. Source: platform.openai.com/docs/guides/batch (50,000
requests, 200 MB, 24 h).
"""

import asyncio
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any, Protocol

from toolkit.atomic import write_atomically
from toolkit.generation.backends.http import Server, error_of
from toolkit.generation.core.protocol import Backend, Fatal, Refused, Reply, Request, Transient

MAX_REQUESTS, MAX_BYTES = 50_000, 200_000_000
LONGEST_POLL_S = 300.0
ENDED = ("completed", "expired", "failed", "cancelled")


class Batchable(Protocol):
    """What a backend must tell so that its calls can go into a file."""

    server: Server

    def line(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Endpoint and body."""
        ...

    def read(self, body: dict[str, Any], raw: str) -> Reply: ...

    async def close(self) -> None: ...


class Batched(Backend):
    """
    Args:
        folder: of this shard's batches.
    """

    def __init__(self, inner: Batchable, folder: Path, *, gather_s: float = 10.0, poll_s: float = 15.0) -> None:
        self._inner, self._folder, self._gather_s, self._poll_s = inner, folder, gather_s, poll_s
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = _run_id(folder)
        self._under_way = {key: path for path in self._files() if not _out(path).exists() for key in _keys(path)}
        self._answered = {
            key: line
            for path in self._files()
            if _out(path).exists()
            for key, line in _lines(_out(path)).items()
            if _is_good(line)
        }
        self._futures: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._waiting: list[tuple[str, str]] = []  # endpoint, line
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gathering: asyncio.Task[None] | None = None

    def holds(self, key: str) -> bool:
        """Whether an earlier process sent this call and its answer is still to be had."""
        return key in self._answered or key in self._under_way

    async def send(self, request: Request) -> Reply:
        line = self._answered.pop(request.key) if request.key in self._answered else await self._line(request)
        if line.get("error"):
            raise Transient(
                str(line["error"].get("code") or "batch_line"),
                detail=str(line["error"].get("message")),
                raw=json.dumps(line),
            )
        response = line["response"]
        raw = json.dumps(response["body"])
        if response["status_code"] != 200:
            raise error_of(response["status_code"], {}, raw)
        return self._inner.read(response["body"], raw)

    async def _line(self, request: Request) -> dict[str, Any]:
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._futures[request.key] = future
        if request.key in self._under_way:
            self._follow(self._under_way[request.key])
        else:
            endpoint, body = self._inner.line(request)
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
            self._futures.pop(request.key, None)

    async def _gather(self) -> None:
        """When nobody has come for a while, all who wait go."""
        await asyncio.sleep(self._gather_s if len(self._waiting) < MAX_REQUESTS else 0)
        waiting, self._waiting, self._gathering = self._waiting, [], None
        for endpoint in sorted({endpoint for endpoint, _ in waiting}):
            for lines in split([line for each, line in waiting if each == endpoint]):
                self._follow(self._written(lines))

    def _written(self, lines: list[str]) -> Path:
        content = "".join(f"{line}\n" for line in lines)
        path = self._folder / f"{len(self._files()) + 1:04d}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.jsonl"
        write_atomically(path, content)
        return path

    def _follow(self, path: Path) -> None:
        if path.name not in self._tasks:
            self._tasks[path.name] = asyncio.create_task(self._through(path))

    async def _through(self, path: Path) -> None:
        """One batch to its end; everybody in it gets a line or an error."""
        keys = _keys(path)
        try:
            lines = await self._results(path)
        except Exception as error:  # whoever waits must hear of it
            # What the server does not accept of a batch is no fault of the samples in it.
            problem = (
                Fatal(f"batch_{error.problem}", detail=error.detail, raw=error.raw, status=error.status)
                if isinstance(error, Refused)
                else error
            )
            for key in keys:
                if (waiting := self._futures.get(key)) and not waiting.done():
                    waiting.set_exception(problem)
            return
        for key in keys:
            self._under_way.pop(key, None)
            line = lines.get(key) or {
                "error": {"code": "missing_line", "message": f"{path.name}: the batch ended without this request"}
            }
            if (waiting := self._futures.get(key)) and not waiting.done():
                waiting.set_result(line)
            elif _is_good(line):
                self._answered[key] = line

    async def _results(self, path: Path) -> dict[str, dict[str, Any]]:
        remote = await self._patiently(self._remote, path)
        pause = self._poll_s
        while (batch := await self._patiently(self._inner.server.get, f"batches/{remote}"))["status"] not in ENDED:
            await asyncio.sleep(pause)
            pause = min(LONGEST_POLL_S, pause * 1.5)
        files = [batch[name] for name in ("output_file_id", "error_file_id") if batch.get(name)]
        texts = [await self._patiently(self._inner.server.text, f"files/{file}/content") for file in files]
        if not texts:
            problem = {"error": {"code": f"batch_{batch['status']}", "message": json.dumps(batch.get("errors"))[:300]}}
            texts = ["".join(json.dumps({"custom_id": key, **problem}) + "\n" for key in _keys(path))]
        write_atomically(_out(path), "\n".join(texts))
        return _lines(_out(path))

    async def _remote(self, path: Path) -> str:
        """Id at the server: noted, found, or new."""
        noted = path.with_suffix(".remote.json")
        if noted.exists():
            return str(json.loads(noted.read_text())["id"])
        metadata = {"run": self._run, "batch": path.stem}
        found = await self._find(metadata)
        if found is None:
            content = path.read_bytes()
            file, _ = await self._inner.server.post(
                "files", data={"purpose": "batch"}, files=[("file", (path.name, content, "application/jsonl"))]
            )
            endpoint = json.loads(content.partition(b"\n")[0])["url"]
            order = {
                "input_file_id": file["id"],
                "endpoint": endpoint,
                "completion_window": "24h",
                "metadata": metadata,
            }
            found = str((await self._inner.server.post("batches", json=order))[0]["id"])
        write_atomically(noted, json.dumps({"id": found, **metadata}))
        return found

    async def _find(self, metadata: dict[str, str]) -> str | None:
        """The server's batch with this metadata; None = there is none."""
        after: dict[str, str] = {}
        while True:
            page = await self._inner.server.get("batches", limit=100, **after)
            for batch in page["data"]:
                if batch.get("metadata") == metadata:
                    return str(batch["id"])
            if not page.get("has_more"):
                return None
            after = {"after": page["data"][-1]["id"]}

    async def _patiently(self, ask: Any, *arguments: Any) -> Any:
        """Again until it is answered, unless it never will be: a batch that was paid for is not given up because the
        line is bad.
        """
        pause = self._poll_s
        while True:
            try:
                return await ask(*arguments)
            except Transient as error:
                await asyncio.sleep(error.retry_after_s or pause)
                pause = min(LONGEST_POLL_S, pause * 1.5)

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.jsonl") if not path.name.endswith(".out.jsonl"))

    async def close(self) -> None:
        for task in (*self._tasks.values(), self._gathering):
            if task:
                task.cancel()
        await self._inner.close()


def split(lines: list[str], *, max_requests: int = MAX_REQUESTS, max_bytes: int = MAX_BYTES) -> list[list[str]]:
    """Lines in order, in parts no larger than a batch may be."""
    parts: list[list[str]] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if not parts or len(parts[-1]) == max_requests or size + length > max_bytes:
            parts.append([])
            size = 0
        parts[-1].append(line)
        size += length
    return parts


def _run_id(folder: Path) -> str:
    path = folder / "RUN"
    if not path.exists():
        write_atomically(path, uuid.uuid4().hex)
    return path.read_text()


def _out(path: Path) -> Path:
    return path.with_suffix(".out.jsonl")


def _keys(path: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in path.read_text().split("\n") if line]


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    """custom_id -> its line; of several the first that is good."""
    found: dict[str, dict[str, Any]] = {}
    for text in filter(str.strip, path.read_text().split("\n")):  # splitlines would also split at U+2028 inside a text
        line = json.loads(text)
        if key := line.get("custom_id"):
            found[key] = found[key] if key in found and (_is_good(found[key]) or not _is_good(line)) else line
    return found


def _is_good(line: dict[str, Any]) -> bool:
    return not line.get("error") and line.get("response", {}).get("status_code") == 200
