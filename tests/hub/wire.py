"""HTTP without the Hub: reading request bodies, sending answers and ranges, logging, and failing on purpose."""

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from tests.hub.faults import Request, disturb
from tests.hub.repositories import CHUNK_BYTES, Blob, HubError

if TYPE_CHECKING:
    from tests.hub import LoopbackHub


class Wire(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; Nagle would add 40 ms to each answer

    @property
    def hub(self) -> "LoopbackHub":
        return self.server.hub  # type: ignore[attr-defined]

    def answer(self, path: str) -> None:
        raise NotImplementedError

    def serve(self) -> None:
        path, _, query = self.path.partition("?")
        self.query = {key: values[0] for key, values in parse_qs(query).items()}
        self.body = self._body_chunks()
        self.request_log = Request(method=self.command, path=unquote(path), range=self.headers.get("Range", ""))
        with self.hub.lock:
            self.hub.requests.append(self.request_log)
        with self._garbled():
            try:
                if not self._fails_on_purpose():
                    self.answer(path)
            except HubError as error:
                self.send_json({"error": str(error)}, status=error.status, headers=_error_headers(error))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve  # noqa: N815

    def log_message(self, *args: object) -> None:
        pass  # `hub.requests` is the log

    @contextmanager
    def _garbled(self) -> Iterator[None]:
        if self.hub.garble is None:
            yield
            return
        socket, self.wfile = self.wfile, io.BytesIO()
        yield
        answer, self.wfile, self.close_connection = self.wfile.getvalue(), socket, True
        self.wfile.write(self.hub.garble(answer))

    def _fails_on_purpose(self) -> bool:
        fault = self.hub.take_fault(self.request_log, in_body=False)
        if fault is None:
            return False
        if fault.kind == "hang":
            self.hub.closing.wait(fault.delay_s)
            self.close_connection = True
            return True
        if fault.kind == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.hub.closing.wait(fault.delay_s):
                self.wfile.write(b".")
        raise HubError(
            int(fault.kind),
            "failing on purpose",
            headers={"Retry-After": str(fault.retry_after_s)} if fault.kind == "429" else {},
        )

    def _body_chunks(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left and (chunk := self.rfile.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk

    def read_body(self) -> bytes:
        return b"".join(self.body)

    def read_json(self) -> Any:
        return json.loads(self.read_body() or b"{}")

    def send_json(self, value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send(
            status,
            {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body)), **(headers or {})},
            [body],
        )

    def send_blob(self, blob: Blob, headers: Mapping[str, str]) -> None:
        start, end = byte_range(self.request_log.range, blob.size)
        about = {
            "ETag": f'"{blob.etag}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            **headers,
        }
        about["Content-Length"] = str(end - start)
        if self.request_log.range:
            about["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        self.send(206 if self.request_log.range else 200, about, blob.read(start, end))

    def send(self, status: int, headers: Mapping[str, str], chunks: Iterable[bytes] = ()) -> None:
        for _ in self.body:  # what the request still holds would be read as the next request
            pass
        self.request_log.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and headers.get("Content-Length", "0") != "0":
            self._send_chunks(chunks)

    def _send_chunks(self, chunks: Iterable[bytes]) -> None:
        fault = self.hub.take_fault(self.request_log, in_body=True)
        for chunk in disturb(chunks, fault, self.hub.closing) if fault else chunks:
            self.request_log.sent += len(chunk)  # before writing: who has the bytes can see them counted
            self.wfile.write(chunk)
        if fault and fault.kind == "cut":
            self.close_connection = True


def byte_range(header: str, size: int) -> tuple[int, int]:
    """Where the wanted bytes start and end, exclusive: "bytes=2-5" -> (2, 6), "bytes=-3" -> the last 3, "" -> all."""
    if not header:
        return 0, size
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    first, last = match.groups() if match else ("", "")
    start = int(first) if first else size - int(last or 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise HubError(416, f"range {header!r} of a file of {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return max(start, 0), end


def _error_headers(error: HubError) -> dict[str, str]:
    return {"X-Error-Message": str(error), **({"X-Error-Code": error.code} if error.code else {}), **error.headers}
