"""A model's answers, keyed by row id: JSON Lines, or a folder.

    answers.jsonl      {"id": "uvbench1-colours-00001", "answer": [{"type": "text", "text": "..."},
                                                                   {"type": "image", "image": "pictures/1.png"}]}
                       An answer may also be one text. An image is a path beside the file, or base64, or a data URI.
    a folder           with an answers.jsonl; or <id>.txt and <id>.png (.jpg, .webp); or <id>/ with parts in the order
                       of their names

Whatever is wrong with an answer is a fault of that answer, by kind; the others are read.
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ImageError, SourceError
from toolkit.evaluation.items import Pixels, Reply
from toolkit.images import check_size, decode_image

MAX_PIXELS = 1 << 24  # of a picture in an answer
MAX_BYTES = 1 << 26  # of a record, a text or an encoded picture
MAX_PARTS = 256
SUFFIXES = (".txt", ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


class Fault(Exception):
    """What is wrong with one answer: `kind` is the word it is counted under."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Answers:
    """Answers by id; only where they lie is kept in memory.

    Attributes:
        counts: what was found that belongs to no single answer: "not_json", "no_id", "duplicate".

    Raises:
        SourceError: there is no such file or folder, or it holds no answers.
    """

    def __init__(self, path: Path) -> None:
        self.counts: Counter[str] = Counter()
        self._lines: dict[str, tuple[int, int]] = {}
        self._files: dict[str, list[Path]] = {}
        if path.is_dir() and not (path / "answers.jsonl").is_file():
            self.root, self.file = path, None
            self._files = _by_id(path)
        else:
            self.file = path / "answers.jsonl" if path.is_dir() else path
            self.root = self.file.parent
            self._lines = dict(self._index())
        if not self._lines and not self._files:
            raise SourceError(f"{path}: no answers; expected JSON Lines with id and answer, or files named by id")

    def __len__(self) -> int:
        return len(self._lines) or len(self._files)

    def ids(self) -> Iterator[str]:
        yield from self._lines or self._files

    def read(self, id: str) -> Reply:
        """
        Raises:
            Fault: there is no such answer, or it cannot be read.
        """
        if id in self._lines:
            return self._reply(self._record(*self._lines[id]))
        if id in self._files:
            return _joined([self._part(path) for path in self._files[id][: MAX_PARTS + 1]])
        raise Fault("missing", "no answer with this id")

    def _index(self) -> Iterator[tuple[str, tuple[int, int]]]:
        assert self.file is not None
        seen: set[str] = set()
        if self.file.exists() and not self.file.is_file():
            raise SourceError(f"{self.file}: not a file; answers are read more than once, which a pipe cannot do")
        try:
            with self.file.open("rb") as file:
                place = 0
                while line := file.readline(MAX_BYTES):
                    start, place = place, place + len(line)
                    if not line.strip():
                        continue
                    id = _id_of(line)
                    if id is None or id in seen:
                        self.counts["no_id" if id is None else "duplicate"] += 1
                        continue
                    seen.add(id)
                    yield id, (start, len(line))
        except OSError as error:
            raise SourceError(f"{self.file}: cannot be read: {error.strerror}") from error

    def _record(self, start: int, size: int) -> Any:
        assert self.file is not None
        with self.file.open("rb") as file:
            file.seek(start)
            return json.loads(file.read(size)).get("answer")

    def _reply(self, answer: Any) -> Reply:
        if isinstance(answer, str):
            return Reply(text=answer)
        if not isinstance(answer, list) or not all(isinstance(part, dict | str) for part in answer):
            raise Fault("bad_record", f"answer is {type(answer).__name__}; expected a text, or a list of parts")
        return _joined([self._said(part) for part in answer[: MAX_PARTS + 1]])

    def _said(self, part: Any) -> str | Pixels:
        if isinstance(part, str):
            return part
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            return str(part["text"])
        if part.get("type") == "image" and isinstance(part.get("image"), str):
            return _picture(self._bytes(part["image"]))
        raise Fault(
            "bad_record", f"a part with the keys {sorted(map(str, part))[:5]}; expected type and text, or image"
        )

    def _bytes(self, image: str) -> bytes:
        if image.startswith("data:") or len(image) > 1024:
            try:
                return base64.b64decode(image.partition(",")[2] if image.startswith("data:") else image, validate=True)
            except (binascii.Error, ValueError) as error:
                raise Fault("bad_base64", str(error)) from error
        try:
            path = (self.root / image).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # NUL, half a surrogate pair, links in a circle
            raise Fault("missing_image", f"{image!r} cannot be a path: {error}") from error
        if not path.is_relative_to(self.root.resolve()):
            raise Fault("image_outside", f"{image!r} lies outside of {self.root}")
        return _file(path)

    def _part(self, path: Path) -> str | Pixels:
        data = _file(path)
        return data.decode("utf-8", errors="replace") if path.suffix.lower() == ".txt" else _picture(data)


def _id_of(line: bytes) -> str | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record["id"] if isinstance(record, dict) and isinstance(record.get("id"), str) else None


def _by_id(folder: Path) -> dict[str, list[Path]]:
    """Text before pictures where both stand beside each other."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda each: (each.stem, each.suffix.lower() != ".txt", each.name)):
        if path.is_dir():
            parts = sorted(each for each in path.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file())
            found.setdefault(path.name, []).extend(parts)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return {id: paths for id, paths in found.items() if paths}


def _file(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Fault("missing_image", f"{path.name} is not there")
        if path.stat().st_size > MAX_BYTES:
            raise Fault("too_large", f"{path.name} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise Fault("missing_image", f"{path.name} cannot be read: {error.strerror}") from error


def _picture(data: bytes) -> Pixels:
    try:
        check_size(data, "picture")
        picture = decode_image(data, "picture", max_pixels=MAX_PIXELS)
    except ImageError as error:
        raise Fault(error.kind, str(error)) from error
    if min(picture.size) < 64:
        raise Fault("too_small", f"a picture of {picture.width} x {picture.height} pixels; at least 64 are read")
    return np.asarray(picture)


def _joined(parts: list[str | Pixels]) -> Reply:
    if len(parts) > MAX_PARTS:
        raise Fault("too_many_parts", f"more than {MAX_PARTS} parts")
    return Reply(
        text="\n".join(part for part in parts if isinstance(part, str)),
        pictures=tuple(part for part in parts if not isinstance(part, str)),
    )
