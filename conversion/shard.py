"""The folder a shard's files are written to, and how the folders of all shards become the output.

files/...       moved into <out> as they are
lines/<name>    joined in shard order into <out>/<name>
ids.txt         ids of the rows kept, to find one that two shards share
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from conversion.report import Tally
from toolkit.errors import RowError, shorten
from toolkit.images import image_format
from toolkit.schema import EncodedImage, Row
from toolkit.staging.checksums import known, note, note_bytes, open_noted
from toolkit.staging.files import sync_folder, sync_tree, write_whole

Notes = dict[str, Any]  # what a format wants to remember of a shard for its top-level files; JSON


def suffix_of(image: EncodedImage) -> str:
    """Suffix by content, never by name; "bin" where the content is of no format we know."""
    return image_format(image.bytes) or "bin"


def json_line(value: object) -> bytes:
    """One line of ASCII JSON: several trainers open their files in the encoding of the machine."""
    return json.dumps(value, separators=(", ", ": ")).encode("ascii") + b"\n"


class ShardFolder:
    """Where a format's writer puts the files of one shard.

    Attributes:
        number: of the shard, counted from 0.
        tally: counters of the shard.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.tally = Tally()
        self._folder = folder
        self._files = ExitStack()
        self._lines: dict[str, BinaryIO] = {}
        self._ids: set[str] = set()
        self._made: set[str] = set()
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        (folder / "files").mkdir(parents=True)
        (folder / "lines").mkdir()

    def __enter__(self) -> "ShardFolder":
        return self

    def __exit__(self, *error: object) -> None:
        self._files.close()

    def open(self, path: Path) -> BinaryIO:
        """A file to write, closed with the shard if not before."""
        return self._files.enter_context(open_noted(path))

    def path(self, name: str) -> Path:
        """Place of a file that ends up as `<out>/<name>`."""
        place = f"{self._folder}/files/{name}"
        if (parent := place.rpartition("/")[0]) not in self._made:
            Path(parent).mkdir(parents=True, exist_ok=True)
            self._made.add(parent)
        return Path(place)

    def line(self, name: str, value: object) -> None:
        """Adds a line to this shard's piece of `<out>/<name>` and counts a record."""
        if name not in self._lines:
            self._lines[name] = self.open(self._folder / "lines" / name.replace("/", "%"))
        self._lines[name].write(json_line(value))
        self.tally.records_out += 1

    def image(self, row: Row, number: int, folder: str = "images") -> str:
        """Writes `row.images[number]` and returns its name under `<out>`."""
        name = f"{folder}/{self.number:05d}/{row.id}-{number}.{suffix_of(row.images[number])}"
        path, content = self.path(name), row.images[number].bytes
        path.write_bytes(content)
        note_bytes(path, content)
        self.tally.images_out += 1
        return name

    def claim(self, row_id: str) -> bool:
        """Whether no earlier row of the shard has this id."""
        known = row_id in self._ids
        self._ids.add(row_id)
        return not known

    def finish(self, notes: Notes) -> dict[str, Any]:
        """Everything is written: brings it all to the disk, and returns tally and notes, as JSON."""
        self._files.close()
        (self._folder / "ids.txt").write_text("".join(f"{row_id}\n" for row_id in sorted(self._ids)), encoding="ascii")
        for place, _, names in os.walk(self._folder):  # formats may also write by themselves
            for path in (Path(place, name) for name in names):
                note(path, known(path))
        sync_tree(self._folder)
        return {"tally": asdict(self.tally), "notes": notes}


def join_lines(folders: Sequence[Path], out: Path, wraps: Mapping[str, tuple[str, str]]) -> None:
    """Joins the shards' pieces of every file in shard order, in one pass.

    Args:
        wraps: name -> head and tail; the lines between them are separated by commas. Any other file is JSON Lines.
    """
    names = {piece.name.replace("%", "/") for folder in folders for piece in (folder / "lines").iterdir()}
    for name in sorted(names | set(wraps)):
        pieces = [piece for folder in folders if (piece := folder / "lines" / name.replace("/", "%")).exists()]
        write_whole(out / name, _wrapped(_lines(pieces), *wraps[name]) if name in wraps else _lines(pieces))


def _lines(pieces: Iterable[Path]) -> Iterator[bytes]:
    for piece in pieces:
        with piece.open("rb") as file:
            yield from file


def _wrapped(lines: Iterator[bytes], head: str, tail: str) -> Iterator[bytes]:
    yield head.encode()
    separator = b""
    for line in lines:
        yield separator + line.rstrip(b"\n")
        separator = b",\n"
    yield tail.encode()


def move_files(folders: Sequence[Path], out: Path) -> None:
    """Moves `files/` of every shard into `out`; a second call moves what the first left."""
    for changed in {place for folder in folders for place in _move_into(folder / "files", out)}:
        sync_folder(changed)


def _move_into(source: Path, target: Path) -> set[Path]:
    """The folders that have new names in them."""
    changed = set()
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            changed |= _move_into(entry, place)
        else:
            entry.replace(place)
            changed.add(target)
    return changed


def check_ids(folders: Sequence[Path]) -> None:
    """Raises RowError when two shards hold rows of the same id. Holds 8 bytes per row."""
    files = [folder / "ids.txt" for folder in folders]
    digests = [np.fromiter((_digest(line) for line in _lines([file])), dtype=np.uint64) for file in files]
    values, counts = np.unique(np.concatenate(digests), return_counts=True) if digests else (np.array([]), np.array([]))
    suspects = set(values[counts > 1].tolist())
    if suspects:
        found = Counter(line.decode().strip() for line in _lines(files) if _digest(line) in suspects)
        twice = [row_id for row_id, count in found.items() if count > 1]
        raise RowError(
            f"ids occur in more than one shard: {shorten(twice)}; ids must be unique, for they name files and samples",
            kind="duplicate_id",
        )


def _digest(line: bytes) -> int:
    return int.from_bytes(blake2b(line, digest_size=8).digest(), "little")
