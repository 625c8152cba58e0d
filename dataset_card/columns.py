"""What each column of a packed dataset holds, and its type in the card's YAML."""

from typing import Any

import pyarrow as pa

from toolkit.schema import ARROW_SCHEMA

# Column -> what the card and Croissant say about it.
MEANINGS = {
    "id": "unique over the whole dataset, [a-z0-9_-]+",
    "task": "name of the task, as in the table above",
    "quadrant": (
        "input -> output modality of this row: mm-mm, mm-text, text-mm or text-text; mm means that images take part"
    ),
    "source": "dataset the row was drawn from; empty = not stated",
    "license": "licence of that source; empty = not stated",
    "origin": "upstream (as published), generated (by models) or procedural (by a program that draws scenes)",
    "messages": (
        "optional system turn, then user and assistant in turn; the n-th part of type image, read from "
        "top to bottom, stands for images[n]"
    ),
    "images": "images in reading order over the whole row, prompt then answer; the original encoded bytes",
    "image_roles": "aligned with images: input, intermediate (part of a rationale) or output (a target)",
    "image_captions": "aligned with images: generation prompt, alt text or caption; empty = unknown",
    "instruction": "plain text of the user's turns",
    "rationale": "plain text of the reasoning; empty where there is none or it cannot be told from the answer",
    "answer": "plain text of the answer; the whole reply where the rationale cannot be told apart",
    "regions": "labelled boxes: x0 y0 x1 y1 as fractions of width and height of images[image]",
    "provenance": "JSON object: where the row came from (file, row number, archive members) or how it was made",
}
PICTURES = "images"  # the one column that holds images; Arrow knows it only as bytes and a path


def yaml_features() -> list[dict[str, Any]]:
    """`schema.features()` as `dataset_info.features` of a card, in words that datasets 3.6 and 5.2 both read the same.

    A list of fixed length is called `sequence`: 3.6 drops the length of a `list`. Source: datasets 3.6.0,
    Features._from_yaml_list.
    """
    return [{"name": PICTURES, "list": "image"} if field.name == PICTURES else _named(field) for field in ARROW_SCHEMA]


def type_name(column: str) -> str:
    """Type of a column for people: `list of {role: string, content: list of {type: string, text: string}}`."""
    return "list of images" if column == PICTURES else _words(ARROW_SCHEMA.field(column).type)


def _named(field: pa.Field) -> dict[str, Any]:
    if pa.types.is_fixed_size_list(field.type):
        return {"name": field.name, "sequence": _dtype(field.type.value_type), "length": field.type.list_size}
    if not pa.types.is_list(field.type):
        return {"name": field.name, "dtype": _dtype(field.type)}
    inner = field.type.value_type
    return {
        "name": field.name,
        "list": [_named(each) for each in inner] if pa.types.is_struct(inner) else _dtype(inner),
    }


def _words(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.list_size} x {_dtype(kind.value_type)}"
    if pa.types.is_list(kind):
        return f"list of {_words(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name}: {_words(field.type)}" for field in kind) + "}"
    return _dtype(kind)


def _dtype(kind: pa.DataType) -> str:
    return "float32" if pa.types.is_float32(kind) else str(kind)  # Arrow says "float"
