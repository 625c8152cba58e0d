"""Addresses -> pictures: by many threads, each address once, of bounded size and time. What a server refuses is
remembered too, but not that it was not reached. As img2dataset does, pictures whose server says that they are not for
training are left out.
"""

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple

from toolkit import __version__
from toolkit.errors import ImageError
from toolkit.images import check_is_image, image_format
from toolkit.staging.files import write_whole
from toolkit.staging.marks import is_whole, mark, result_of

THREADS, TIMEOUT_S, TRIES = 16, 10.0, 2
DEADLINES = 6  # times the timeout, for a whole picture
NOT_REACHED = "not_reached"
MAX_BYTES = 20 << 20  # of a picture
DISALLOWED = {"noai", "noimageai", "noindex", "noimageindex"}  # of X-Robots-Tag; img2dataset's list
_PASSING = {408, 429, 500, 502, 503, 504}  # asked for again


class Fetched(NamedTuple):
    """A picture on this machine, or why there is none."""

    path: Path | None
    problem: str = ""


class Downloads:
    """A folder of pictures by address. Threads and processes may share it."""

    def __init__(self, folder: Path, *, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> None:
        self._folder, self._timeout_s, self._max_bytes = folder, timeout_s, max_bytes

    def all(self, addresses: Iterable[str]) -> Iterator[tuple[str, Fetched]]:
        """Every address once, in no order that means anything."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="downloads") as threads:
            wanted = list(dict.fromkeys(addresses))
            yield from zip(wanted, threads.map(self.get, wanted), strict=True)

    def get(self, address: str) -> Fetched:
        key = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
        note = self._folder / key[:2] / f"{key}.json"
        if is_whole(note) and (known := result_of(note)):
            suffix = known[0]["suffix"]
            return Fetched(note.with_suffix(f".{suffix}") if suffix else None, known[0]["problem"])
        found = self._download(address)
        note.parent.mkdir(parents=True, exist_ok=True)
        if found == NOT_REACHED:
            return Fetched(None, NOT_REACHED)
        if isinstance(found, str):
            mark(note, {"url": address, "suffix": "", "problem": found})
            return Fetched(None, found)
        path = note.with_suffix(f".{image_format(found)}")
        write_whole(path, found)
        mark(note, {"url": address, "suffix": path.suffix[1:], "problem": ""}, [path])
        return Fetched(path)

    def _download(self, address: str) -> bytes | str:
        """The bytes, or a problem of a word or two."""
        problem = ""
        for _ in range(TRIES):
            try:
                return self._asked(address)
            except urllib.error.HTTPError as error:
                problem = f"http_{error.code}"
                if error.code not in _PASSING:
                    break
            except ImageError:
                return "no_picture"
            except _Unwanted as error:
                return str(error)
            except (OSError, HTTPException):
                problem = NOT_REACHED
            except ValueError:
                return "no_address"
        return problem

    def _asked(self, address: str) -> bytes:
        if not address.startswith(("http://", "https://")):
            raise ValueError(address)
        headers = {"User-Agent": f"unifiedvisual/{__version__} (dataset builder)"}
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
            said = ",".join(answer.headers.get_all("X-Robots-Tag") or ()).lower()
            if DISALLOWED & {word.strip() for part in said.split(",") for word in part.split(":")[-1:]}:
                raise _Unwanted("not_for_training")
            content = self._body(answer)
        check_is_image(content, address)
        return content

    def _body(self, answer: HTTPResponse) -> bytes:
        content, end = b"", time.monotonic() + DEADLINES * self._timeout_s
        while piece := answer.read1(1 << 16):
            content += piece
            if len(content) > self._max_bytes:
                raise _Unwanted("too_large")
            if time.monotonic() > end:
                raise _Unwanted("too_slow")
        if answer.length:  # bytes that were announced and did not come
            raise ConnectionError(f"{answer.length} bytes are missing")
        return content


class _Unwanted(Exception):
    pass
