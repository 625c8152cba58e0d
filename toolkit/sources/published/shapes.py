"""A raw record -> Draft: turns of text and references to pictures. One reader per column shape, named in SHAPES.

turns     one column holds the conversation: LLaVA `{from, value}`, or `{role, content}` with a string or a list of
          parts; as lists or as JSON text
columns   prompt, rationale and answer are columns of their own; each a string, a list of parts, or JSON text of one

Pictures come from parts that name them, from path columns, or from both through placeholders in the text (see
placing.py).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from toolkit.errors import RowError
from toolkit.sources.published.placing import PLACEHOLDERS, Break, Gap, Piece, Pools, Reference, Turn, place

ROLE_OF = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
}
PATH_KEYS = ("path", "image", "image_path", "file_name", "filename", "file", "url", "image_url")
CAPTION_KEYS = ("caption", "alt", "prompt")
# Source: Xkev/LLaVA-CoT-100k, whose answers are these four sections.
COT_SECTIONS = re.compile(
    r"\s*<SUMMARY>(.*?)</SUMMARY>\s*<CAPTION>(.*?)</CAPTION>\s*<REASONING>(.*?)</REASONING>\s*<CONCLUSION>(.*?)</CONCLUSION>\s*",
    re.DOTALL,
)


class Draft(NamedTuple):
    """A row as upstream wrote it, before its pictures are found. `answer` is None where it cannot be told from the
    rationale.
    """

    turns: tuple[Turn, ...]
    rationale: str = ""
    answer: str | None = None

    def references(self) -> list[Reference]:
        return [piece for turn in self.turns for piece in turn.content if isinstance(piece, Reference)]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a Parquet file hold what; "" or () where there is none."""

    id: str = ""
    turns: str = ""
    prompt: str = ""
    rationale: str = ""
    answer: str = ""
    images: tuple[str, ...] = ()  # pictures of the whole row, in reading order
    prompt_images: tuple[str, ...] = ()
    answer_images: tuple[str, ...] = ()
    captions: str = ""  # aligned with `images`

    def named(self) -> set[str]:
        """Every column that is read."""
        single = (self.id, self.turns, self.prompt, self.rationale, self.answer, self.captions)
        return {*filter(None, single), *self.images, *self.prompt_images, *self.answer_images}


def read_draft(record: dict[str, Any], *, shape: str, columns: Columns, placeholder: str, quadrant: str) -> Draft:
    """One raw record as a Draft whose pictures are in place.

    Args:
        shape: a key of SHAPES.
        placeholder: a key of PLACEHOLDERS.
        quadrant: of the row's task; tells where pictures go that no placeholder places.

    Raises:
        RowError: the record is not of this shape ("bad_shape", "unknown_role"), or its pictures cannot be placed
            ("placeholder_mismatch").
    """
    draft = SHAPES[shape](record, columns)
    pools = Pools(*(_pool(record, names) for names in (columns.prompt_images, columns.answer_images, columns.images)))
    if columns.captions:
        pools = pools._replace(row=_caption(pools.row, record[columns.captions]))
    turns = place(draft.turns, pools, placeholder=placeholder, quadrant=quadrant)
    if quadrant != "text-text":  # there, tags are the writer's own words
        rationale, answer = (
            text and _without_placeholders(text, PLACEHOLDERS[placeholder]) for text in (draft.rationale, draft.answer)
        )
        draft = draft._replace(rationale=rationale or "", answer=answer)
    return _split_cot(draft._replace(turns=turns))


def named_paths(record: dict[str, Any], *, shape: str, columns: Columns) -> list[str]:
    """Paths of all pictures a raw record names, wherever it names them."""
    drawn = SHAPES[shape](record, columns).references()
    return [
        reference.path
        for reference in (*drawn, *_pool(record, (*columns.images, *columns.prompt_images, *columns.answer_images)))
    ]


def _read_turns(record: dict[str, Any], columns: Columns) -> Draft:
    value = parse_json(record[columns.turns])
    if not isinstance(value, list) or not value:
        raise RowError(f"column {columns.turns!r} holds {_show(value)}; expected a list of turns", kind="bad_shape")
    return Draft(tuple(_read_turn(turn, columns.turns) for turn in value))


def _read_turn(turn: Any, column: str) -> Turn:
    if not isinstance(turn, dict):
        raise RowError(
            f"column {column!r}: a turn is {_show(turn)}; expected from/value or role/content", kind="bad_shape"
        )
    named = turn.get("from") or turn.get("role")
    role = ROLE_OF.get(str(named).lower())
    if role is None:
        raise RowError(
            f"column {column!r}: a turn has role {named!r}; known: {', '.join(sorted(ROLE_OF))}", kind="unknown_role"
        )
    for key in ("value", "content", "text"):
        if turn.get(key) is not None:
            return Turn(role, tuple(_read_pieces(turn[key], column)))
    raise RowError(
        f"column {column!r}: a turn has keys {sorted(turn)}; expected value, content or text", kind="bad_shape"
    )


def _read_columns(record: dict[str, Any], columns: Columns) -> Draft:
    prompt, rationale, answer = (
        tuple(_read_pieces(record[name], name)) if name else ()
        for name in (columns.prompt, columns.rationale, columns.answer)
    )
    turns = (Turn("user", prompt), Turn("assistant", (*rationale, Break(), *answer)))
    return Draft(turns, rationale=_text(rationale), answer=_text(answer) if rationale else None)


def _read_pieces(value: Any, column: str) -> Iterator[Piece]:
    """The pieces of one message: a string, a list of strings and parts, or JSON text of a list of parts."""
    for part in _parts(value):
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield from _read_part(part, column)
        elif part is not None:
            raise RowError(
                f"column {column!r}: a part is {_show(part)}; expected text or a typed part", kind="bad_shape"
            )


def _parts(value: Any) -> list[Any]:
    """A message as a list. Text that happens to be JSON ("[1, 2]") stays text: only a list of typed parts is taken for
    one.
    """
    if isinstance(value, list):
        return value
    parsed = parse_json(value)
    if isinstance(parsed, list) and parsed and all(isinstance(part, dict) and "type" in part for part in parsed):
        return parsed
    return [value]


def _read_part(part: dict[str, Any], column: str) -> Iterator[Piece]:
    kind = part.get("type") or ("text" if part.get("text") else "image")
    if kind == "text":
        yield part.get("text") or ""
    elif kind in ("image", "image_url"):
        found = references_in(part)
        yield from found if found else [Gap()]
    else:
        raise RowError(f"column {column!r}: a part has type {kind!r}; expected text or image", kind="bad_shape")


def references_in(value: Any) -> list[Reference]:
    """The pictures a value names: a path, a list of paths, a struct with a path or bytes, JSON text of any of these."""
    value = parse_json(value)
    if isinstance(value, str):
        return [Reference(value)] if value.strip() else []
    if isinstance(value, list):
        return [reference for item in value for reference in references_in(item)]
    if isinstance(value, dict):
        caption = next((value[key] for key in CAPTION_KEYS if isinstance(value.get(key), str)), "")
        if value.get("bytes"):
            return [Reference(value.get("path") or "", caption, value["bytes"])]
        for key in PATH_KEYS:
            if value.get(key):
                return [found._replace(caption=found.caption or caption) for found in references_in(value[key])]
    return []


def parse_json(value: Any) -> Any:
    """JSON text of a list or an object as what it says; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _pool(record: dict[str, Any], columns: Iterable[str]) -> list[Reference]:
    return [reference for column in columns for reference in references_in(record[column])]


def _caption(pool: list[Reference], value: Any) -> list[Reference]:
    captions = parse_json(value)
    captions = [captions] if isinstance(captions, str) else captions or []
    if len(captions) != len(pool):
        raise RowError(f"{len(captions)} captions but {len(pool)} pictures; expected as many", kind="caption_mismatch")
    return [reference._replace(caption=caption or "") for reference, caption in zip(pool, captions, strict=True)]


def _split_cot(draft: Draft) -> Draft:
    """LLaVA-CoT's sections tell the rationale from the answer; the turns keep the tagged text as it was."""
    replies = [turn for turn in draft.turns if turn.role == "assistant"]
    if draft.rationale or len(replies) != 1 or not (match := COT_SECTIONS.fullmatch(_text(replies[0].content))):
        return draft
    *reasons, conclusion = (section.strip() for section in match.groups())
    return draft._replace(rationale="\n\n".join(filter(None, reasons)), answer=conclusion)


def _without_placeholders(text: str, pattern: re.Pattern[str]) -> str:
    return _text(pattern.sub("\0", text).split("\0"))


def _text(content: Iterable[object]) -> str:
    return "\n".join(text for piece in content if isinstance(piece, str) and (text := piece.strip()))


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


SHAPES: dict[str, Callable[[dict[str, Any], Columns], Draft]] = {"turns": _read_turns, "columns": _read_columns}
