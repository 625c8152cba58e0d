"""The record: one typed row for every task.

    source -> Row -> messages -> a format, a shard, a batch

A `Row` is frozen and holds pictures as their original encoded bytes. `rules.check_row` knows the rules of every row.
`rows_to_table` and `table_to_rows` are the one way in and out of Arrow; `features` says the same to `datasets`.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from toolkit.errors import RowError, shown
from toolkit.tasks import Task

if TYPE_CHECKING:
    import datasets

MESSAGE_ROLES = ("system", "user", "assistant")
IMAGE_ROLES = ("input", "intermediate", "output")
ORIGINS = ("upstream", "generated", "procedural")
MAX_ROW_BYTES = 1 << 30  # of the images of a row, so that some rows fit in one table, whose columns hold 2 GiB
ID_PATTERN = re.compile(r"[a-z0-9_-]+")


class EncodedImage(NamedTuple):
    """A picture as it was found: the encoded file, and a name whose suffix tells the format ("" = unknown)."""

    bytes: bytes
    path: str = ""


class Part(NamedTuple):
    """A piece of a message: `type` is "text" or "image"; the text of an image part is always ""."""

    type: str
    text: str = ""


IMAGE_PART = Part("image")


class Message(NamedTuple):
    """One turn: `role` is "system", "user" or "assistant"."""

    role: str
    content: tuple[Part, ...]


class Region(NamedTuple):
    """A labelled box: x0 y0 x1 y1 as fractions of width and height of `images[image]`."""

    image: int
    box: tuple[float, float, float, float]
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One sample. The n-th image part of `messages`, read from top to bottom, stands for `images[n]`.

    Attributes:
        id: unique over the whole dataset, `[a-z0-9_-]+`, at most 200 characters.
        task: name of a task, `[a-z][a-z0-9_]*`; one of the nine in `tasks.TASKS`, or another.
        quadrant: input -> output modality of this row, as `quadrant_of` computes it.
        source: dataset the row was drawn from; "" = not stated.
        license: licence of that source; "" = not stated.
        origin: "upstream", "generated" (by models) or "procedural" (by the scene engine).
        messages: optional system message, then user and assistant in turn, assistant last.
        images: in reading order over the whole row, original bytes.
        image_roles: aligned with `images`: "input", "intermediate" (part of a rationale) or "output" (a target).
        image_captions: aligned with `images`: generation prompt, alt text or caption; "" = unknown.
        instruction: plain text of the user's turns.
        rationale: plain text of the reasoning; "" where there is none or it cannot be told from the answer.
        answer: plain text of the answer; the whole reply where the rationale cannot be told apart.
        regions: labelled boxes in the pictures.
        provenance: JSON object: archive members and row number, or recipe, models, prompt hashes, seed.
    """

    id: str
    task: str
    quadrant: str
    source: str = ""
    license: str = ""
    origin: str = "upstream"
    messages: tuple[Message, ...]
    images: tuple[EncodedImage, ...] = ()
    image_roles: tuple[str, ...] = ()
    image_captions: tuple[str, ...] = ()
    instruction: str = ""
    rationale: str = ""
    answer: str = ""
    regions: tuple[Region, ...] = ()
    provenance: str = "{}"

    def to_dict(self) -> dict[str, Any]:
        """The row as plain dicts and lists: what `datasets` yields with undecoded images."""
        return {
            "id": self.id,
            "task": self.task,
            "quadrant": self.quadrant,
            "source": self.source,
            "license": self.license,
            "origin": self.origin,
            "messages": [{"role": m.role, "content": [p._asdict() for p in m.content]} for m in self.messages],
            "images": [image._asdict() for image in self.images],
            "image_roles": list(self.image_roles),
            "image_captions": list(self.image_captions),
            "instruction": self.instruction,
            "rationale": self.rationale,
            "answer": self.answer,
            "regions": [{"image": r.image, "box": list(r.box), "label": r.label} for r in self.regions],
            "provenance": self.provenance,
        }

    @classmethod
    def from_dict(cls, columns: dict[str, Any]) -> "Row":
        """The inverse of `to_dict`. What the columns hold is for `check_row` to judge.

        Raises:
            RowError: "bad_columns": one is missing, null where a list belongs, or not known.
        """
        if not isinstance(columns, dict):
            raise RowError(f"a row is {type(columns).__name__}; expected its columns", kind="bad_columns")
        try:
            return cls(
                **{
                    **columns,
                    "messages": tuple(
                        Message(m["role"], tuple(Part(p["type"], p["text"]) for p in m["content"]))
                        for m in columns["messages"]
                    ),
                    "images": tuple(EncodedImage(i["bytes"], i["path"] or "") for i in columns["images"]),
                    "image_roles": tuple(columns["image_roles"]),
                    "image_captions": tuple(columns["image_captions"]),
                    "regions": tuple(Region(r["image"], tuple(r["box"]), r["label"]) for r in columns["regions"]),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise RowError(
                f"row {shown(columns.get('id'))}: columns {sorted(map(str, columns))} are not those of a row "
                f"({type(error).__name__}: {error!s:.200}); expected {', '.join(COLUMNS)}",
                kind="bad_columns",
            ) from error


_TEXT = pa.string()
ARROW_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("task", _TEXT),
        ("quadrant", _TEXT),
        ("source", _TEXT),
        ("license", _TEXT),
        ("origin", _TEXT),
        (
            "messages",
            pa.list_(
                pa.struct([("role", _TEXT), ("content", pa.list_(pa.struct([("type", _TEXT), ("text", _TEXT)])))])
            ),
        ),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", _TEXT)]))),
        ("image_roles", pa.list_(_TEXT)),
        ("image_captions", pa.list_(_TEXT)),
        ("instruction", _TEXT),
        ("rationale", _TEXT),
        ("answer", _TEXT),
        ("regions", pa.list_(pa.struct([("image", pa.int32()), ("box", pa.list_(pa.float32(), 4)), ("label", _TEXT)]))),
        ("provenance", _TEXT),
    ]
)
COLUMNS = tuple(ARROW_SCHEMA.names)


def features() -> "datasets.Features":
    """`ARROW_SCHEMA` as `datasets` features, with `images` as pictures. Works on datasets 3.6 and later."""
    import datasets

    return datasets.Features.from_dict(_feature_dict())


def parquet_schema() -> pa.Schema:
    """`ARROW_SCHEMA` with the metadata by which `datasets`, any version, knows the columns and that `images` are
    pictures.
    """
    return ARROW_SCHEMA.with_metadata({"huggingface": json.dumps({"info": {"features": _feature_dict()}})})


def _feature_dict() -> dict[str, Any]:
    """The features in the form of dataset cards and Parquet metadata; of its two spellings of lists the one that
    datasets 3.6 and 5 both read.
    """
    return {
        field.name: [{"_type": "Image"}] if field.name == "images" else _feature(field.type) for field in ARROW_SCHEMA
    }


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "Sequence"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    return {"dtype": {pa.float32(): "float32"}.get(kind, str(kind)), "_type": "Value"}


def rows_to_table(rows: Iterable[Row]) -> pa.Table:
    rows = list(rows)
    texts = pa.Table.from_pylist([{**row.to_dict(), "images": []} for row in rows], schema=ARROW_SCHEMA)
    return texts.set_column(COLUMNS.index("images"), ARROW_SCHEMA.field("images"), _image_column(rows))


def _image_column(rows: list[Row]) -> pa.Array:
    """The `images` column, its bytes copied once; Arrow's own conversion copies them again as its buffer grows."""
    images = [image for row in rows for image in row.images]
    ends = np.cumsum([0, *(len(image.bytes) for image in images)], dtype=np.int64)
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]:,} bytes of images in one table; at most 2 GiB fit, make tables of fewer rows")
    data = pa.Array.from_buffers(
        pa.binary(),
        len(images),
        [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(image.bytes for image in images))],
    )
    kind = ARROW_SCHEMA.field("images").type
    structs = pa.StructArray.from_arrays(
        [data, pa.array([image.path for image in images], _TEXT)], fields=list(kind.value_type)
    )
    firsts = np.cumsum([0, *(len(row.images) for row in rows)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(firsts), structs, type=kind)


def table_to_rows(table: pa.Table) -> Iterator[Row]:
    """Raises RowError for a row that cannot be read."""
    for row in rows_of(table):
        if isinstance(row, RowError):
            raise row
        yield row


def rows_of(table: pa.Table) -> Iterator[Row | RowError]:
    """As `table_to_rows`, with an error in place of each row that cannot be read."""
    try:
        records = to_dicts(table)
    except RowError as error:
        alone = (table.slice(number, 1) for number in range(len(table)))
        yield from (row for each in alone for row in rows_of(each)) if len(table) > 1 else [error]
        return
    for columns in records:
        try:
            yield Row.from_dict(columns)
        except RowError as error:
            yield error


def to_dicts(table: pa.Table) -> list[dict[str, Any]]:
    """Raises RowError, "bad_text", for text that is not UTF-8."""
    try:
        return list(table.to_pylist())
    except (ValueError, ArithmeticError) as error:
        raise RowError(f"a row cannot be read: {error!s:.200}", kind="bad_text") from error


def quadrant_of(messages: Iterable[Message]) -> str:
    """Quadrant of a conversation: "mm" on a side whose messages hold a picture, else "text"."""
    sides = {"input": "text", "output": "text"}
    for message in messages:
        if "image" in [part.type for part in message.content]:
            sides["output" if message.role == "assistant" else "input"] = "mm"
    return f"{sides['input']}-{sides['output']}"


def image_roles(messages: Iterable[Message], task: Task) -> tuple[str, ...]:
    """Roles of the pictures of a conversation, in reading order: "input" in what is not an answer; in each answer
    "output" for those that `task.outputs` makes targets (all, the last one, none), "intermediate" for the others.
    """
    roles: list[str] = []
    for message in messages:
        count = [part.type for part in message.content].count("image")
        if message.role != "assistant":
            roles += ["input"] * count
            continue
        targets = {"last": min(count, 1), "all": count, "none": 0}[task.outputs]
        roles += ["intermediate"] * (count - targets) + ["output"] * targets
    return tuple(roles)


def text_of(messages: Iterable[Message], *roles: str) -> str:
    """Plain text of the messages of some roles: parts joined by a line break, messages by an empty line."""
    turns = [
        "\n".join([text for part in message.content if part.type == "text" and (text := part.text.strip())])
        for message in messages
        if message.role in roles
    ]
    return "\n\n".join(filter(None, turns))
