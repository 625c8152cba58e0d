"""Values of a column -> the pictures they name or hold: paths, bytes, base64, data URIs, structs, lists, JSON text."""

import ast
import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from toolkit.errors import RowError
from toolkit.images.files import PATH_SUFFIXES, format_name

SUFFIXES = "|".join(PATH_SUFFIXES)
MAX_NAME = 1024
PICTURE_NAME = re.compile(rf"[^\n]{{1,{MAX_NAME}}}\.(?:{SUFFIXES})(?:[?#]\S*)?\s*", re.IGNORECASE)
BETWEEN = re.compile(r"[,;|\s]")
IN_LIST = re.compile(r"[,;|\n]")
AFTER_NAME = re.compile(rf"(?<=\.)({SUFFIXES})\s+(?=[^\s,;|])", re.IGNORECASE)  # blanks end a name as a comma does
ENDINGS = tuple(f".{suffix}" for suffix in PATH_SUFFIXES)
PATH_KEYS = ("path", "image", "image_path", "file_name", "filename", "file", "url", "image_url", "origin")
BYTES_KEYS = ("bytes", "data", "base64")
PART_TYPES = ("text", "input_text", "output_text", "image", "image_url", "input_image", "output_image")
CAPTION_KEYS = ("caption", "alt", "prompt")
# A struct of these alone is one picture: `datasets`' Image, Spark's image schema, and their like.
PICTURE_KEYS = frozenset(
    [*PATH_KEYS, *BYTES_KEYS, *CAPTION_KEYS, *["height", "width", "nChannels", "mode", "format", "size", "id", "type"]]
)
DATA_URI = re.compile(r"data:image/[\w.+-]+(?:;[\w=.-]+)*;base64,", re.IGNORECASE)
MIN_BASE64 = 64  # characters; shorter than any picture
REPR_LIMIT = 100_000  # characters of a Python repr that is read


class Reference(NamedTuple):
    """A picture a row names: by path, or with its bytes in the row itself."""

    path: str
    caption: str = ""
    bytes: bytes = b""


def same_name(left: str, right: str) -> bool:
    """Whether two paths end alike as far as the shorter one goes."""
    left, right = (path.replace("\\", "/").lstrip("./") for path in (left, right))
    return bool(left) and (left == right or left.endswith("/" + right) or right.endswith("/" + left))


def is_same(left: Reference, right: Reference) -> bool:
    if left.bytes and right.bytes:
        return left.bytes == right.bytes
    return same_name(left.path, right.path)


def not_among(pool: list[Reference], placed: list[Reference]) -> list[Reference]:
    """Pictures that have no place yet; a column that lists what parts or turns name already adds none."""
    if not pool or not placed:
        return pool
    known = [any(is_same(each, other) for other in placed) for each in pool]
    if all(known):
        return []
    raise RowError(
        f"the conversation names its pictures, and a column lists {len(pool) - sum(known)} others, such as "
        f"{pool[known.index(False)].path!r}; expected the same; say in a mapping which columns count",
        kind="picture_conflict",
    )


def is_picture_struct(keys: frozenset[str]) -> bool:
    return (
        bool(keys & {"path", "bytes", "url", "file_name", "filename", "image_path", "origin"}) and keys <= PICTURE_KEYS
    )


def is_picture_name(text: str) -> bool:
    return bool(PICTURE_NAME.fullmatch(text))


def is_encoded(text: str) -> bool:
    """Whether text is a picture in base64, as a data URI or bare."""
    return bool(DATA_URI.match(text)) or _bare_base64(text) is not None


def parse_text(value: Any) -> Any:
    """JSON text, or Python's repr, of a list or an object as what it says; anything else as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except RecursionError:
        return value
    except ValueError:
        pass
    if len(value) > REPR_LIMIT or "'" not in value:
        return value
    try:
        parsed = ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    return parsed if isinstance(parsed, (list, dict)) else value


def is_parts_text(text: str) -> bool:
    """Whether text is JSON of a list of typed parts, as messages are."""
    if '"type"' not in text:
        return False
    value = parse_text(text)
    return isinstance(value, list) and all(isinstance(part, dict) and part.get("type") in PART_TYPES for part in value)


def pictures_in(value: Any, column: str) -> list[Reference]:
    """The pictures a value names or holds; none for null or blank.

    Raises:
        RowError: "null_picture", a list with a hole: which picture stands where is no longer known.
    """
    parsed = parse_text(value)
    found = _pictures(parsed, column)
    if None in found:
        if len(found) == 1 and not isinstance(parsed, (list, tuple)):
            return []
        holes = [number for number, reference in enumerate(found) if reference is None]
        raise RowError(
            f"column {column!r}: {len(holes)} of {len(found)} pictures are null (number {holes[0] + 1} is the first); "
            "expected all of them",
            kind="null_picture",
        )
    return [reference for reference in found if reference is not None]


def _pictures(value: Any, column: str) -> list[Reference | None]:
    """References; None for each hole."""
    if isinstance(value, str):
        return [*_from_text(text)] if (text := value.strip()) else [None]
    if isinstance(value, (list, tuple)):
        return [reference for item in value for reference in _pictures(item, column)]
    if isinstance(value, Mapping):
        return list(_from_struct(value, column))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return [_from_bytes(bytes(value))]
    if value is None:
        return [None]
    raise RowError(
        f"column {column!r}: a picture is {value!r:.80}; expected a path, bytes or a struct of them", kind="bad_shape"
    )


def _from_struct(value: Mapping[str, Any], column: str) -> Iterator[Reference | None]:
    caption = next((text for key in CAPTION_KEYS if isinstance(text := value.get(key), str)), "")
    path = next((value[key] for key in PATH_KEYS if value.get(key)), None)
    data = next((value[key] for key in BYTES_KEYS if value.get(key)), None)
    if isinstance(path, (list, tuple)) or isinstance(data, (list, tuple)):  # a struct of lists, as older versions write
        paths, datas = (list(part) if isinstance(part, (list, tuple)) else [] for part in (path, data))
        for number in range(max(len(paths), len(datas))):
            pair = {"path": paths[number] if number < len(paths) else None}
            yield from _from_struct(pair | {"bytes": datas[number] if number < len(datas) else None}, column)
        return
    named = next(iter(_pictures(path, column)), None) if path else None
    held = next(iter(_pictures(data, column)), None) if data else None
    if held is not None and held.bytes:
        yield Reference(named.path if named else "", caption, held.bytes)
    elif (found := named or held) is not None:
        yield found._replace(caption=found.caption or caption)
    else:
        yield None


def _from_bytes(value: bytes) -> Reference | None:
    if not format_name(value) and len(value) <= MAX_NAME:
        try:
            text = value.decode("utf-8").strip()
        except UnicodeDecodeError:
            return Reference("", bytes=value)
        if text.isprintable():  # no picture is: a path, with a suffix or without
            return Reference(text) if text else None
    return Reference("", bytes=value)


def _from_text(text: str) -> list[Reference]:
    if match := DATA_URI.match(text):
        return [Reference("", bytes=_decode(text[match.end() :]))]
    if (data := _bare_base64(text)) is not None:
        return [Reference("", bytes=data)]
    return [Reference(name) for name in _names(text)]


def _names(text: str) -> list[str]:
    """Paths that stand in one text, between commas, semicolons, bars, line breaks or blanks; else the text."""
    if len(text) > REPR_LIMIT or not BETWEEN.search(text):
        return [text]
    names = [name.strip() for name in IN_LIST.split(AFTER_NAME.sub(r"\1\n", text))]
    return names if all(len(name) > 1 and name.lower().endswith(ENDINGS) for name in names) else [text]


def _bare_base64(text: str) -> bytes | None:
    if len(text) < MIN_BASE64 or not re.match(r"[A-Za-z0-9+/\s]{60}", text):
        return None
    try:
        head = base64.b64decode(re.sub(r"\s", "", text[:80])[:64])
    except (ValueError, binascii.Error):
        return None
    return _decode(text) if format_name(head) else None


def _decode(text: str) -> bytes:
    compact = re.sub(r"\s", "", text)
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (ValueError, binascii.Error) as error:
        raise RowError(
            f"a picture in base64 that cannot be decoded ({error}); {text[:40]!r}...", kind="bad_base64"
        ) from error
