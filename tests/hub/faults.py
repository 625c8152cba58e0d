"""What the loopback Hub writes down about each request, and how it is told to fail."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Event

BODY_KINDS = ("cut", "slow")  # these need a response body; all other kinds act before the request is looked at


@dataclass(kw_only=True)
class Request:
    method: str
    path: str  # unquoted, without the query
    range: str  # the Range header, "" when absent
    status: int = 0  # 0 until answered
    sent: int = 0  # body bytes handed to the socket


@dataclass(kw_only=True)
class Fault:
    """One rule; `LoopbackHub.fail` says what each kind does."""

    kind: str
    method: str  # regular expressions, searched for
    path: str
    times: float
    retry_after_s: int
    after_bytes: int
    chunk_bytes: int
    delay_s: float

    @property
    def is_in_body(self) -> bool:
        return self.kind in BODY_KINDS

    def fits(self, request: Request) -> bool:
        return (
            self.times > 0 and bool(re.search(self.method, request.method)) and bool(re.search(self.path, request.path))
        )


def disturb(chunks: Iterable[bytes], fault: Fault, closing: Event) -> Iterator[bytes]:
    """The same body, ended early ("cut") or in small pieces with pauses ("slow")."""
    if fault.kind == "slow":
        for chunk in chunks:
            for start in range(0, len(chunk), fault.chunk_bytes):
                yield chunk[start : start + fault.chunk_bytes]
                if closing.wait(fault.delay_s):
                    return
        return
    left = fault.after_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
