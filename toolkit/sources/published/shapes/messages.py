"""One message, in any of the ways columns hold one: text, parts, or a list of both -> pieces."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from toolkit.errors import RowError
from toolkit.sources.published.shapes.pictures import BYTES_KEYS, PART_TYPES, PATH_KEYS, parse_text, pictures_in
from toolkit.sources.published.shapes.placing import Gap, Piece
from toolkit.sources.published.shapes.words import CONTENT_KEYS


def read_pieces(value: Any, column: str, parts: Iterable[str] = ()) -> Iterator[Piece]:
    """The pieces of one message.

    Args:
        parts: columns whose text is JSON of typed parts in every row. Text that merely looks like JSON is text.
    """
    value = parse_text(value) if column in parts else value
    if isinstance(value, str):
        yield value
        return
    items = value if isinstance(value, (list, tuple)) else [value]
    if sum(isinstance(item, str) for item in items) > 1 and not any(isinstance(item, Mapping) for item in items):
        raise RowError(
            f"column {column!r}: a list of {len(items)} texts; expected one text, or typed parts", kind="bad_shape"
        )
    for part in items:
        if isinstance(part, Mapping):
            yield from _read_part(part, column)
        elif part is not None:
            yield as_text(part, column)
        elif items is value:
            raise RowError(f"column {column!r}: a part is null; expected text or a typed part", kind="null_text")


def items_of(value: Any, column: str) -> Any:
    """A struct of lists, as `datasets` before 4.0 writes a list of structs, as the list; anything else as it is.

    Raises:
        RowError: "bad_shape": the lists differ in length.
    """
    if not isinstance(value, Mapping) or not all(isinstance(each, (list, tuple)) for each in value.values()):
        return value
    if len(lengths := {len(each) for each in value.values()}) > 1:
        raise RowError(
            f"column {column!r}: lists of {', '.join(map(str, sorted(lengths)))} entries; expected as many in each",
            kind="bad_shape",
        )
    return [dict(zip(value, each, strict=True)) for each in zip(*value.values(), strict=True)]


def as_text(value: Any, column: str) -> str:
    """Text, and numbers as text of themselves."""
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise RowError(f"column {column!r}: a part is {show(value)}; expected text or a typed part", kind="bad_shape")


def _read_part(part: Mapping[str, Any], column: str) -> Iterator[Piece]:
    names_picture = any(part.get(key) for key in (*PATH_KEYS, *BYTES_KEYS))
    kind = part.get("type") or ("text" if part.get("text") else "image" if names_picture else None)
    if kind in PART_TYPES and "text" in kind:
        text = next((part[key] for key in CONTENT_KEYS if part.get(key) is not None), None)
        if text is None:
            raise RowError(f"column {column!r}: a text part is null; expected text", kind="null_text")
        yield as_text(text, column)
    elif kind in PART_TYPES:
        part = part if names_picture or not part.get("value") else {**part, "path": part["value"]}
        found = pictures_in({key: value for key, value in part.items() if key not in ("type", *CONTENT_KEYS)}, column)
        yield from found if found else [Gap()]
    else:
        raise RowError(f"column {column!r}: a part has type {kind!r}; expected text or image", kind="bad_shape")


def text_of_pieces(content: tuple[Piece, ...]) -> str:
    return "\n".join(text for piece in content if isinstance(piece, str) and (text := piece.strip()))


def show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
