"""The rules that every row keeps. `check_row` is the one place that knows them; all writers of rows call it."""

import json
from collections.abc import Iterator

from toolkit.errors import RowError, shown
from toolkit.schema import ID_PATTERN, MAX_ROW_BYTES, ORIGINS, Region, Row, quadrant_of
from toolkit.tasks import QUADRANTS, TASK_NAME

MAX_ID = 200  # characters; with a number and a suffix a file name must stay below 255


def check_row(row: Row) -> None:
    """Check every rule that a row keeps by itself; that an id occurs once shows only over all rows.

    Raises:
        RowError: the first rule broken; its `kind` names the rule.
    """
    for kind, problem in _problems(row):
        task = row.task if isinstance(row.task, str) else shown(row.task)
        raise RowError(f"{task}: row {shown(row.id)}: {problem}", kind=kind)


def _problems(row: Row) -> Iterator[tuple[str, str]]:
    yield from _text_problems(row)
    if not ID_PATTERN.fullmatch(row.id):
        yield "bad_id", f"id must match [a-z0-9_-]+, found {shown(row.id)}"
    if len(row.id) > MAX_ID:
        yield "long_id", f"the id has {len(row.id)} characters; at most {MAX_ID} fit a file name"
    if not TASK_NAME.fullmatch(row.task):
        yield "bad_task", f"task is {shown(row.task)}; expected {TASK_NAME.pattern}"
    for column, value, known in (
        ("quadrant", row.quadrant, QUADRANTS),
        ("origin", row.origin, ORIGINS),
    ):
        if value not in known:
            yield f"bad_{column}", f"{column} is {value!r}; known: {', '.join(known)}"
    yield from _message_problems(row)
    yield from _image_problems(row)
    for number, region in enumerate(row.regions):
        if not _is_in_image(region, len(row.images)):
            yield (
                "bad_region",
                f"regions[{number}] is {shown(region)}; expected an image below {len(row.images)} and "
                "0 <= x0 <= x1 <= 1, same for y",
            )
    if not _is_json_object(row.provenance):
        yield "bad_provenance", f"provenance must be a JSON object, found {shown(row.provenance)}"


def _text_problems(row: Row) -> Iterator[tuple[str, str]]:
    """Text is Unicode that can be written: `str`, and no half of a surrogate pair."""
    if _can_be_written(row):
        return
    for column, text in _texts(row):
        if not isinstance(text, str):
            yield "bad_text", f"{column} is {shown(text)}; expected text"
        elif not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                around = text[max(0, error.start - 10) : error.end + 10]
                yield "bad_text", f"{column} has half a surrogate pair in {around!r}; expected whole characters"


def _can_be_written(row: Row) -> bool:
    """Whether all texts together can be; which of them cannot is looked for only if not."""
    texts = [row.id, row.task, row.quadrant, row.source, row.license, row.origin]
    texts += [row.instruction, row.rationale, row.answer, row.provenance]
    for message in row.messages:
        texts.append(message.role)
        for part in message.content:
            texts += (part.type, part.text)
    texts += [image.path for image in row.images]
    texts += [region.label for region in row.regions]
    try:
        whole = "".join([*texts, *row.image_roles, *row.image_captions])
        return whole.isascii() or bool(whole.encode("utf-8"))
    except (TypeError, UnicodeEncodeError):
        return False


def _texts(row: Row) -> Iterator[tuple[str, object]]:
    for column in ("id", "task", "quadrant", "source", "license", "origin", "instruction", "rationale", "answer"):
        yield column, getattr(row, column)
    yield "provenance", row.provenance
    for number, message in enumerate(row.messages):
        yield f"messages[{number}].role", message.role
        for part in message.content:
            yield f"messages[{number}].content", part.type
            yield f"messages[{number}].content", part.text
    yield from (("images.path", image.path) for image in row.images)
    yield from (("image_roles", role) for role in row.image_roles)
    yield from (("image_captions", caption) for caption in row.image_captions)
    yield from (("regions.label", region.label) for region in row.regions)


def _is_in_image(region: Region, count: int) -> bool:
    try:
        x0, y0, x1, y1 = region.box
        return 0 <= region.image < count and 0 <= x0 <= x1 <= 1 and 0 <= y0 <= y1 <= 1
    except (TypeError, ValueError):
        return False


def _message_problems(row: Row) -> Iterator[tuple[str, str]]:
    roles = [message.role for message in row.messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2):
        yield (
            "bad_turns",
            f"turns are {roles}; expected an optional system, then user and assistant in turn, assistant last",
        )
    for part in (part for message in row.messages for part in message.content):
        if part.type not in ("text", "image"):
            yield "bad_part", f"a part has type {part.type!r}; expected 'text' or 'image'"
        elif part.type == "image" and part.text:
            yield "bad_part", f"an image part carries text {shown(part.text)}; expected ''"


def _image_problems(row: Row) -> Iterator[tuple[str, str]]:
    sides = [message.role for message in row.messages for part in message.content if part.type == "image"]
    counts = (len(sides), len(row.images), len(row.image_roles), len(row.image_captions))
    if len(set(counts)) > 1:
        yield (
            "count_mismatch",
            "image parts, images, image_roles, image_captions number {}, {}, {}, {}; expected equal".format(*counts),
        )
    for number, (side, role) in enumerate(zip(sides, row.image_roles, strict=False)):
        expected = ("intermediate", "output") if side == "assistant" else ("input",)
        if role not in expected:
            yield (
                "bad_image_role",
                f"image_roles[{number}] is {role!r} in a {side} message; expected {' or '.join(expected)}",
            )
    if (size := sum(len(image.bytes) for image in row.images if isinstance(image.bytes, bytes))) > MAX_ROW_BYTES:
        yield "row_too_large", f"images of {size:,} bytes; expected at most {MAX_ROW_BYTES:,} in a row"
    for number, image in enumerate(row.images):
        if not image.bytes or not isinstance(image.bytes, bytes):
            yield "empty_image", f"images[{number}] ({image.path!r}) has no bytes"
    if row.quadrant in QUADRANTS and row.quadrant != (found := quadrant_of(row.messages)):
        yield "bad_quadrant", f"quadrant is {row.quadrant!r}, but the messages are {found!r}"


def _is_json_object(text: str) -> bool:
    """Strict JSON, which other readers take too: no NaN."""
    try:
        return isinstance(_STRICT.decode(text), dict)
    except (ValueError, RecursionError):
        return False


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_STRICT = json.JSONDecoder(parse_constant=_refuse)
