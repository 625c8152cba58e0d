"""Containers: a file of a repository -> records, one at a time, whatever they mean.

    *.parquet, *.arrow            rows
    *.json, *.jsonl, *.ndjson     also .gz, .zip
    *.csv, *.tsv                  with a header
    *.tar, *.tar.gz, *.tar.zst    samples of WebDataset: members of one name; JSON among them is taken apart
    FOLDER                        loose pictures, with texts or JSON of the same name beside them

What is wrong with one record is a RowError in its place; a file that is damaged ends with one.
"""

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from toolkit.errors import ArchiveError, RowError, ShardError
from toolkit.images.files import PATH_SUFFIXES
from toolkit.parsing import load_json
from toolkit.sources.dialects.json_records import json_records
from toolkit.sources.parquet import check_width, open_parquet, read_batches
from toolkit.sources.published.archives import read_archive
from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.members import Watch
from toolkit.sources.published.zips import ZIP_ERRORS
from toolkit.sources.repository import OnRead, Repository

FOLDER = "."  # in place of a path: all loose pictures
KEY = "__key__"  # name of a sample, or key of a record
KIND = re.compile(r".+\.(parquet|arrow|jsonl?|ndjson|csv|tsv)(\.gz|\.zip)?|.+\.(tar|tgz|tar\.\w+)", re.IGNORECASE)
# Key: up to the first dot of the file name. Source: webdataset src/webdataset/tariterators.py#L25
MEMBER = re.compile(r"^((?:.*/|)[^/.]+)[.]([^/]+)$")
TEXT_SUFFIXES = ("txt", "text", "caption", "cls", "md", "html")
MAX_SAMPLE = 1 << 30  # bytes of a sample
MAX_TEXT = 16 << 20  # bytes of a member or file of text

# RuntimeError: a zip that is encrypted, or compressed as nothing here reads.
DAMAGED = (ArchiveError, ShardError, EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError)

Values = dict[str, Any]


class Record(NamedTuple):
    """
    Attributes:
        number: from 0, over good and bad records of the file.
        values: its columns.
        pictures: name -> bytes, of pictures of the same sample.
    """

    number: int
    values: Any
    pictures: Mapping[str, bytes] = {}


def kind_of(path: str) -> str:
    """The container that a file is: "parquet", "arrow", "json", "jsonl", "csv", "tsv" or "tar"; "" = none."""
    found = KIND.fullmatch(path)
    if not found:
        return "folder" if path == FOLDER else ""
    kind = (found[1] or "tar").lower()
    return {"ndjson": "jsonl"}.get(kind, kind)


def read_records(
    repository: Repository,
    path: str,
    is_needed: Callable[[str], bool] = lambda name: True,
    on_read: OnRead = lambda path, size: None,
) -> Iterator[Record | RowError]:
    """
    Args:
        is_needed: asked for each column of a file of columns; others are not read.
        on_read: told of bytes read, for progress.

    Raises:
        SourceError: the file cannot be reached.
    """
    kind = kind_of(path)
    number = -1
    try:
        if kind in ("parquet", "arrow"):
            for number, values in enumerate(_tables(repository, path, kind, is_needed, on_read)):
                yield values if isinstance(values, RowError) else Record(number, values)
        elif kind in ("tar", "folder"):
            samples = _samples(repository, path, on_read) if kind == "tar" else _folder(repository)
            for number, found in enumerate(samples):
                yield found if isinstance(found, RowError) else Record(number, *found)
        else:
            how = repository.open if path.lower().endswith(".zip") else repository.stream
            with closing(how(path)) as raw:
                for number, values in enumerate(_texts(_opened(raw, path, on_read), kind)):
                    yield values if isinstance(values, RowError) else Record(number, values)
    except DAMAGED as error:
        yield RowError(f"after record {number}: {error}; the rest of the file cannot be read", kind="damaged_file")


class Watched(io.RawIOBase):
    """A file of which is told how much was read."""

    def __init__(self, file: BinaryIO, path: str, on_read: OnRead) -> None:
        self._file, self._path, self._on_read = file, path, on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._on_read(self._path, len(data))
        return len(data)


def _opened(raw: BinaryIO, path: str, on_read: OnRead) -> BinaryIO:
    if path.lower().endswith(".zip"):
        return cast(BinaryIO, Watched(_only_member(raw, path), path, on_read))
    watched = cast(BinaryIO, Watched(raw, path, on_read))
    return cast(BinaryIO, gzip.GzipFile(fileobj=watched)) if path.lower().endswith(".gz") else watched


def _only_member(raw: BinaryIO, path: str) -> BinaryIO:
    try:
        whole = zipfile.ZipFile(raw)
        names = [name for name in whole.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise ArchiveError(f"{path}: holds {len(names)} files; expected one file of records")
        return cast(BinaryIO, whole.open(names[0]))
    except ZIP_ERRORS as error:
        raise ArchiveError(f"{path}: not a whole zip, or not of a kind that is read ({error})") from error


def _texts(file: BinaryIO, kind: str) -> Iterator[Any | RowError]:
    if kind not in ("csv", "tsv"):
        yield from json_records(file, lines=kind == "jsonl")
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    csv.field_size_limit(MAX_TEXT)  # pictures in base64 are longer than its 128 kB; the limit is the process's
    lines = csv.DictReader(text, delimiter="\t" if kind == "tsv" else ",", strict=True)
    try:
        for values in lines:
            if None in values or None in values.values():
                yield RowError(
                    f"has other than the {len(lines.fieldnames or ())} columns of the header", kind="bad_csv"
                )
            else:
                yield values
    except csv.Error as error:
        yield RowError(f"not CSV: {error}; the rest of the file cannot be read", kind="bad_csv")


def _tables(
    repository: Repository, path: str, kind: str, is_needed: Callable[[str], bool], on_read: OnRead
) -> Iterator[Values | RowError]:
    batches = _parquet if kind == "parquet" else _arrow
    for batch in batches(repository, path, is_needed):
        on_read(path, batch.nbytes)
        try:
            yield from batch.to_pylist()
        except (ValueError, ArithmeticError, pa.ArrowException):
            yield from (_one(batch, number) for number in range(batch.num_rows))


def _one(batch: pa.RecordBatch, number: int) -> Values | RowError:
    try:
        return cast(Values, batch.slice(number, 1).to_pylist()[0])
    except (ValueError, ArithmeticError, pa.ArrowException) as error:
        return RowError(f"cannot be read: {error!s:.200}", kind="unreadable_row")


def _parquet(repository: Repository, path: str, is_needed: Callable[[str], bool]) -> Iterator[pa.RecordBatch]:
    with open_parquet(repository, path) as parquet:
        paths = [parquet.schema.column(number).path for number in range(len(parquet.schema))]
        needed = [name for name in parquet.schema_arrow.names if is_needed(name)]
        leaves = [path for path in paths if any(path == name or path.startswith(f"{name}.") for name in needed)]
        yield from read_batches(parquet, leaves)


def _arrow(repository: Repository, path: str, is_needed: Callable[[str], bool]) -> Iterator[pa.RecordBatch]:
    """What `datasets` writes to disk: a stream, or a file."""
    with closing(repository.open(path)) as file:
        try:
            is_file = file.read(6) == b"ARROW1"
            file.seek(0)
            reader = pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
            check_width(len(reader.schema))
            batches = map(reader.get_batch, range(reader.num_record_batches)) if is_file else iter(reader)
            for batch in batches:
                batch.validate(full=True)  # as it is not: places in memory that are read
                yield batch.select([name for name in batch.schema.names if is_needed(name)])
        # MemoryError: of a size that it claims; UnicodeDecodeError: of a column's name; KeyError: of two of one name
        except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError, KeyError) as error:
            raise ShardError(f"{repository.name}: {path}: not a whole Arrow file ({error!s:.200})") from error


def _samples(
    repository: Repository, path: str, on_read: OnRead
) -> Iterator[tuple[Values, Mapping[str, bytes]] | RowError]:
    """Members of one name that lie side by side."""
    refused: list[RowError] = []

    def refuse(kind: str, name: str) -> None:
        if kind != "trailing_bytes":
            refused.append(RowError(f"member {name!r} is not read ({kind})", kind=kind))

    archive = Archive(name=path, files=(path,), task="", kind="tar", series=path)
    members: dict[str, bytes] = {}
    key, size = "", 0
    for member in read_archive(repository, archive, Watch(on_refused=refuse), on_read=on_read):
        found = MEMBER.match(member.name)
        if found and found[1] != key:
            if members:
                yield sample(key, members)
            members, size = {}, 0
        yield from refused
        refused.clear()
        if found and size <= MAX_SAMPLE:
            key, suffix = found[1], found[2].lower()
            if suffix in members:
                yield RowError(f"sample {key!r} has two members {suffix!r}", kind="doubled_member")
            size += len(member.data)
            members[suffix] = member.data
            if size > MAX_SAMPLE:
                members = {}
                yield RowError(
                    f"sample {key!r} is over {MAX_SAMPLE:,} bytes; at most these are read", kind="huge_record"
                )
    if members:
        yield sample(key, members)
    yield from refused


def sample(key: str, members: Mapping[str, bytes]) -> tuple[Values, Mapping[str, bytes]] | RowError:
    """Columns and pictures of a sample; JSON objects in it are taken apart."""
    values: Values = {KEY: key}
    pictures: dict[str, bytes] = {}
    taken: list[Values] = []
    for suffix, data in members.items():
        kind = suffix.rpartition(".")[2]
        if kind in PATH_SUFFIXES:
            values[suffix] = {"path": f"{key}.{suffix}", "bytes": data}
            name = f"{key}.{suffix}"
            pictures |= dict.fromkeys((suffix, name, name.rpartition("/")[2]), data)
        elif kind == "json":
            try:
                found = load_json(data)
            except ValueError as error:
                return RowError(f"sample {key!r}: its {suffix} is not JSON: {error}", kind="bad_json")
            if isinstance(found, dict):
                taken.append(found)
            else:
                values[suffix] = found
        elif kind in TEXT_SUFFIXES:
            try:
                values[suffix] = data.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                return RowError(f"sample {key!r}: its {suffix} is not UTF-8: {error}", kind="bad_text")
        else:
            values[suffix] = data
    for found in taken:
        values |= {name: value for name, value in found.items() if name not in values}
    return values, pictures


def _folder(repository: Repository) -> Iterator[tuple[Values, Mapping[str, bytes]] | RowError]:
    """Loose pictures, by name, each with what lies beside it under the same name."""
    for key, paths in loose_samples(repository.list_files()).items():
        members: dict[str, bytes] = {}
        pictures = {}
        for suffix, path in paths.items():
            if suffix in PATH_SUFFIXES:
                pictures[suffix] = {"path": path}
                continue
            with closing(repository.stream(path)) as file:
                members[suffix] = file.read(MAX_TEXT)
        found = sample(key, members)
        if isinstance(found, RowError):
            yield found
            continue
        folder = key.rpartition("/")[0].rpartition("/")[2]
        yield {**found[0], **pictures, **({"folder": folder} if folder else {})}, {}


def loose_samples(files: Iterable[str]) -> dict[str, dict[str, str]]:
    """Name without suffix -> suffix -> path, of loose pictures and of texts and JSON beside them."""
    found: dict[str, dict[str, str]] = {}
    for path in files:
        stem, _, suffix = path.rpartition(".")
        if suffix.lower() in (*PATH_SUFFIXES, *TEXT_SUFFIXES, "json"):
            found.setdefault(stem, {})[suffix.lower()] = path
    return {stem: paths for stem, paths in found.items() if any(suffix in PATH_SUFFIXES for suffix in paths)}
