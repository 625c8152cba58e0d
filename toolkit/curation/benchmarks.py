"""Benchmarks, as they lie about: packed datasets, JSON Lines, folders of pictures; what is compared of each item."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.curation.features import Item, Items, items_of
from toolkit.curation.inputs import open_inputs
from toolkit.curation.look import pieces_of
from toolkit.errors import SourceError, UsageError
from toolkit.images.files import SUFFIXES
from toolkit.parsing import load_record
from toolkit.sources.manifest import MANIFEST

LINES = (".jsonl", ".ndjson")
PICTURES = tuple(f".{suffix}" for suffix in (*SUFFIXES.values(), "jpeg", "tif"))
# What benchmarks call their question, the likeliest first.
ASKED = ("question", "instruction", "prompt", "problem", "query", "input", "text", "caption")
SHOWN = ("image", "images", "image_path", "image_paths", "img", "image_file")


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """
    Attributes:
        pieces: that are read by a unit each.
        fingerprint: changes with its files.
    """

    name: str
    pieces: tuple[Items, ...]
    fingerprint: str


def open_benchmark(path: str | os.PathLike[str], *, token: str | bool | None = None) -> Benchmark:
    """
    Args:
        path: a packed dataset (a folder, org/name, hf://...), a file of JSON Lines, or a folder with such files and
            pictures. Of a line the question is compared (ASKED; where there is none, all its texts), and the pictures
            that it names (SHOWN), beside the file.

    Raises:
        UsageError: nothing to compare with is there. SourceError: it cannot be read.
    """
    place = Path(path)
    if not place.exists() or (place / MANIFEST).exists():
        [packed] = open_inputs([path], token=token)
        pieces = [partial(items_of, piece) for piece in pieces_of(packed, packed.manifest.tasks)]
        return Benchmark(name=packed.name, pieces=tuple(pieces), fingerprint=packed.fingerprint)
    files = [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.is_file())
    lines = [each for each in files if each.suffix.lower() in LINES]
    pictures = [each for each in files if each.suffix.lower() in PICTURES]
    if not lines and not pictures:
        raise UsageError(
            f"{path}: no JSON Lines ({', '.join(LINES)}), no pictures, no packed dataset; nothing to compare"
        )
    found: list[Items] = [partial(_read_lines, each) for each in lines]
    if pictures:
        found.append(partial(_read_pictures, tuple(pictures), place))
    stamps = [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in (*lines, *pictures)]
    return Benchmark(name=str(path), pieces=tuple(found), fingerprint=json.dumps(stamps))


def _read_pictures(paths: tuple[Path, ...], folder: Path) -> Iterator[Item]:
    for number, path in enumerate(paths):
        yield Item(row=number, id=str(path.relative_to(folder)), asked="", images=[path.read_bytes()])


def _read_lines(path: Path) -> Iterator[Item]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                record = load_record(line, f"{path}: line {number}")
                images = [each.read_bytes() for each in _pictures_of(record, path, number)]
                yield Item(row=number, id=f"{path.name}:{number}", asked=_question(record), images=images)


def _question(record: Mapping[str, Any]) -> str:
    named = next((record[name] for name in ASKED if isinstance(record.get(name), str)), "")
    return named or "\n".join(value for key, value in record.items() if isinstance(value, str) and key not in SHOWN)


def _pictures_of(record: Mapping[str, Any], path: Path, number: int) -> Iterator[Path]:
    for name in SHOWN:
        values = record.get(name, ())
        for value in [values] if isinstance(values, str) else values if isinstance(values, list) else ():
            if not isinstance(value, str) or not (place := path.parent / value).is_file():
                raise SourceError(
                    f"{path}: line {number}: {name} is {value!r:.100}, which is no file beside it; put it there, or "
                    f"leave {name!r} out of the lines"
                )
            yield place
