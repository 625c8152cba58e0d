"""Rows of a source -> records in the cache: `records.jsonl` with its pictures in `images`, as many as are wanted. What
is there is never read again: killed, or asked for more, it goes on with the next row. Rows that make no record, and
pictures that cannot be had, are counted in `skipped.jsonl`.

The cache is under HF_HOME, by what the source is: for files their size and time, for the Hub the commit.
"""

import datetime
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import SourceError, UsageError
from toolkit.generation.core.keys import canonical, digest
from toolkit.generation.core.records import RecordModel, picture_keys
from toolkit.generation.core.spec import SourceSpec
from toolkit.generation.core.texts import whole_texts
from toolkit.generation.sources.reading import archives, member_of, open_rows, value_at
from toolkit.generation.sources.shapes import SHAPES, Shape
from toolkit.images import image_format
from toolkit.sources.downloads import NOT_REACHED, Downloads, Fetched
from toolkit.staging.files import disk_errors, write_whole
from toolkit.staging.locks import hold
from toolkit.staging.marks import mark, result_of

VERSION = 1  # of what is staged; raise it when it changes
BATCH = 32  # rows whose pictures are fetched at the same time
WAIT_S = 3600.0  # for another process that stages the same
logger = logging.getLogger(__name__)
RECORDS, SKIPPED, END = "records.jsonl", "skipped.jsonl", "end"


@dataclass(frozen=True, kw_only=True)
class Staged:
    """
    Attributes:
        path: of the records.
        lost: reason -> rows that made no record, and pictures of pages that could not be had.
    """

    path: Path
    lost: Mapping[str, int]


def stage(source: SourceSpec, kind: type[RecordModel], n: int) -> Staged:
    """
    Args:
        kind: of the records.
        n: records that are wanted; there are less where the source ends before.

    Raises:
        SourceError: the source cannot be read. UsageError: it lacks columns of the records. DiskFull: no space is left.
    """
    source = _pinned(source)
    folder = cache_folder() / digest([VERSION, asdict(source), _stamp(source), sorted(kind.model_fields)])[:32]
    with disk_errors(folder, lambda: "more is"):
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder / ".lock", busy=f"{folder}: another process fills it; wait for it", wait_s=WAIT_S):
            stager = _Stager(source, kind, folder)
            if stager.records < n and not (folder / END).exists():
                stager.fill(n)
    with (folder / SKIPPED).open("rb") as file:
        lost = Counter(json.loads(line)["problem"] for line in file)
    return Staged(path=folder / RECORDS, lost=dict(lost.most_common()))


def cache_folder() -> Path:
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "unifiedvisual-sources"


class _Lost(Exception):
    pass


class _Read(NamedTuple):
    """A row on its way: the record with addresses and paths in it, or a problem."""

    values: dict[str, Any]
    problem: str = ""


class _Stager:
    def __init__(self, source: SourceSpec, kind: type[RecordModel], folder: Path) -> None:
        self._source, self._folder = source, folder
        self._keys = [name for name in kind.model_fields if name not in ("id", "source", "license")]
        self._optional = ("id", "source", "license")
        self._needed = [name for name, each in kind.model_fields.items() if each.is_required()]
        self._shape: Shape = SHAPES.load(source.shape)
        self._downloads = Downloads(folder / "downloads")
        self._base = Path(source.path) if Path(source.path).is_dir() else Path(source.path).parent
        self._archives = archives(self._base) if not source.is_remote and source.shape != "rows" else []
        self.records = _whole_lines(folder / RECORDS)
        self.rows = self.records + sum(each["is_row"] for each in _skipped(folder / SKIPPED))

    def fill(self, n: int) -> None:
        rows = open_rows(self._source, self.rows)
        with (self._folder / RECORDS).open("ab") as records, (self._folder / SKIPPED).open("ab") as skipped:
            while batch := list(islice(rows, BATCH)):
                read = [self._read(row) for row in batch]
                fetched = dict(self._downloads.all(self._addresses(read)))
                _check_reached(fetched)
                for each in read:
                    self._write(each, fetched, records, skipped)
                    if self.records >= n:
                        return
        write_whole(self._folder / END, b"")

    def _read(self, row: dict[str, Any]) -> _Read:
        try:
            shaped = self._shape(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return _Read({}, f"not_of_shape: {type(error).__name__}")
        if shaped is None:
            return _Read({}, "no_record")
        try:
            return _Read({**self._mapped(shaped), **self._source.fixed})
        except KeyError as error:
            wanted = f"{self._source.path}: has no column {error.args[0]!r}"
            raise UsageError(f"{wanted}; its columns: {', '.join(map(str, shaped))}") from error

    def _mapped(self, row: Mapping[str, Any]) -> dict[str, Any]:
        columns = self._source.columns
        if columns:
            return {key: value_at(dict(row), place) for key, place in columns.items()}
        names = [name for name in (*self._keys, *self._optional) if name in row]
        missing = [name for name in self._needed if name not in (*names, *self._source.fixed)]
        if missing:
            raise UsageError(
                f"{self._source.path}: its rows have no {', '.join(missing)}; their columns: "
                f"{', '.join(map(str, row))}; say which is which, as in: columns: {{{missing[0]}: COLUMN}}"
            )
        return {name: row[name] for name in names if row[name] is not None}

    @staticmethod
    def _addresses(read: list[_Read]) -> Iterator[str]:
        for each in read:
            for _, value in picture_keys(each.values):
                yield from (one for one in _listed(value) if isinstance(one, str) and _is_address(one))

    def _write(self, read: _Read, fetched: Mapping[str, Fetched], records: Any, skipped: Any) -> None:
        problem, values, lost = read.problem, dict(read.values), list[str]()
        try:
            for name, value in [] if problem else list(picture_keys(values)):
                if isinstance(value, list):
                    self._put_page(values, name, fetched, lost)
                else:
                    values[name] = self._put(value, fetched)
        except _Lost as error:
            problem = str(error)
        for each in lost:
            _append(skipped, {"row": self.rows, "is_row": False, "problem": f"picture: {each}"})
        if problem:
            _append(skipped, {"row": self.rows, "is_row": True, "problem": problem})
        else:
            _append(records, whole_texts(_plain(values)))
            self.records += 1
        self.rows += 1

    def _put_page(self, values: dict[str, Any], name: str, fetched: Mapping[str, Fetched], lost: list[str]) -> None:
        """The pictures of a page; one that cannot be had is taken out, with its caption and its place in the texts."""
        gone: list[int] = []
        kept: list[str | None] = []
        for number, one in enumerate(values[name]):
            try:
                kept.append(self._put(one, fetched) if one else None)
            except _Lost as error:
                gone.append(number)
                kept.append(None)
                lost.append(str(error))
        shown = [number for number, one in enumerate(values[name]) if one]
        if shown and len(gone) == len(shown):
            raise _Lost(lost.pop())
        values[name] = [one for number, one in enumerate(kept) if number not in gone]
        if len(values.get("texts") or ()) == len(kept):
            values["texts"] = [one for number, one in enumerate(values["texts"]) if number not in gone]
        if len(values.get("captions") or ()) == len(shown):
            pairs = zip(shown, values["captions"], strict=True)
            values["captions"] = [caption for number, caption in pairs if number not in gone]

    def _put(self, value: Any, fetched: Mapping[str, Fetched]) -> str:
        """A picture in the folder -> its name there."""
        if isinstance(value, str) and _is_address(value):
            found = fetched[value]
            if found.path is None:
                raise _Lost(found.problem)
            return str(found.path.relative_to(self._folder))
        content = self._bytes(value)
        name = f"images/{hashlib.sha256(content).hexdigest()}.{image_format(content) or 'bin'}"
        path = self._folder / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            write_whole(path, content)
        return name

    def _bytes(self, value: Any) -> bytes:
        if isinstance(value, bytes):
            return value
        if isinstance(value, dict):
            if isinstance(content := value.get("bytes"), bytes):
                return content
            value = value.get("path")
        if not isinstance(value, str) or not value:
            raise _Lost("no_picture")
        with suppress(OSError, ValueError):
            path = (self._base / value).resolve()
            if self._source.is_remote or path.is_relative_to(self._base.resolve()):
                return path.read_bytes()
        if (content := member_of(self._archives, value)) is not None:
            return content
        raise _Lost("missing_image")


def _check_reached(fetched: Mapping[str, Fetched]) -> None:
    if len(fetched) > 1 and all(each.problem == NOT_REACHED for each in fetched.values()):
        address = next(iter(fetched))
        raise SourceError(f"none of {len(fetched)} pictures can be reached, such as {address}; is there a network?")


def _pinned(source: SourceSpec) -> SourceSpec:
    """A dataset of the Hub at its present commit; where the Hub is not reached, at that of last time."""
    if not source.is_remote:
        return source
    from huggingface_hub import HfApi

    from toolkit.sources.hub_waits import hub_errors

    note = cache_folder() / "commits" / f"{digest([source.path, source.revision])[:32]}.json"
    try:
        with hub_errors(source.path):
            commit = HfApi().dataset_info(source.path, revision=source.revision).sha
        note.parent.mkdir(parents=True, exist_ok=True)
        mark(note, commit)
    except SourceError as error:
        if (kept := result_of(note)) is None:
            raise
        [commit] = kept
        logger.warning("%s: the Hub gives no commit (%s); taken is that of last time, %s", source.path, error, commit)
    return SourceSpec(**{**asdict(source), "revision": commit})


def _stamp(source: SourceSpec) -> Any:
    if source.is_remote:
        return ""
    path = Path(source.path)
    try:
        files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        return [(str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error


def _whole_lines(path: Path) -> int:
    """Lines of a file; what a killed process left of its last one is cut off."""
    path.touch()
    with path.open("r+b") as file:
        count = place = 0
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(place)
                break
            count, place = count + 1, place + len(line)
    return count


def _skipped(path: Path) -> Iterator[dict[str, Any]]:
    _whole_lines(path)
    with path.open("rb") as file:
        yield from map(json.loads, file)


def _append(file: Any, value: Any) -> None:
    file.write(canonical(value).encode() + b"\n")
    file.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://"))
