"""Parquet rows -> records of the columns that a plan reads, a batch of bounded size in memory at a time.

Columns that nothing reads are not converted at all, and a value that cannot be converted costs its row alone.
"""

import math
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.errors import RowError
from toolkit.sources.parquet import read_batches
from toolkit.sources.published.plan import FilePlan
from toolkit.sources.published.shapes import Record
from toolkit.sources.published.shapes.pictures import parse_text
from toolkit.sources.published.shapes.signs import CONFLICT, NAMES, NO_PICTURE, NOT_NAMED
from toolkit.sources.published.telling import TEXT_TASK, task_of_value

UNKNOWN, SEVERAL = "?", "*"  # in place of a task: nothing names it; several are named


class Raw(NamedTuple):
    """A row as it lies there.

    Attributes:
        number: of the row in its file.
        task: "" where the archives tell it; UNKNOWN or SEVERAL.
        value: dotted name of a column -> value; or the error that stands in its place.
    """

    number: int
    task: str
    value: Record | RowError


def read_raw(parquet: pq.ParquetFile, plan: FilePlan, tasks: Iterable[str]) -> Iterator[Raw]:
    """Rows of some tasks ("": of which the archives tell it), and those whose task nothing tells."""
    wanted = {*tasks, UNKNOWN, SEVERAL}
    columns = _leaves(parquet, plan)
    done = 0
    for batch in read_batches(parquet, columns):
        told = _tasks_of(batch, plan, done)
        chosen = [number for number, task in enumerate(told) if task in wanted]
        part = batch if len(chosen) == batch.num_rows else batch.take(pa.array(chosen, pa.int64()))
        for number, value in zip(chosen, _records(part, plan), strict=True):
            yield Raw(done + number, told[number], value)
        done += batch.num_rows


def _leaves(parquet: pq.ParquetFile, plan: FilePlan) -> list[str]:
    """Parquet's paths of the leaves that are read."""
    read = plan.reads()
    paths = [parquet.schema.column(number).path for number in range(parquet.metadata.num_columns)]
    return [path for path in paths if any(_covers(name, path) for name in read)]


def _covers(name: str, path: str) -> bool:
    """Whether a leaf lies in a column, or holds it as JSON text."""
    return path == name or path.startswith(f"{name}.") or name.startswith(f"{path}.")


def _tasks_of(batch: pa.RecordBatch, plan: FilePlan, done: int) -> list[str]:
    if plan.task:
        return [plan.task] * batch.num_rows
    if plan.task_column:
        known: dict[str, str] = {}
        return [_told(value, plan, known) for value in _values_of(batch, plan.task_column)]
    assert plan.signs is not None  # else the plan has a problem
    return [_SIGNS[int(sign)] for sign in plan.signs[done : done + batch.num_rows]]


_SIGNS = {**dict(enumerate(NAMES)), NO_PICTURE: TEXT_TASK, NOT_NAMED: "", CONFLICT: SEVERAL}


def _told(value: Any, plan: FilePlan, known: dict[str, str]) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text not in known:
        known[text] = (task_of_value(text, plan.task_values) if value is not None else "") or UNKNOWN
    return known[text]


def _values_of(batch: pa.RecordBatch, name: str) -> list[Any]:
    return [_value_of(record, name) for record in _rows_of(_only(batch, name))]


def _value_of(record: dict[str, Any] | RowError, name: str) -> Any:
    """None where it cannot be read; what is wrong is told when the whole row is."""
    try:
        return None if isinstance(record, RowError) else _dig(record, name)
    except RowError:
        return None


def _only(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    return batch.select([column for column in batch.schema.names if _covers(name, column) or _covers(column, name)])


def _records(batch: pa.RecordBatch, plan: FilePlan) -> Iterator[Record | RowError]:
    names, kept = plan.reads(), plan.columns.get("keep", ())
    for row in _rows_of(batch):
        if isinstance(row, RowError):
            yield row
        else:
            yield _record(row, names, kept)


def _record(row: dict[str, Any], names: Iterable[str], kept: Container[str]) -> Record | RowError:
    opened: dict[str, Any] = {}
    try:
        values = {name: row[name] if name in row else _dig(row, name, opened) for name in names}
    except RowError as error:
        return error
    for name, value in values.items():
        if isinstance(value, float) and math.isnan(value) and name not in kept:
            values[name] = None  # NaN is how pandas writes a missing value
    return values


def _rows_of(batch: pa.RecordBatch) -> list[dict[str, Any] | RowError]:
    try:
        found: list[dict[str, Any] | RowError] = batch.to_pylist()
        return found
    except (ValueError, OverflowError, UnicodeDecodeError, pa.ArrowException):
        return [_row_of(batch.slice(number, 1)) for number in range(batch.num_rows)]


def _row_of(batch: pa.RecordBatch) -> dict[str, Any] | RowError:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.to_pylist()
        except (ValueError, OverflowError, UnicodeDecodeError, pa.ArrowException) as error:
            return RowError(
                f"column {name!r}: a value that cannot be read ({type(error).__name__}: {error}); expected valid text",
                kind="unreadable_value",
            )
    row: dict[str, Any] = batch.to_pylist()[0]
    return row


def _dig(row: dict[str, Any], name: str, opened: dict[str, Any] | None = None) -> Any:
    """The value of a dotted column: of a struct, or of an object that is JSON text."""
    opened = {} if opened is None else opened
    value: Any = row
    pieces = name.split(".")
    at = 0
    while at < len(pieces):
        if not isinstance(value, dict):
            return None
        for end in range(len(pieces), at, -1):  # a name may hold dots itself
            if (key := ".".join(pieces[at:end])) in value:
                value, at = value[key], end
                break
        else:
            return None
        if at < len(pieces) and isinstance(value, str):
            key = ".".join(pieces[:at])
            value = opened[key] = opened[key] if key in opened else parse_text(value)
            if isinstance(value, str) and value.strip():
                raise RowError(f"column {key!r} holds {value!r:.80}; expected an object as JSON", kind="bad_shape")
    return value
