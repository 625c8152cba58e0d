"""A file, a folder or a dataset of the Hub -> rows, one after another, from any row on.

.jsonl, .jsonl.gz, .jsonl.zip    an object a line; of a zip, its members one after another
.json                            a list of objects, or an object of objects, read piece by piece
.parquet, .csv
a folder                         a packed dataset (MANIFEST.json), Parquet files (also under data/), train.jsonl or
                                 metadata.jsonl with pictures, or pictures alone: `image`, `label` (their folder)
org/name                         of the Hub, streamed
"""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from toolkit.errors import SHOWN, SourceError, UnifiedVisualError, UsageError
from toolkit.generation.core.spec import SourceSpec
from toolkit.images.files import PATH_SUFFIXES
from toolkit.parsing import load_record
from toolkit.sources.manifest import MANIFEST
from toolkit.sources.published.zips import ZIP_ERRORS, read_member

Rows: TypeAlias = Iterator[dict[str, Any]]
LISTS = ("metadata.jsonl", "train.jsonl")  # of a folder of pictures: imagefolder's, LLaVA-CoT-100k's
_CHUNK = 1 << 16  # characters


def open_rows(source: SourceSpec, start: int) -> Rows:
    """Rows from number `start` on.

    Raises:
        SourceError: it cannot be read. UsageError: nothing knows how.
    """
    path = Path(source.path)
    if source.is_remote:
        return _hub_rows(source, start)
    if not path.exists():
        raise SourceError(f"{path}: cannot be read: no such file or folder")
    if path.is_dir():
        return _folder_rows(source, path, start)
    return islice(_file_rows(path), start, None)


def _file_rows(path: Path) -> Rows:
    name = path.name.lower()
    try:
        if name.endswith((".jsonl", ".ndjson")):
            with path.open("rb") as file:
                yield from _lines(file, path)
        elif name.endswith(".jsonl.gz"):
            with gzip.open(path) as file:
                yield from _lines(file, path)
        elif name.endswith(".zip"):
            yield from _zip_rows(path)
        elif name.endswith(".json"):
            yield from _json_rows(path)
        elif name.endswith(".parquet"):
            yield from _parquet_rows([path], 0)
        elif name.endswith(".csv"):
            with path.open(encoding="utf-8-sig", newline="") as file:
                yield from csv.DictReader(file)
        else:
            raise UsageError(f"{path}: is of no kind that is read; {_KINDS}")
    except UnifiedVisualError:
        raise
    except (csv.Error, *ZIP_ERRORS) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error


_KINDS = "expected .jsonl, .jsonl.gz, .jsonl.zip, .json, .parquet, .csv, a folder, or a dataset of the Hub"


def _lines(file: Iterable[bytes], path: Path) -> Rows:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield load_record(line, f"{path}: line {number}")


def _zip_rows(path: Path) -> Rows:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith((".jsonl", ".ndjson"))):
            with archive.open(name) as file:
                yield from _lines(file, path / name)


def _json_rows(path: Path) -> Rows:
    """A list of objects, or an object of objects as CoT-Collection has them, without holding all of it."""
    decode, text, is_end = json.JSONDecoder().raw_decode, "", False
    with path.open(encoding="utf-8") as file:
        text = file.read(_CHUNK).lstrip("\ufeff \t\r\n")
        if text[:1] not in ("[", "{"):
            raise SourceError(f"{path}: is neither a list nor an object")
        is_list, text = text[0] == "[", text[1:]
        while True:
            text = text.lstrip(" \t\r\n,")
            if text[:1] in ("]", "}"):
                return
            try:
                key, place = (None, 0) if is_list else decode(text)
                rest = text[place:].lstrip(" \t\r\n:") if place else text
                value, place = decode(rest)
            except (ValueError, RecursionError) as error:
                if is_end:
                    raise SourceError(f"{path}: no JSON: {error}") from error
                more = file.read(max(_CHUNK, len(text)))
                text, is_end = text + more, not more
                continue
            if not isinstance(value, dict):
                raise SourceError(f"{path}: {key!r} is {type(value).__name__}; expected an object")
            yield value
            text = rest[place:]


def _folder_rows(source: SourceSpec, path: Path, start: int) -> Rows:
    data = path / "data" if (path / "data").is_dir() else path
    data = data / source.config if source.config else data
    found = sorted(data.rglob(f"{source.split}*.parquet")) or sorted(data.rglob("*.parquet"))
    if (path / MANIFEST).exists() or found:
        if not found:
            raise UsageError(f"{data}: holds no Parquet file; with config, name one of the folders under {path}/data")
        return _parquet_rows(found, start)
    if listed := next((path / name for name in LISTS if (path / name).exists()), None):
        return islice(_file_rows(listed), start, None)
    return islice(_picture_rows(path), start, None)


def _picture_rows(path: Path) -> Rows:
    pictures = sorted(each for each in path.rglob("*") if each.suffix.lower().lstrip(".") in _SUFFIXES)
    if not pictures:
        raise UsageError(f"{path}: holds no picture, no Parquet file and none of: {', '.join(LISTS)}")
    for each in pictures:
        yield {"image": str(each.relative_to(path)), "file_name": each.name, "label": each.parent.name}


_SUFFIXES = {each.lstrip(".") for each in PATH_SUFFIXES}


def _parquet_rows(paths: list[Path], start: int) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for path in paths:
        try:
            with pq.ParquetFile(path) as file:
                if start >= file.metadata.num_rows:
                    start -= file.metadata.num_rows
                    continue
                for batch in file.iter_batches(batch_size=16, use_threads=False):
                    yield from islice(batch.to_pylist(), min(start, batch.num_rows), None)
                    start = max(0, start - batch.num_rows)
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"{path}: cannot be read as Parquet: {error}") from error


def _hub_rows(source: SourceSpec, start: int) -> Rows:
    import datasets

    try:
        stream = datasets.load_dataset(
            source.path, source.config, split=source.split, revision=source.revision, streaming=True
        ).decode(False)
        yield from stream.skip(start) if start else stream
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise SourceError(f"{source.path}: cannot be read: {str(error)[:400]}") from error


def value_at(row: dict[str, Any], place: str) -> Any:
    """A column, or what is in one: "images.0", "messages.1.content"; a column of that very name comes first.

    Raises:
        KeyError: there is no such column.
    """
    if place in row:
        return row[place]
    name, _, rest = place.partition(".")
    found: Any = row[name]
    for step in rest.split("."):
        if isinstance(found, str):
            found = _parsed(found)
        if isinstance(found, list) and step.isdecimal():
            found = found[int(step)] if int(step) < len(found) else None
        elif isinstance(found, dict) and step in found:
            found = found[step]
        else:
            raise KeyError(place)
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class SplitFile(io.RawIOBase):
    """Files that were one, as `split` leaves them: archive.zip.part-aa, archive.zip.part-ab, ..."""

    def __init__(self, paths: list[Path]) -> None:
        self._files: list[BinaryIO] = [path.open("rb") for path in paths]
        self._ends: list[int] = []
        for path in paths:
            self._ends.append((self._ends[-1] if self._ends else 0) + path.stat().st_size)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._ends[-1])[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        number = next((number for number, end in enumerate(self._ends) if self._place < end), None)
        if number is None:
            return 0
        file, end = self._files[number], self._ends[number]
        file.seek(self._place - (self._ends[number - 1] if number else 0))
        found = file.read(min(len(buffer), end - self._place))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def archives(folder: Path) -> list[zipfile.ZipFile]:
    """Zip files of a folder, whole or split, for pictures that rows name and that do not lie there themselves.

    Raises:
        SourceError: one cannot be read.
    """
    opened = []
    parts: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.zip*")):
        parts.setdefault(path.name[: path.name.index(".zip") + 4], []).append(path)
    for name, paths in sorted(parts.items()):
        try:
            opened.append(zipfile.ZipFile(io.BufferedReader(SplitFile(paths))))
        except ZIP_ERRORS as error:
            found = ", ".join(path.name for path in paths[:SHOWN])
            raise SourceError(f"{folder / name}: cannot be read from {found}: {error}") from error
    return opened


def member_of(opened: Iterable[zipfile.ZipFile], wanted: str) -> bytes | None:
    """The first member of this name, or whose path ends so; None if there is none."""
    for archive in opened:
        for name in archive.namelist() if wanted not in archive.NameToInfo else (wanted,):
            if name == wanted or name.endswith(f"/{wanted}"):
                return read_member(archive, archive.getinfo(name))
    return None
