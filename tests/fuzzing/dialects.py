"""What others publish, of every dialect: its files with bytes changed, its records with values changed."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tests.dialect_sets import SETS, Published, parquet
from tests.fuzzing.mutations import changed_bytes, changed_value, is_deep
from tests.fuzzing.surface import SURFACES, Surface, as_json, outcome_of, scratch
from toolkit.errors import RowError
from toolkit.rules import check_row
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.dialects.records import kind_of
from toolkit.sources.dialects.source import is_about, open_foreign


class Change(NamedTuple):
    """A published set, of which a file has other content.

    Attributes:
        is_named: it is told of which dialect it is, and need not look like it.
    """

    set: str
    path: str
    content: bytes
    is_named: bool


def sets_of(dialect: str) -> dict[str, Published]:
    return {name: each for name, each in SETS.items() if each.dialect == (ALIKE.get(dialect, dialect))}


ALIKE = {"captions": "pairs"}  # is read only where it is named


def changed_file(dice: Random, dialect: str) -> Change:
    name = dice.choice(list(sets_of(dialect)))
    path = dice.choice(list(SETS[name].files))
    return Change(name, path, changed_bytes(SETS[name].files[path], dice), dice.random() < 0.5)


def changed_record(dice: Random, dialect: str) -> Change:
    """Of a file of records, one record with values changed; a file of another container as JSON lines."""
    while True:
        name = dice.choice(list(sets_of(dialect)))
        files = [path for path in SETS[name].files if records_in(name, path)]
        if not files:
            return changed_file(dice, dialect)
        path = dice.choice(files)
        records = records_in(name, path)
        number = dice.randrange(len(records))
        one = changed_value(records[number], dice)
        try:
            content = WRITERS[kind_of(path)]([*records[:number], one, *records[number + 1 :]], path)
        except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            continue  # Arrow cannot hold it
        return Change(name, path, content, dice.random() < 0.8)


@cache
def records_in(name: str, path: str) -> list[Any]:
    """Nothing where it holds none that are changed by value."""
    data, kind = SETS[name].files[path], kind_of(path)
    if is_about(path) or kind not in WRITERS:
        return []
    if kind == "parquet":
        return list(pq.read_table(io.BytesIO(data)).to_pylist())
    if kind == "arrow":
        return list(pa.ipc.open_stream(data).read_all().to_pylist())
    text = _unpacked(data, path).decode()
    if kind == "json" and text.lstrip().startswith(("[", "{")):
        try:
            whole = json.loads(text)
        except ValueError:  # lines
            return [json.loads(line) for line in text.splitlines()]
        return whole if isinstance(whole, list) else [whole]
    return [json.loads(line) for line in text.splitlines()]


def _unpacked(data: bytes, path: str) -> bytes:
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            return file.read(file.namelist()[0])
    return data


def _packed(data: bytes, path: str) -> bytes:
    if path.endswith(".gz"):
        return gzip.compress(data, 1)
    if path.endswith(".zip"):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w") as file:
            file.writestr("records", data)
        return sink.getvalue()
    return data


def _table(records: list[Any], path: str) -> bytes:
    if is_deep(records):
        raise ValueError("too deep for Arrow")
    return parquet(*records)


def _stream(records: list[Any], path: str) -> bytes:
    if is_deep(records):
        raise ValueError("too deep for Arrow")
    sink, table = io.BytesIO(), pa.Table.from_pylist(records)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _lines(records: list[Any], path: str) -> bytes:
    return _packed(b"".join(as_json(record) + b"\n" for record in records), path)


def _array(records: list[Any], path: str) -> bytes:
    whole = as_json(records[0]) if len(records) == 1 else b"[" + b",".join(map(as_json, records)) + b"]"
    return _packed(whole, path)  # one object may be all records, by their keys


WRITERS: dict[str, Callable[[list[Any], str], bytes]] = {
    "parquet": _table, "arrow": _stream, "jsonl": _lines, "json": _array,
}  # fmt: skip


@cache
def folder_of(name: str) -> Path:
    folder = scratch() / "dialects" / name.replace(" ", "-")
    for path, content in SETS[name].files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def read(change: Change, dialect: str) -> str:
    """A word for what most records come to."""
    published, folder = SETS[change.set], folder_of(change.set)
    (folder / change.path).write_bytes(change.content)
    try:
        found = open_foreign(
            folder,
            format=dialect if change.is_named or dialect in ALIKE else "",
            options={} if dialect in ALIKE else published.options,
            columns=published.columns,
            image_folder=published.image_folder,
        )
        kinds = []
        for piece in found.rows.pieces:
            for row in piece():
                if isinstance(row, RowError):
                    kinds.append(outcome_of(row))
                else:
                    check_row(row)
                    kinds.append("a row")
    finally:
        (folder / change.path).write_bytes(published.files[change.path])
    return next((kind for kind in kinds if kind != "a row"), "rows" if kinds else "nothing")


def _add(dialect: str) -> None:
    reads = partial(read, dialect=dialect)
    for what, make in (("files", changed_file), ("records", changed_record)):
        SURFACES[f"{what} of {dialect}"] = Surface(partial(make, dialect=dialect), reads)


for each in DIALECTS.own:
    _add(each)
