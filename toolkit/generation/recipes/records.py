"""What recipes start from: records of a JSON Lines file, or of the scene engine.

A record is an object; values under `image`, `images` or names ending in `_image` are paths of pictures, relative to the
file. `source` and `license` go into the row.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from pydantic import ValidationError

from toolkit.errors import SHOWN, SourceError, UsageError
from toolkit.generation.core.options import problems_of
from toolkit.generation.core.protocol import Draw
from toolkit.generation.core.records import Record, RecordModel, picture_keys, reject
from toolkit.generation.core.spec import SourceSpec
from toolkit.generation.core.texts import whole_texts
from toolkit.generation.procedural.procedural import script_of
from toolkit.generation.recipes.recipe import Recipe
from toolkit.generation.sources import stage
from toolkit.scene.difficulty import USUAL


class Records(Protocol):
    """Records by index; `sha256` is cheap, `read` opens pictures.

    Attributes:
        longest: bytes of text of a record, at most; 0 = there are no texts from outside.
        is_instant: nothing is read or drawn.
        is_given: they are of a source, and not drawn.
        lost: reason -> rows of the source that gave no record, and pictures that could not be had.
    """

    longest: int
    is_instant: bool
    is_given: bool
    lost: Mapping[str, int]

    def __len__(self) -> int: ...

    def sha256(self, index: int) -> str: ...

    def read(self, index: int, seed: int) -> Record: ...


class NoRecords:
    """For recipes that start from nothing, or from what the scene engine draws for their index."""

    longest = 0
    is_given = False
    lost: Mapping[str, int] = MappingProxyType({})

    def __init__(self, script: str, difficulty: str = USUAL) -> None:
        self._record, self._difficulty = script_of(script).record, difficulty
        self.is_instant = self._record is None

    def __len__(self) -> int:
        return 2**31

    def sha256(self, index: int) -> str:
        return ""

    def read(self, index: int, seed: int) -> Record:
        return self._record(Draw.of(seed, index, self._difficulty)) if self._record else Record()


class _Line(NamedTuple):
    place: int
    sha256: str
    length: int


class JsonLines:
    """A file with a record a line. Lines are found and checked once; a record is read when it is asked for.

    Args:
        kind: of the records; n: so many are checked.
        lost: reason -> what its source held and it does not.

    Raises:
        SourceError: the file cannot be read. UsageError: records are not of the kind.
    """

    is_instant = False
    is_given = True

    def __init__(
        self, path: Path, kind: type[RecordModel], n: int, lost: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._path, self.lost = path, lost
        try:
            found = path.stat()
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
        self._lines = _lines_of(path, (found.st_size, found.st_mtime_ns), kind, n)
        self.longest = max((line.length for line in self._lines), default=0)

    def __len__(self) -> int:
        return len(self._lines)

    def sha256(self, index: int) -> str:
        return self._lines[index].sha256

    def read(self, index: int, seed: int) -> Record:
        line = self._lines[index]
        with self._path.open("rb") as file:
            file.seek(line.place)
            text = file.readline()
        try:
            values = whole_texts(json.loads(text))
        except (ValueError, RecursionError) as error:
            reject("source", "not_json", f"line {index + 1}: {error}")
        if not isinstance(values, dict):
            reject("source", "not_an_object", f"line {index + 1}: {type(values).__name__}")
        return Record(sha256=line.sha256, values=values, images=self._images(values))

    def _images(self, values: Mapping[str, Any]) -> dict[str, bytes]:
        """Pictures by name; those of a list are "images/0", "images/1", ..."""
        found: dict[str, bytes] = {}
        for name, value in picture_keys(values):
            if isinstance(value, list):
                found |= {f"{name}/{number}": self._open(path) for number, path in enumerate(value) if path}
            elif isinstance(value, str) and value:
                found[name] = self._open(value)
        return found

    def _open(self, name: str) -> bytes:
        try:
            path = (self._path.parent / name).resolve()
            if not path.is_relative_to(self._path.parent.resolve()):
                reject("source", "image_outside", name)
            return path.read_bytes()
        except OSError as error:
            reject("source", "missing_image", f"{name}: {error.strerror}")
        except ValueError as error:
            reject("source", "missing_image", f"{name!r}: {error}")


@lru_cache(8)
def _lines_of(path: Path, stamp: tuple[int, int], kind: type[RecordModel], n: int) -> list[_Line]:
    """Lines that hold a record.

    Args:
        stamp: size and time, so that a file that changes is read anew.
    """
    lines: list[_Line] = []
    problems: list[str] = []
    try:
        with path.open("rb") as file:
            place = 0
            for number, line in enumerate(file, 1):
                if text := line.strip():
                    if len(lines) < n:
                        problems += [f"line {number}: {problem}" for problem in _problems(text, kind)]
                    lines.append(_Line(place, hashlib.sha256(text).hexdigest(), len(text)))
                place += len(line)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    if problems:
        more = f" (+{len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise UsageError(f"{path}: not records of this recipe: {'; '.join(problems[:SHOWN])}{more}")
    return lines


def _problems(text: bytes, kind: type[RecordModel]) -> list[str]:
    try:
        values = json.loads(text)
        kind.model_validate(values)
    except ValidationError as error:
        return list(problems_of(error, kind))
    except (ValueError, RecursionError) as error:
        return [f"no JSON: {error}"]
    return []


def _given(recipe: Recipe, kind: type[RecordModel], source: SourceSpec, n: int) -> JsonLines:
    if source.is_plain:
        found = JsonLines(Path(source.path), kind, n)
    else:
        staged = stage(source, kind, n)
        found = JsonLines(staged.path, kind, n, lost=staged.lost)
    if n and not len(found):
        why = "; ".join(f"{count:,} were left out: {reason}" for reason, count in found.lost.items())
        raise SourceError(f"recipes.{recipe.name}: {source.path} holds no record{': ' if why else ''}{why}")
    return found


def open_records(
    recipe: Recipe, source: SourceSpec | None, n: int, *, is_procedural: bool, difficulty: str = USUAL
) -> Records:
    """
    Args:
        n: records that are wanted.
        difficulty: of what the scene engine draws.

    Raises:
        UsageError: the recipe needs a file and has none, or has one and needs none; or its records are wrong.
    """
    if recipe.record is None:
        if source:
            raise UsageError(f"recipes.{recipe.name}: starts from nothing; remove source")
        return NoRecords("")
    if source:
        return _given(recipe, recipe.record, source, n)
    if not recipe.needs_record or (is_procedural and script_of(recipe.script).record):
        return NoRecords(recipe.script if is_procedural else "", difficulty)
    needed = [name for name, each in recipe.record.model_fields.items() if each.is_required()]
    raise UsageError(
        f"recipes.{recipe.name}: needs records of {', '.join(needed)}; add source: FILE.jsonl, or another source (only "
        "where the scene engine plays every role does it draw them itself)"
    )
