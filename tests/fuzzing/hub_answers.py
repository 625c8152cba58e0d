"""Answers of the Hub: bytes changed, JSON with values changed, other statuses, redirects, cut off, huge, slow."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from random import Random
from typing import Any, NamedTuple
from unittest.mock import patch

from tests.fuzzing.mutations import changed_bytes, changed_value
from tests.fuzzing.packed import packed, streamed, truth
from tests.fuzzing.surface import as_json, scratch, surface
from tests.hub import LoopbackHub
from toolkit.sources.hub_waits import LONGEST_WAIT_S

REPO = "org/fuzz"
WHERE_TO = (
    "/", "/api/datasets/org/fuzz", "//127.0.0.1:1/x", "http://127.0.0.1:1/x", "file:///etc/passwd", "http://[", "",
    "gopher://localhost/x", "/datasets/org/fuzz/resolve/main/../../../../etc/passwd", "http://user:secret@127.0.0.1:1/",
)  # fmt: skip
HEADERS = (
    b"Content-Length: 99999999999", b"Content-Length: -1", b"Content-Length: x", b"Transfer-Encoding: chunked",
    b"Content-Encoding: gzip", b"Content-Range: bytes 5-1/0", b"ETag: \xff\xfe", b"X-Repo-Commit: ../../x",
    b"X-Linked-Size: -5", b"X-Linked-Etag: \"" + b"e" * 5_000 + b"\"", b"Retry-After: 9999999999", b"Retry-After: -3",
    b"Link: <http://127.0.0.1:1/next>; rel=\"next\"", b"RateLimit: \"api\";r=0;t=999999999",
)  # fmt: skip
MOST_SLEEP_S = 2 * LONGEST_WAIT_S


class Fault(NamedTuple):
    """What becomes of answers from the first on: of one, or of all.

    Attributes:
        at: the first answer that is another.
        is_once: the next are as they should be.
        how: see `garbled`.
        seed: of its dice.
    """

    at: int
    is_once: bool
    how: str
    seed: int


HOWS = (
    "bytes",
    "bytes",
    "body",
    "json",
    "json",
    "json",
    "status",
    "redirect",
    "header",
    "header",
    "cut",
    "huge",
    "deep",
)


def fault(dice: Random) -> Fault:
    return Fault(dice.randrange(8), dice.random() < 0.5, dice.choice(HOWS), dice.getrandbits(32))


def garbled(answer: bytes, how: str, dice: Random) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    if how == "bytes":
        return changed_bytes(answer, dice)
    if how == "cut":
        return answer[: dice.randrange(len(answer))]
    if how == "status":
        status = dice.choice((100, 101, 204, 206, 301, 304, 400, 401, 403, 404, 408, 416, 418, 429, 500, 503, 999))
        return head.replace(head[:12], b"HTTP/1.1 %d" % status, 1) + b"\r\n\r\n" + body
    if how == "redirect":
        to = dice.choice(WHERE_TO).encode()
        return b"HTTP/1.1 %d Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (dice.choice((301, 302, 307)), to)
    if how == "header":
        lines = head.split(b"\r\n")
        lines.insert(dice.randrange(1, len(lines) + 1), dice.choice(HEADERS))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body
    return with_body(head, other_body(body, how, dice))


def other_body(body: bytes, how: str, dice: Random) -> bytes:
    if how == "huge":
        return b"[" + b" " * (8 << 20) + body
    if how == "deep":
        return b"[" * dice.randrange(900, 100_000)
    if how == "json":
        try:
            return as_json(changed_value(json.loads(body), dice))
        except ValueError:
            pass
    return changed_bytes(body, dice)


def with_body(head: bytes, body: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body


@cache
def hub() -> LoopbackHub:
    found = LoopbackHub()
    shutil.rmtree(found.uploads)
    found.uploads = scratch() / "uploads"
    found.uploads.mkdir()
    found.add_folder(REPO, packed().folder)
    return found


@contextmanager
def reached(garble: Callable[[bytes], bytes], sleep: Callable[[float], None]) -> Iterator[None]:
    """The client asks our Hub, whose answers go through `garble`, and sleeps as `sleep` does."""
    from huggingface_hub import HfFileSystem, constants

    url = hub().url
    ours: Any = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_DISABLE_XET": True,
    }
    HfFileSystem.clear_instance_cache()
    hub().garble = garble
    try:
        with patch.multiple(constants, **ours), patch.object(time, "sleep", sleep):
            yield
    finally:
        hub().garble = None
        HfFileSystem.clear_instance_cache()


@surface(fault)
def hub_answers(given: Fault) -> str:
    """A packed dataset of the Hub, as a loader streams it, with page checksums."""
    whole, dice, numbers = truth(), Random(given.seed), count()
    asleep: list[float] = []

    def garble(answer: bytes) -> bytes:
        number = next(numbers)
        is_other = number == given.at if given.is_once else number >= given.at
        return garbled(answer, given.how, dice) if is_other else answer

    try:
        with reached(garble, asleep.append):
            found = list(streamed(REPO, verify=True))
    finally:
        assert sum(asleep) <= MOST_SLEEP_S, f"waits {sum(asleep):,.0f} s in all, {max(asleep):,.0f} s at once"
    assert found == whole, "other rows, though checksums were compared"
    return "equal"
