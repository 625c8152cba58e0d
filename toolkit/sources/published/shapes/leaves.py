"""A column of a batch -> its leaves: the values at each place inside it, and the row each belongs to.

A column `conversations` of {from, value} turns has leaves "[].from" and "[].value"; a column of text has the leaf "".
Arrow's nested types are taken apart without a loop over rows; JSON text is parsed, row by row.
"""

from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.sources.published.shapes.pictures import parse_text

Rows = NDArray[np.int32]
MAX_PATHS = 200  # places inside one column of JSON text; objects keyed by content have no end of them


class Leaf(NamedTuple):
    """Values at one place of a column.

    Attributes:
        path: "" for the column itself, "[]" for elements of a list, "[].from" for a field of those.
        values: one-dimensional, nulls included; strings, or of any other type that holds no others.
        rows: int32, same length: the row of the batch that each value belongs to.
    """

    path: str
    values: pa.Array
    rows: Rows


def unfold(batch: pa.RecordBatch, columns: Container[str]) -> Iterator[tuple[str, pa.Array]]:
    """The columns of a batch by dotted name; structs are taken apart as far as these names say."""
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        yield from _unfold(name, array, columns)


def _unfold(name: str, array: pa.Array, columns: Container[str]) -> Iterator[tuple[str, pa.Array]]:
    if name in columns:
        yield name, array
        return
    for field, child in zip(array.type, array.flatten(), strict=True):
        yield from _unfold(f"{name}.{field.name}", child, columns)


def leaves_of(array: pa.Array) -> Iterator[Leaf]:
    """The leaves of a column of any Arrow type."""
    yield from _leaves("", array, np.arange(len(array), dtype=np.int32))


def lengths_of(array: pa.Array) -> NDArray[np.int64] | None:
    """Elements of each row's list, -1 for null; None where the column is no list."""
    if not is_list(array.type):
        return None
    lengths: NDArray[np.int64] = pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64)


def is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _leaves(path: str, array: pa.Array, rows: Rows) -> Iterator[Leaf]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(path, array.dictionary_decode(), rows)
    elif is_list(kind):
        parents = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)
        yield from _leaves(f"{path}[]", pc.list_flatten(array), rows[parents])
    elif pa.types.is_struct(kind):
        for field, child in zip(kind, array.flatten(), strict=True):
            yield from _leaves(f"{path}.{field.name}", child, rows)
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):  # for which Arrow has few functions
        yield from _leaves(path, array.cast(pa.large_string() if _is_text(kind) else pa.large_binary()), rows)
    else:
        yield Leaf(path, _readable(array) if _is_text(kind) else array, rows)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _readable(array: pa.Array) -> pa.Array:
    """Texts that are not UTF-8 as what can be shown of them; rows that need them are told apart when they are read."""
    try:
        array.validate(full=True)
        return array
    except pa.ArrowInvalid:
        values = array.cast(pa.large_binary()).to_pylist()
        return pa.array([value and value.decode("utf-8", "replace") for value in values], pa.string())


def parsed_leaves(texts: Iterable[Any]) -> tuple[list[Leaf], int]:
    """The leaves of lists and objects written as text, and how many of the texts are such.

    Numbers, truth values and null inside become text of themselves, as leaves of strings.
    """
    found: dict[str, tuple[list[str | None], list[int]]] = {}
    count = 0
    for row, text in enumerate(texts):
        value = parse_text(text)
        if isinstance(value, (list, dict)):
            count += 1
            with suppress(RecursionError):
                _collect("", value, row, found)
    return [
        Leaf(path, pa.array(values, pa.string()), np.array(rows, np.int32)) for path, (values, rows) in found.items()
    ], count


def _collect(path: str, value: Any, row: int, found: dict[str, tuple[list[str | None], list[int]]]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _collect(f"{path}.{key}", inner, row, found)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _collect(f"{path}[]", inner, row, found)
    elif path in found or len(found) < MAX_PATHS:
        values, rows = found.setdefault(path, ([], []))
        values.append(None if value is None or value != value else _utf8(str(value)))
        rows.append(row)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
