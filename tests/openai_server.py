"""A strict OpenAI-compatible server on loopback, stdlib only: it refuses requests of the wrong shape, counts what it
would bill, and fails on demand.

Answers are a pure function of the request: strings echo a hash of it, so that equal runs get equal answers.
"""

import base64
import copy
import email.parser
import email.policy
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from PIL import Image

KEY = "test-key"
CHAT_KEYS = {"model", "messages", "seed", "max_tokens", "temperature", "response_format"}
IMAGE_KEYS = {"model", "prompt", "n", "size", "response_format"}
Fault = Callable[[int, str, dict[str, Any]], str]  # number of the request, path, its content -> name of a fault, or ""


class BadRequest(Exception):
    pass


class OpenAIServer:
    """`requests` counts posts, `billed` what was answered with 200 and usage; `faults` and `dialect` may be replaced at
    any time.

    Attributes:
        dialect: path and body of a request as it came -> None, or status and JSON of an answer in place of the usual.
        downloads: path of a GET -> what is there; `fetched` lists what was asked for.
    """

    def __init__(self, *, latency_s: float = 0.0, handler: "type[_Handler] | None" = None) -> None:
        self.latency_s, self.faults = latency_s, (lambda number, path, content: "")
        self.wrong_pictures: set[str] = set()
        self.dialect: Callable[[str, bytes], tuple[int, Any] | None] = lambda path, body: None
        self.downloads: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}  # of what is downloaded
        self.fetched: list[tuple[str, str]] = []  # path and key of each
        self.unsafe: set[str] = set()  # what moderation flags, in texts or base64
        self.lock = threading.Lock()
        self.reset()
        made = type("Handler", (handler or _Handler,), {"owner": self})
        server = type(
            "Server",
            (ThreadingHTTPServer,),
            {"request_queue_size": 256, "daemon_threads": True, "handle_error": lambda *_: None},
        )
        self._server = server(("127.0.0.1", 0), made)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        ).start()  # seconds until it closes

    def reset(self) -> None:
        self.requests: list[tuple[str, float]] = []  # step or path, when
        self.contents: Counter[str] = Counter()
        self.billed: Counter[str] = Counter()
        self.complaints: list[str] = []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    disable_nagle_algorithm = True  # headers and body are two writes; Nagle would add 40 ms to each answer
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.removeprefix("/v1/")
        if (own := self.owner.dialect(path, body)) is not None:
            return self._answer(own[0], own[1])
        try:
            content = _read(path, body, self.headers)
        except BadRequest as error:
            self.owner.complaints.append(str(error))
            return self._answer(400, {"error": {"message": str(error), "type": "invalid_request_error"}})
        step = (
            content.get("response_format", {}).get("json_schema", {}).get("name", path)
            if path == "chat/completions"
            else path
        )
        with self.owner.lock:
            self.owner.requests.append((step, time.monotonic()))
            self.owner.contents[
                hashlib.sha256(
                    body if path != "images/edits" else json.dumps(content, sort_keys=True).encode()
                ).hexdigest()
            ] += 1
            number = len(self.owner.requests)
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            return self._answer(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})
        time.sleep(self.owner.latency_s)
        return (
            self._fail(fault, path, content)
            if (fault := self.owner.faults(number, step, content))
            else self._succeed(path, content)
        )

    def do_GET(self) -> None:
        self.owner.fetched.append((self.path, self.headers.get("Authorization") or ""))
        content = self.owner.downloads.get(self.path)
        self.send_response(404 if content is None else 200)
        for name, value in self.owner.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def _succeed(self, path: str, content: dict[str, Any]) -> None:
        if path == "chat/completions":
            return self._chat(
                json.dumps(
                    _fill(
                        content["response_format"]["json_schema"]["schema"], _Asked(content, self.owner.wrong_pictures)
                    )
                ),
                content,
            )
        if path == "moderations":
            is_flagged = any(word in json.dumps(content["input"]) for word in self.owner.unsafe)
            result = {
                "flagged": is_flagged,
                "categories": {"violence": is_flagged, "hate": False},
                "category_scores": {"violence": 0.9, "hate": 0.1},
            }
            return self._answer(200, {"id": "modr-1", "model": content["model"], "results": [result]})
        picture = drawing(content["prompt"] + content.get("image_sha256", ""))
        told_wrong = "wrong_description" if path == "images/generations" else "change text"
        if told_wrong in content["prompt"]:
            self.owner.wrong_pictures.add(hashlib.sha256(picture).hexdigest())
        with self.owner.lock:
            self.owner.billed["images"] += 1
        return self._answer(
            200,
            {
                "created": 1,
                "data": [{"b64_json": base64.b64encode(picture).decode(), "revised_prompt": content["prompt"]}],
            },
        )

    def _chat(
        self, text: str | None, content: dict[str, Any], *, refusal: str | None = None, cut: bool = False
    ) -> None:
        message = {"role": "assistant", "content": text, "refusal": refusal}
        usage = {
            "prompt_tokens": len(json.dumps(content["messages"])) // 4,
            "completion_tokens": len(text or "") // 4 + 1,
        }
        with self.owner.lock:
            self.owner.billed["input_tokens"] += usage["prompt_tokens"]
            self.owner.billed["output_tokens"] += usage["completion_tokens"]
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        self._answer(
            200,
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "model": content["model"],
                "choices": choices,
                "usage": usage,
            },
            cut=cut,
        )

    def _fail(self, fault: str, path: str, content: dict[str, Any]) -> None:
        if fault.startswith("429"):
            wait = fault.partition(" ")[2]
            return self._answer(
                429,
                {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}},
                headers={"Retry-After": wait} if wait else {},
            )
        if fault == "500":
            return self._answer(500, {"error": {"message": "The server had an error"}})
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        if fault == "hang":
            time.sleep(3)
            return self._answer(500, {})
        if fault == "refusal":
            return self._chat(None, content, refusal="I cannot help with that.")
        if fault == "content_policy":
            return self._answer(
                400,
                {
                    "error": {
                        "message": "Your request was rejected by our safety system",
                        "code": "content_policy_violation",
                    }
                },
            )
        if fault == "empty_choices":
            return self._answer(200, {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}})
        if fault == "wrong_schema":
            return self._chat('{"nope": 1}', content)
        if fault == "truncated":
            return self._chat(
                json.dumps(_fill(content["response_format"]["json_schema"]["schema"], _Asked(content, set()))),
                content,
                cut=True,
            )
        if fault == "no_model":
            return self._answer(404, {"error": {"message": "The model does not exist", "code": "model_not_found"}})
        raise AssertionError(fault)

    def _answer(
        self, status: int, value: dict[str, Any], *, headers: dict[str, str] | None = None, cut: bool = False
    ) -> None:
        body = json.dumps(value).encode()
        body = body[: len(body) // 2] if cut else body
        self.send_response(status)
        for name, text in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)


def _read(path: str, body: bytes, headers: Any) -> dict[str, Any]:
    """A request by the letter of the protocol."""
    if path == "images/edits":
        return _multipart(body, headers["Content-Type"])
    content = json.loads(body)
    if path == "images/generations":
        _keys(content, IMAGE_KEYS, "request")
        if not content.get("prompt") or content.get("n") != 1:
            raise BadRequest("prompt and n are needed")
    elif path == "moderations":
        _keys(content, {"model", "input"}, "request")
        if len(content["input"]) != 1 or content["input"][0]["type"] not in ("text", "image_url"):
            raise BadRequest("one text or one picture")
    elif path == "chat/completions":
        _chat(content)
    else:
        raise BadRequest(f"no such endpoint {path!r}")
    return dict(content)


def _chat(content: dict[str, Any]) -> None:
    _keys(content, CHAT_KEYS, "request")
    if not isinstance(content["seed"], int) or not isinstance(content["max_tokens"], int):
        raise BadRequest("seed and max_tokens must be integers")
    for message in content["messages"]:
        _keys(message, {"role", "content"}, "message")
        if message["role"] not in ("system", "user", "assistant"):
            raise BadRequest(f"role {message['role']!r}")
        for part in (
            message["content"]
            if isinstance(message["content"], list)
            else [{"type": "text", "text": message["content"]}]
        ):
            if part["type"] == "text":
                _keys(part, {"type", "text"}, "part")
                if not isinstance(part["text"], str) or not part["text"]:
                    raise BadRequest("empty text")
            else:
                _keys(part, {"type", "image_url"}, "part")
                head, _, data = part["image_url"]["url"].partition(",")
                form = str(Image.open(io.BytesIO(base64.b64decode(data, validate=True))).format)
                if head != f"data:image/{form.lower()};base64":
                    raise BadRequest(f"{head} is {form}")
    if content["response_format"]["type"] != "json_schema":
        raise BadRequest("response_format")
    _keys(content["response_format"]["json_schema"], {"name", "strict", "schema"}, "json_schema")
    _strict(content["response_format"]["json_schema"]["schema"])


def _strict(schema: dict[str, Any]) -> None:
    if schema["type"] == "object":
        if schema.get("additionalProperties") is not False or set(schema["required"]) != set(schema["properties"]):
            raise BadRequest("strict schemas close their objects and require all properties")
        for value in schema["properties"].values():
            _strict(value)
    elif schema["type"] == "array":
        _strict(schema["items"])


def _keys(content: dict[str, Any], known: set[str], where: str) -> None:
    if unknown := set(content) - known:
        raise BadRequest(f"Unrecognized {where} argument supplied: {sorted(unknown)}")


def _multipart_parts(body: bytes, kind: str) -> dict[str, bytes]:
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + body
    )
    return {
        str(part.get_param("name", header="content-disposition")): cast(bytes, part.get_payload(decode=True))
        for part in message.iter_parts()
    }


def _multipart(body: bytes, kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, content in _multipart_parts(body, kind).items():
        if name == "image":
            Image.open(io.BytesIO(content)).load()
            fields["image_sha256"] = hashlib.sha256(content).hexdigest()
        else:
            fields[name] = content.decode()
    _keys({name: 1 for name in fields if name != "image_sha256"}, IMAGE_KEYS, "request")
    if not fields.get("prompt") or "image_sha256" not in fields:
        raise BadRequest("prompt and image are needed")
    return fields


class _Asked:
    """What answers are made from."""

    def __init__(self, content: dict[str, Any], wrong_pictures: set[str]) -> None:
        parts = next(message["content"] for message in content["messages"] if message["role"] == "user")
        self.user = parts if isinstance(parts, str) else parts[-1]["text"]
        self.hash = hashlib.sha256(self.user.encode()).hexdigest()[:8]
        images = (
            [
                base64.b64decode(part["image_url"]["url"].partition(",")[2])
                for part in parts
                if part["type"] == "image_url"
            ]
            if parts != self.user
            else []
        )
        self.matches = not any(hashlib.sha256(image).hexdigest() in wrong_pictures for image in images)

    def numbered(self, number: int) -> "_Asked":
        other = copy.copy(self)
        other.hash += f"-{number}"
        return other


def _fill(schema: dict[str, Any], asked: _Asked, name: str = "reply") -> Any:
    """The least that fits a schema and that recipes accept."""
    kind = schema["type"]
    if kind == "object":
        return {key: _fill(value, asked, key) for key, value in schema["properties"].items()}
    if kind == "array" and name == "options":  # of a problem, or what is said to each
        if schema["items"]["type"] == "string":
            return [] if "Form: open" in asked.user else ["blue", "red"]
        return [_fill(schema["items"], asked.numbered(number), "option") for number in range(2)]
    if kind == "array":
        return [_fill(schema["items"], asked, name)]
    if kind == "boolean":
        return asked.matches if name == "matches" else name != "can_tell"
    if "enum" in schema:  # the letter of the option that every answer names
        return re.findall(r"([A-E])\. blue", asked.user)[0]
    if kind == "integer":
        return 1
    if kind == "number":
        return 1.0 if name.endswith("1") else 0.0
    fixed = {
        "answer": "blue",
        "problem": "",
        "named": "zebra",
        "things": "koala or zebra",
        "defect_words": "zebra",
        "finding": f"The zebra is missing here {asked.hash}.",
    }
    return fixed.get(
        name, f"{name} of {asked.user}" if name in ("caption", "rationale") else f"{name} text {asked.hash}"
    )


def drawing(prompt: str) -> bytes:
    """What is drawn for a prompt; of an edit, with the SHA-256 of the picture behind it."""
    digest = hashlib.sha256(prompt.encode()).digest()
    picture = Image.new("RGB", (96, 96), tuple(digest[:3]))
    picture.paste(tuple(digest[3:6]), (20, 20, 60, 60))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
