"""What recipes start from: records of a JSON Lines file, or of the scene engine.

A record is an object; values under `image`, `images` or names ending in `_image` are paths of pictures, relative to the
file. `source` and `license` go into the row.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from toolkit.errors import SourceError, UsageError
from toolkit.generation.core.records import Record, reject
from toolkit.generation.procedural.procedural import script_of
from toolkit.generation.recipes.recipe import Recipe


class Records(Protocol):
    """Records by index; `sha256` is cheap, `read` opens pictures."""

    def __len__(self) -> int: ...

    def sha256(self, index: int) -> str: ...

    def read(self, index: int, seed: int) -> Record: ...


class NoRecords:
    """For recipes that start from nothing, or from what the scene engine draws for their index."""

    def __init__(self, script: str) -> None:
        self._record = script_of(script).record

    def __len__(self) -> int:
        return 2**31

    def sha256(self, index: int) -> str:
        return ""

    def read(self, index: int, seed: int) -> Record:
        return self._record(seed, index) if self._record else Record()


class JsonLines:
    """A file with a record a line. Lines are found once; a record is read when it is asked for.

    Raises:
        SourceError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: list[tuple[int, str]] = []
        try:
            with path.open("rb") as file:
                place = 0
                for line in file:
                    if line.strip():
                        self._places.append((place, hashlib.sha256(line.strip()).hexdigest()))
                    place += len(line)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from error

    def __len__(self) -> int:
        return len(self._places)

    def sha256(self, index: int) -> str:
        return self._places[index][1]

    def read(self, index: int, seed: int) -> Record:
        place, sha256 = self._places[index]
        with self._path.open("rb") as file:
            file.seek(place)
            line = file.readline()
        try:
            values = json.loads(line)
        except ValueError as error:
            reject("source", "not_json", f"line {index + 1}: {error}")
        if not isinstance(values, dict):
            reject("source", "not_an_object", f"line {index + 1}: {type(values).__name__}")
        return Record(sha256=sha256, values=values, images=self._images(values))

    def _images(self, values: Mapping[str, Any]) -> dict[str, bytes]:
        """Pictures by name; those of a list are "images/0", "images/1", ..."""
        found: dict[str, bytes] = {}
        for name, value in values.items():
            if name == "images" and isinstance(value, list):
                found |= {f"images/{number}": self._open(path) for number, path in enumerate(value) if path}
            elif (name == "image" or name.endswith("_image")) and isinstance(value, str) and value:
                found[name] = self._open(value)
        return found

    def _open(self, name: str) -> bytes:
        path = (self._path.parent / name).resolve()
        if not path.is_relative_to(self._path.parent.resolve()):
            reject("source", "image_outside", name)
        try:
            return path.read_bytes()
        except OSError as error:
            reject("source", "missing_image", f"{name}: {error.strerror}")


def open_records(recipe: Recipe, source: str) -> Records:
    """
    Raises:
        UsageError: the recipe needs a file and has none.
    """
    if source:
        return JsonLines(Path(source))
    if recipe.record == "file":
        raise UsageError(f"recipes.{recipe.name}: needs records; add source: FILE.jsonl")
    return NoRecords(recipe.script if recipe.record else "")
