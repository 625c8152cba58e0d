"""OpenAI's files and batches on loopback, by the letter of their reference; the requests in a batch are read and
answered as `openai_server` does.
"""

import json
import random
from collections.abc import Callable
from typing import Any

from tests.openai_server import KEY, BadRequest, OpenAIServer, _Handler, _keys, _multipart_parts, _read

ENDPOINTS = ("/v1/chat/completions", "/v1/images/generations")
METADATA = 16  # pairs at most


class BatchServer(OpenAIServer):
    """
    Attributes:
        polls: that a batch is in progress for.
        spoil: number and custom_id of a line -> "missing", "null", "expired", "duplicate", "error 500" or ""; may be
            replaced at any time.
        failed: code and message that the next batches fail with as a whole, one each.
        on_batch: called when a batch is made, before its maker is told.
    """

    def __init__(self) -> None:
        self.polls = 2
        self.failed: list[tuple[str, str]] = []
        self.spoil: Callable[[int, str], str] = lambda number, custom_id: ""
        self.on_batch: Callable[[], None] = lambda: None
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.failing: list[str] = []  # statuses to answer with next, by method and path: "500 GET batches"
        super().__init__(handler=_BatchHandler)


class _Answered(_Handler):
    """A request answered without a connection."""

    def __init__(self) -> None:
        pass

    def _answer(self, status: int, value: dict[str, Any], **_: Any) -> None:
        self.status, self.value = status, value


class _BatchHandler(_Handler):
    owner: BatchServer

    def do_GET(self) -> None:  # noqa: N802
        path, _, query = self.path.removeprefix("/v1/").partition("?")
        if self._refused(path):
            return None
        kind, _, rest = path.partition("/")
        if path == "batches":
            return self._list(query)
        if kind == "batches" and rest in self.owner.batches:
            return self._answer(200, self._polled(self.owner.batches[rest]))
        if kind == "files" and rest.endswith("/content") and rest.removesuffix("/content") in self.owner.files:
            content = self.owner.files[rest.removesuffix("/content")]
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return None
        return self._answer(404, {"error": {"message": f"no {path!r}"}})

    def do_POST(self) -> None:  # noqa: N802
        path = self.path.removeprefix("/v1/")
        if path not in ("files", "batches"):
            return super().do_POST()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused(path):
            return None
        try:
            return self._upload(body) if path == "files" else self._create(json.loads(body))
        except BadRequest as error:
            self.owner.complaints.append(str(error))
            return self._answer(400, {"error": {"message": str(error)}})

    def _refused(self, path: str) -> bool:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._answer(401, {"error": {"message": "Incorrect API key provided"}})
            return True
        wanted = f"500 {self.command} {path.partition('/')[0]}"
        with self.owner.lock:
            fails = wanted in self.owner.failing
            if fails:
                self.owner.failing.remove(wanted)
        if fails:
            self._answer(500, {"error": {"message": "The server had an error"}})
        return fails

    def _upload(self, body: bytes) -> None:
        parts = _multipart_parts(body, self.headers["Content-Type"])
        if set(parts) != {"purpose", "file"} or parts["purpose"] != b"batch":
            raise BadRequest(f"a file has purpose 'batch' and a file; found {sorted(parts)}")
        with self.owner.lock:
            id = f"file-{len(self.owner.files)}"
            self.owner.files[id] = parts["file"]
        self._answer(200, {"id": id, "object": "file", "purpose": "batch", "bytes": len(parts["file"])})

    def _create(self, order: dict[str, Any]) -> None:
        _keys(order, {"input_file_id", "endpoint", "completion_window", "metadata"}, "batch")
        if (
            order["completion_window"] != "24h"
            or order["endpoint"] not in ENDPOINTS
            or len(order.get("metadata", {})) > METADATA
        ):
            raise BadRequest(f"wrong batch {order}")
        ids = []
        for line in self.owner.files[order["input_file_id"]].decode().splitlines():
            request = json.loads(line)
            if set(request) != {"custom_id", "method", "url", "body"} or (request["method"], request["url"]) != (
                "POST",
                order["endpoint"],
            ):
                raise BadRequest(f"wrong line {line[:200]}")
            ids.append(request["custom_id"])
        if len(set(ids)) < len(ids):
            raise BadRequest("custom_id is not unique")
        with self.owner.lock:
            id = f"batch_{len(self.owner.batches)}"
            batch = {
                "id": id,
                "object": "batch",
                "status": "validating",
                "polls": self.owner.polls,
                "output_file_id": None,
                "error_file_id": None,
                **order,
            }
            self.owner.batches[id] = batch
        self.owner.on_batch()
        if "500 AFTER batches" in self.owner.failing:
            self.owner.failing.remove("500 AFTER batches")
            return self._answer(500, {"error": {"message": "made, but you will not hear of it"}})
        return self._answer(200, batch)

    def _list(self, query: str) -> None:
        """Newest first, one a page, so that a client has to turn pages."""
        ids = list(self.owner.batches)[::-1]
        after = dict(pair.split("=") for pair in query.split("&") if pair).get("after")
        left = ids[ids.index(after) + 1 :] if after else ids
        page = [self.owner.batches[id] for id in left[:1]]
        self._answer(200, {"object": "list", "data": page, "has_more": len(left) > 1})

    def _polled(self, batch: dict[str, Any]) -> dict[str, Any]:
        with self.owner.lock:
            batch["polls"] -= 1
            has_ended = batch["status"] in ("completed", "failed")
            is_done = batch["polls"] <= 0 and not has_ended
            batch["status"] = "finalizing" if is_done else batch["status"] if has_ended else "in_progress"
        if is_done and self.owner.failed:
            code, message = self.owner.failed.pop(0)
            batch |= {"status": "failed", "errors": {"object": "list", "data": [{"code": code, "message": message}]}}
        elif is_done:
            self._complete(batch)
        return batch

    def _complete(self, batch: dict[str, Any]) -> None:
        """Answers in no order; what went wrong goes to the error file."""
        good, bad = [], []
        for line in self.owner.files[batch["input_file_id"]].decode().splitlines():
            request = json.loads(line)
            number, id = self._next(request), request["custom_id"]
            spoiled = self.owner.spoil(number, id)
            if spoiled == "missing":
                continue
            if spoiled == "null":
                good.append({"id": f"line-{number}", "custom_id": id, "response": None, "error": None})
                continue
            if spoiled == "expired":
                bad.append(
                    {
                        "id": f"line-{number}",
                        "custom_id": id,
                        "response": None,
                        "error": {"code": "batch_expired", "message": "not in time"},
                    }
                )
                continue
            status, body = self._one(request, spoiled)
            answer = {
                "id": f"line-{number}",
                "custom_id": id,
                "response": {"status_code": status, "request_id": "r", "body": body},
                "error": None,
            }
            (good if status == 200 else bad).append(answer)
            good += [answer] if spoiled == "duplicate" else []
        random.Random(batch["id"]).shuffle(good)
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[name] = f"{batch['id']}-{name}"
                self.owner.files[batch[name]] = "".join(
                    json.dumps(line, ensure_ascii=False) + "\n" for line in lines
                ).encode()
        batch["status"] = "completed"

    def _next(self, request: dict[str, Any]) -> int:
        with self.owner.lock:
            self.owner.requests.append((request["custom_id"], 0.0))
            self.owner.contents[json.dumps(request["body"], sort_keys=True)] += 1
            return len(self.owner.requests)

    def _one(self, request: dict[str, Any], spoiled: str) -> tuple[int, dict[str, Any]]:
        if spoiled == "error 500":
            return 500, {"error": {"message": "The server had an error"}}
        answered = _Answered()
        answered.owner = self.owner
        path = request["url"].removeprefix("/v1/")
        try:
            content = _read(path, json.dumps(request["body"]).encode(), {})
        except BadRequest as error:
            self.owner.complaints.append(str(error))
            return 400, {"error": {"message": str(error)}}
        is_chat = path == "chat/completions"
        step = content["response_format"]["json_schema"]["name"] if is_chat else path
        fault = self.owner.faults(len(self.owner.requests), step, content)
        answered._fail(fault, path, content) if fault else answered._succeed(path, content)
        return answered.status, answered.value
