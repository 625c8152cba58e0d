"""Datasets that are not what they seem: each a table, whose pictures are 0_a, 0_b, 1_a and 1_b of Image_Editing."""

import datetime
import decimal
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tests.layouts import png

DEEP = "[" * 5_000 + "]" * 5_000
BEYOND = 8_300_000_000_000  # seconds after 1970, in a year that Python's calendar does not have
LABELS = '{"info": {"features": {"id": {"_type": "ClassLabel", "names": null}}}}'


def turns(question: Any = "<image> q", answer: Any = "a <image>") -> list[dict[str, Any]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def record(number: int = 0, **changed: Any) -> dict[str, Any]:
    paths = [f"Image_Editing/{number}_{side}.png" for side in "ab"]
    return {"id": f"r{number}", "images": paths, "conversations": turns()} | changed


def two(**lie: Any) -> pa.Table:
    """A good record, and one of which something is not what it seems."""
    return pa.Table.from_pylist([{**dict.fromkeys(lie), **record()}, record(1, **lie)])


def column(name: str, values: Any, kind: pa.DataType | None = None) -> pa.Table:
    """Two records with one more column, or another one in its place."""
    table = pa.Table.from_pylist([record(), record(1)])
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, array)
    return table.append_column(name, array)


def raw(values: list[bytes]) -> pa.Array:
    """Bytes that say that they are text."""
    offsets = pa.array([sum(map(len, values[:end])) for end in range(len(values) + 1)], pa.int32())
    return pa.StringArray.from_buffers(len(values), offsets.buffers()[1], pa.py_buffer(b"".join(values)))


def of_two(paths: list[bytes]) -> pa.Array:
    """Pictures of two rows."""
    return pa.ListArray.from_arrays([0, 2, 4], raw([*map(str.encode, record()["images"]), *paths]))


def of_structs() -> pa.Array:
    return pa.array([[{"bytes": None, "path": path} for path in record()["images"]], [{"bytes": None, "path": None}]])


def of_turns(values: list[bytes]) -> pa.Array:
    """A conversation a row, whose answers are these bytes."""
    roles = pa.array(["human", "gpt"] * len(values))
    texts = raw([text for value in values for text in (b"<image> q", value)])
    structs = pa.StructArray.from_arrays([roles, texts], ["from", "value"])
    return pa.ListArray.from_arrays(pa.array(range(0, 2 * len(values) + 1, 2), pa.int32()), structs)


def answers(values: Any, kind: pa.DataType | None = None) -> pa.Table:
    """Prompts and answers in columns."""
    first = {"id": "r0", "prompt": "p", "images": record()["images"]}
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return pa.Table.from_pylist([first, {**first, "id": "r1"}]).append_column("answer", array)


def in_json(text: str) -> pa.Table:
    """Turns as JSON."""
    return column("conversations", [json.dumps(turns()), text])


CASES: dict[str, Callable[[], pa.Table]] = {
    "nothing wrong": lambda: two(),
    # JSON
    "deep JSON in a column that nothing reads": lambda: two(extra=DEEP),
    "deep JSON in place of turns": lambda: in_json(DEEP),
    "deep JSON in the texts of turns": lambda: two(conversations=turns(answer=DEEP + "<image>")),
    "deep JSON in place of pictures": lambda: column("images", [json.dumps(record()["images"]), DEEP]),
    "deep JSON for an id": lambda: two(id=DEEP),
    "turns as JSON with NaN": lambda: in_json(json.dumps(turns(float("nan")))),
    "turns as JSON with a lone surrogate": lambda: in_json(json.dumps(turns("\ud800 <image>"))),
    "turns as JSON with a key that is one": lambda: in_json(json.dumps([*turns(), {"\ud800": 1}])),
    "a number of 5,000 digits in JSON": lambda: in_json('[{"from": "human", "value": ' + "9" * 5_000 + "}]"),
    "text that looks like JSON": lambda: two(conversations=turns("[1, 2] <image>", '{"a": 1} <image>')),
    # texts
    "text that is not UTF-8": lambda: column("conversations", of_turns([b"a <image>", b"\xff\xfe <image>"])),
    "an id that is not UTF-8": lambda: column("id", raw([b"r0", b"\xff"])),
    "not UTF-8 where nothing reads": lambda: column("extra", raw([b"\xff", b"\xc0\x80"])),
    "a picture's name that is not UTF-8": lambda: column("images", of_two([b"\xff.png", b"\xfe.png"])),
    "NUL and controls in texts": lambda: two(conversations=turns("\0\x1b[31m <image>\u202e", "\x07 <image>")),
    "a text of a million letters": lambda: two(conversations=turns("a" * 1_000_000 + "<image>")),
    "a number for an answer": lambda: answers([3, 4]),
    "a number for turns": lambda: column("conversations", [3, 4]),
    "bytes for an answer": lambda: answers([b"a", b"b"]),
    "bytes for an answer that are not text": lambda: answers([b"\xff", b"\0"]),
    "NaN for an answer": lambda: answers([1.5, float("nan")]),
    "a date for an answer": lambda: answers([datetime.date(2026, 1, 2)] * 2),
    "a date of the year 10000 for an answer": lambda: answers(pa.array([0, 3_000_000], pa.int32()).cast(pa.date32())),
    "a list of texts for an answer": lambda: answers([["a"], ["a", "b"]]),
    "an object for an answer": lambda: answers([{"text": "a"}, {"text": None}]),
    "truth for an answer": lambda: answers([True, False]),
    # rows
    "no turns": lambda: two(conversations=[]),
    "no answer": lambda: two(conversations=turns()[:1]),
    "turns that are null": lambda: two(conversations=None),
    "a turn that is null": lambda: two(conversations=[None, *turns()]),
    "a null in a turn": lambda: two(conversations=turns(answer=None)),
    "a role that nobody has": lambda: two(conversations=[{"from": "narrator", "value": "x"}, *turns()]),
    "ids that are one": lambda: two(id="r0"),
    "an id that leads elsewhere": lambda: two(id="../../x\0"),
    "an id of 10,000 letters": lambda: two(id="x" * 10_000),
    "an id of NaN": lambda: column("id", [1.0, float("nan")]),
    "an id that is a list": lambda: column("id", [["a"], ["b"]]),
    "an id beyond 64 bits": lambda: column("id", [decimal.Decimal(10**30), None]),
    # pictures
    "NUL in a picture's name": lambda: two(images=["Image_Editing/\0.png", "a\0b.png"]),
    "names that lead upwards": lambda: two(images=["../../etc/passwd", "/etc/passwd"]),
    "names of nothing": lambda: two(images=["/", "."]),
    "a name of 10,000 letters": lambda: two(images=["x" * 10_000 + ".png"] * 2),
    "a picture that is null": lambda: two(images=["Image_Editing/1_a.png", None]),
    "pictures that are null": lambda: two(images=None),
    "pictures that are numbers": lambda: column("images", [[1, 2], [3, 4]]),
    "bytes that are no pictures": lambda: column("images", [[png("a"), png("b")], [b"GIF89a", b"\0" * 99]]),
    "bytes that are empty": lambda: column("images", [[png("a"), png("b")], [b"", b""]]),
    "a data URI that is broken": lambda: two(images=["data:image/png;base64,@@@", "data:image/png;base64,"]),
    "structs that hold nothing": lambda: column("images", of_structs()),
    # columns and types
    "a timestamp beyond all years": lambda: column("extra", pa.array([0, BEYOND], pa.timestamp("s"))),
    "a date beyond all years": lambda: column("extra", pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32())),
    "a duration beyond all days": lambda: column("extra", pa.array([0, 2**62], pa.duration("s"))),
    "a time zone that is none": lambda: column("extra", pa.array([0, 1], pa.timestamp("s", "Mars/Base"))),
    "maps": lambda: column("extra", pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64()))),
    "decimals": lambda: column("extra", pa.array([decimal.Decimal("1.5"), None], pa.decimal256(60, 3))),
    "an extension type": lambda: column("extra", pa.array([bytes(16)] * 2, pa.binary(16)).cast(pa.uuid())),
    "structs without fields to read": lambda: column("extra", [{"a": {"b": None}}, None]),
    "a column without a name": lambda: column("", ["x", "y"]),
    "a column whose name has dots, lines and NUL": lambda: column("a.b\n\0.c", ["x", "y"]),
    "columns that differ by case": lambda: column("ID", ["x", "y"]),
    "no rows": lambda: two().slice(0, 0),
    "no columns": lambda: pa.table({"id": pa.array([], pa.string())}).select([]),
    "nulls alone": lambda: pa.table({"conversations": pa.nulls(2), "images": pa.nulls(2)}),
    "metadata that is deep": lambda: two().replace_schema_metadata({"huggingface": DEEP}),
    "metadata of another kind": lambda: two().replace_schema_metadata({"huggingface": LABELS}),
    # tasks
    "a task that is a list": lambda: column("task", [["image_editing"], ["x"]]),
    "a task that is NaN": lambda: column("task", [1.0, float("nan")]),
    "a task that nobody knows": lambda: column("task", ["image_editing", "\0"]),
}
