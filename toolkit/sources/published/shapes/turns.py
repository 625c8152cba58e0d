"""One column holds the conversation: LLaVA's {from, value}, or {role, content}; as lists or as JSON text.

Pictures may stand in typed parts, in a list beside a turn's content, or in columns of their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from toolkit.errors import RowError, shorten
from toolkit.sources.published.shapes import Columns, Draft, Guess, Record
from toolkit.sources.published.shapes.messages import items_of, read_pieces, show, text_of_pieces
from toolkit.sources.published.shapes.pictures import Reference, parse_text, pictures_in
from toolkit.sources.published.shapes.placing import Break, Piece, Turn
from toolkit.sources.published.shapes.table import ROLE_OF, Table, holds_turns
from toolkit.sources.published.shapes.words import COLUMN_NAMES, CONTENT_KEYS, ROLE_KEYS

PICTURE_KEYS = ("images", "image", "image_path", "image_paths", "pictures")
PLAIN_KEYS = {*ROLE_KEYS, *CONTENT_KEYS}
RATIONALE_KEYS = ("reasoning_content", "reasoning", "thinking")


class Turns:
    uses = ("turns", "system")

    def recognise(self, table: Table, given: Columns) -> Guess | None:
        found = [name for name, facts in table.columns.items() if holds_turns(facts)]
        if not found and "turns" not in given:
            return None
        columns = {} if "turns" in given else {"turns": tuple(found[:1])}
        problems = []
        if len(found) > ("turns" not in given):
            problems.append(f"several columns hold conversations: {', '.join([*given.get('turns', ()), *found])}")
        systems = [name for name in COLUMN_NAMES["system"][0] if name in table.columns]
        if systems and "system" not in given and table.columns[systems[0]].text.kind == "text":
            columns["system"] = (systems[0],)
        apart = [name for name in COLUMN_NAMES["rationale"][0] if name in table.columns and table.columns[name].filled]
        problems += [f"column {name!r} holds reasoning beside the conversation" for name in apart]
        return Guess(columns, tuple(problems))

    def read(self, record: Record, columns: Columns) -> Draft:
        (column,) = columns["turns"]
        value = items_of(parse_text(record[column]), column)
        if value is None or (isinstance(value, (list, str)) and not value):
            raise RowError(f"column {column!r} holds no turns; expected a conversation", kind="empty_conversation")
        if not isinstance(value, (list, tuple)):
            raise RowError(f"column {column!r} holds {show(value)}; expected a list of turns", kind="bad_shape")
        turns = [_read_turn(turn, column, columns.get("parts", ())) for turn in value]
        for name in columns.get("system", ()):
            if isinstance(record[name], str) and record[name].strip():
                if turns[0].role == "system":
                    raise RowError(f"column {name!r} and the first turn are both a system message", kind="bad_turns")
                turns.insert(0, Turn("system", (record[name],)))
        return Draft(tuple(turns), *_rationale(value, turns))

    def problems(self, columns: Columns) -> Iterable[str]:
        if len(columns.get("turns", ())) != 1:
            yield "shape 'turns' needs the column that holds them"


def _read_turn(turn: Any, column: str, parts: Iterable[str]) -> Turn:
    if not isinstance(turn, Mapping):
        raise RowError(
            f"column {column!r}: a turn is {show(turn)}; expected from/value or role/content", kind="bad_shape"
        )
    named = turn.get("from") or turn.get("role")
    role = ROLE_OF.get(str(named).lower())
    if role is None:
        raise RowError(
            f"column {column!r}: a turn has role {named!r}; known: {', '.join(sorted(ROLE_OF))}", kind="unknown_role"
        )
    has_more = not turn.keys() <= PLAIN_KEYS
    pictures = _pictures_of(turn, column) if has_more else ()
    thoughts = (turn[key] for key in RATIONALE_KEYS if isinstance(turn.get(key), str) and turn[key].strip())
    thought = next(thoughts, "") if has_more else ""
    before: tuple[Piece, ...] = (thought, Break()) if thought else ()
    for key in CONTENT_KEYS:
        if turn.get(key) is not None:
            return Turn(role, (*before, *read_pieces(turn[key], column, parts)), pictures)
    if any(key in turn for key in CONTENT_KEYS):
        raise RowError(f"column {column!r}: the {role} turn is null; expected text", kind=_NULL_KINDS[role])
    raise RowError(
        f"column {column!r}: a turn has keys {shorten(turn)}; expected value, content or text", kind="bad_shape"
    )


_NULL_KINDS = {"assistant": "null_answer", "user": "null_prompt", "system": "null_prompt"}


def _pictures_of(turn: Mapping[str, Any], column: str) -> tuple[Reference, ...]:
    """Those of the first key that lists any; several that list the same are one list."""
    lists = [found for key in PICTURE_KEYS if turn.get(key) and (found := pictures_in(turn[key], column))]
    if any(each != lists[0] for each in lists[1:]):
        raise RowError(
            f"column {column!r}: a turn lists pictures under several keys, and they differ; expected one list",
            kind="picture_conflict",
        )
    return tuple(lists[0]) if lists else ()


def _rationale(value: Any, turns: list[Turn]) -> tuple[str, str | None]:
    """Reasoning that the one reply keeps apart from its answer."""
    replies = [turn for turn in turns if turn.role == "assistant"]
    if len(replies) != 1 or not any(isinstance(piece, Break) for piece in replies[0].content):
        return "", None
    place = next(number for number, piece in enumerate(replies[0].content) if isinstance(piece, Break))
    return text_of_pieces(replies[0].content[:place]), text_of_pieces(replies[0].content[place:])


SHAPE = Turns()
