"""Waits that the Hub asks for, and what its client raises.

No wait is long and silent: the client itself sleeps as long as it is asked to, a day if need be.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from toolkit.errors import SourceError
from toolkit.sources.advice import advice

LONGEST_WAIT_S = 300  # that the Hub is waited for when it asks to; its limits are counted over five minutes
TOLD_WAIT_S = 10
READ_S = (
    1.0  # a longer wait is several: the client closes connections under threads that read, which wakes none of them
)
MAX_ANSWER_BYTES = 100 << 20  # that is no file; a listing has 60 bytes a file, in pages of 1,000
LEAST_BYTES = 300 << 10  # that come in LONGEST_WAIT_S, unless the answer ends: 1 KiB a second

logger = logging.getLogger(__name__)


def asked_wait_s(headers: Mapping[str, str]) -> int:
    """Seconds that a server asks to wait, in Retry-After (RFC 9110, 10.2.3; as seconds), or until its limit begins anew
    (draft-ietf-httpapi-ratelimit-headers); 0 = it does not ask.
    """
    asked = headers.get("Retry-After", "").strip()
    reset = re.search(r"\br=0\b.*;\s*t=(\d{1,9})", headers.get("RateLimit", ""))
    return max(int(asked) if asked.isdecimal() else 0, int(reset[1]) if reset else 0)


def _bounded(read: Callable[..., Iterator[bytes]], url: Any, *arguments: Any, **options: Any) -> Iterator[bytes]:
    """The bytes of an answer, unpacked.

    Raises:
        SourceError: more than any listing has, or not all of them in time.
    """
    size, begun = 0, time.monotonic()
    for piece in read(*arguments, **options):
        size += len(piece)
        if size > MAX_ANSWER_BYTES or time.monotonic() - begun > LONGEST_WAIT_S:
            raise SourceError(
                f"{url.host}{url.path}: an answer of more than {MAX_ANSWER_BYTES >> 20} MiB or {LONGEST_WAIT_S} s, "
                "which the Hub does not give; is something in between?"
            )
        yield piece


class _Connection:
    """Counts what comes through a connection while it is waited for, in headers, listings and files alike: the client's
    own timeout begins anew with each byte.
    """

    def __init__(self, stream: Any, host: str) -> None:
        self._host, self._is_told, self._size, self._waited_s = host, False, 0, 0.0
        self._read: Callable[..., bytes] = stream.read
        self._write: Callable[..., None] = stream.write
        stream.read, stream.write = self.read, self.write

    def write(self, *arguments: Any, **options: Any) -> None:
        self._size, self._waited_s = 0, 0.0  # a request begins
        self._write(*arguments, **options)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What comes within `timeout` s; silence is told of while it lasts."""
        left_s = LONGEST_WAIT_S if timeout is None else timeout
        while True:
            begun, piece = time.monotonic(), b""
            try:
                piece = self._read(max_bytes, min(left_s, READ_S))
            except Exception as error:
                left_s -= READ_S
                if left_s <= 0 or not isinstance(error.__cause__, TimeoutError):
                    raise
            else:
                return piece
            finally:
                self._count(len(piece), time.monotonic() - begun)

    def _count(self, num_bytes: int, seconds: float) -> None:
        """Raises SourceError: hardly anything came in a long time."""
        self._size, self._waited_s = self._size + num_bytes, self._waited_s + seconds
        if self._size >= LEAST_BYTES:
            self._size, self._waited_s = 0, 0.0
        if self._waited_s >= TOLD_WAIT_S and not self._is_told:
            self._is_told = True
            logger.warning("%s: the Hub answers slowly; waiting", self._host)
        if self._waited_s >= LONGEST_WAIT_S:
            raise SourceError(
                f"{self._host}: {self._size:,} bytes came in {LONGEST_WAIT_S} s; check the network and try again later"
            )


def _connected(host: str, event: str, happened: Mapping[str, Any]) -> None:
    """Told of each step of a request, by the client's "trace" extension."""
    if event.endswith(("connect_tcp.complete", "start_tls.complete")):
        _Connection(happened["return_value"], host)


class _Waits:
    """Heeds what responses to the Hub client say while a call of ours is under way, in any of its threads. The client
    sleeps as long as it is asked to, a day if need be, whatever its caller has in mind.
    """

    def __init__(self) -> None:
        self._lock, self._calls = threading.Lock(), 0

    def __enter__(self) -> None:
        from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

        hooks = getattr(get_session(), "event_hooks", None)  # none before huggingface_hub 1.0, which waits 8 s at most
        with self._lock:
            self._calls += 1
            if hooks is not None and self.check not in hooks["response"]:
                hooks["request"].append(self.watch)
                hooks["response"].append(self.check)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._calls -= 1

    def watch(self, request: Any) -> None:
        """The request waits at most so long for each byte, and counts what comes through a connection that it opens."""
        if not self._calls:
            return
        waits = request.extensions["timeout"]  # None: for ever, the client's own way with listings
        longest = {"connect": TOLD_WAIT_S}  # or an error
        waits.update({name: longest.get(name, LONGEST_WAIT_S) for name, each in waits.items() if each is None})
        request.extensions["trace"] = partial(_connected, request.url.host)

    def check(self, response: Any) -> None:
        """Raises SourceError for a wait that is too long; an answer that has no end will raise it."""
        if not self._calls:
            return
        if "/api/" in response.request.url.path and "/resolve/" not in response.request.url.path:  # no file
            response.iter_bytes = partial(_bounded, response.iter_bytes, response.request.url)
        if response.status_code not in (408, 429, 503):
            return
        asked, url = asked_wait_s(response.headers), response.request.url
        if asked > LONGEST_WAIT_S:
            raise SourceError(
                f"{url.host}{url.path}: the Hub asks to wait {asked:,} s (status {response.status_code}); at most "
                f"{LONGEST_WAIT_S} s are waited; try again later, or log in for a higher limit"
            )
        if asked > TOLD_WAIT_S:
            logger.warning("%s: the Hub asks to wait %d s; waiting", url.host, asked)


_waits = _Waits()


@contextmanager
def hub_errors(where: str) -> Iterator[None]:
    """Whatever the Hub client raises, as one SourceError that says where and what to do; no wait is long and silent."""
    try:
        with _waits:
            yield
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"{where}: {advice(error)}") from error
