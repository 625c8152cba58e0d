"""What is kept of batches, so that a killed process makes no second one. Each file is whole or not there:

    batches/0001-<hash>.jsonl         its requests, written before anything is sent; custom_id = key of the call
    batches/0001-<hash>.remote.json   its id at the server, written before it is asked how far it is
    batches/0001-<hash>.out.jsonl     what came back, good and bad
    batches/0001-<hash>.gone.jsonl    in place of the requests of a batch that the server no longer has

Killed between making a batch and noting its id, the next run finds it among the server's batches by its metadata.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit.staging.files import write_whole

MAX_REQUESTS, MAX_BYTES = 50_000, 200_000_000


class BatchFile:
    """One batch.

    Attributes:
        forgotten: its ids at the server that came to nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.stem
        self.forgotten: set[str] = set()

    @cached_property
    def keys(self) -> list[str]:
        return [json.loads(line)["custom_id"] for line in self.path.read_text("utf-8").split("\n") if line]

    @property
    def out(self) -> Path:
        return self.path.with_suffix(".out.jsonl")

    @property
    def _noted(self) -> Path:
        return self.path.with_suffix(".remote.json")

    def remote(self) -> str:
        """Its id at the server; "" = not noted."""
        return str(json.loads(self._noted.read_text("utf-8"))["id"]) if self._noted.exists() else ""

    def note_remote(self, id: str, metadata: Mapping[str, str]) -> None:
        write_whole(self._noted, json.dumps({"id": id, **metadata}))

    def forget_remote(self, id: str) -> None:
        self.forgotten.add(id)
        self._noted.unlink(missing_ok=True)

    def drop(self) -> None:
        """Its calls are to be asked in another."""
        _ = self.keys
        self.path.rename(self.path.with_suffix(".gone.jsonl"))
        self._noted.unlink(missing_ok=True)

    def keep(self, text: str) -> dict[str, dict[str, Any]]:
        """What came back, as it came; read by `lines_of`."""
        write_whole(self.out, text)
        return lines_of(text)


class BatchFolder:
    """All batches of one backend in one part of a run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "RUN"
        if not path.exists():
            write_whole(path, uuid.uuid4().hex)
        self.run = path.read_text()

    def _all(self) -> list[BatchFile]:
        paths = sorted(self._folder.glob("[0-9]*.jsonl"))
        return [BatchFile(path) for path in paths if not path.name.endswith((".out.jsonl", ".gone.jsonl"))]

    def under_way(self) -> dict[str, BatchFile]:
        """Key of a call -> its batch, of those that have not ended."""
        return {key: batch for batch in self._all() if not batch.out.exists() for key in batch.keys}

    def answered(self) -> dict[str, dict[str, Any]]:
        """Key of a call -> its good line."""
        ended = [batch.out.read_text("utf-8") for batch in self._all() if batch.out.exists()]
        return {key: line for text in ended for key, line in lines_of(text).items() if is_good(line)}

    def write(self, lines: list[str]) -> BatchFile:
        content = "".join(f"{line}\n" for line in lines)
        number = sum(not each.name.endswith(".out.jsonl") for each in self._folder.glob("[0-9]*.jsonl")) + 1
        path = self._folder / f"{number:04d}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.jsonl"
        write_whole(path, content)
        return BatchFile(path)


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


def lines_of(text: str) -> dict[str, dict[str, Any]]:
    """custom_id -> its line; of several the first that is good. What is no line of a batch is as if it were missing."""
    found: dict[str, dict[str, Any]] = {}
    for each in filter(str.strip, text.split("\n")):  # splitlines would also split at U+2028 inside a text
        try:
            line = json.loads(each)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(key := line.get("custom_id"), str):
            found[key] = found[key] if key in found and (is_good(found[key]) or not is_good(line)) else line
    return found


def is_good(line: Mapping[str, Any]) -> bool:
    response = line.get("response")
    return not line.get("error") and isinstance(response, dict) and response.get("status_code", 200) == 200
