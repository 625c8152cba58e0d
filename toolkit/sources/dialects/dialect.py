"""What a dialect is, and what it makes of a record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from toolkit.errors import RowError, shown
from toolkit.sources.published.shapes.pictures import Reference
from toolkit.tasks import Task

Fields = Mapping[str, Any]  # use -> value; of a use of many columns: column -> value
Piece = str | Reference  # text, or a picture


class Turn(NamedTuple):
    """`role` is "system", "user" or "assistant"."""

    role: str
    content: tuple[Piece, ...]


class Draft(NamedTuple):
    """A row before its pictures are read.

    Attributes:
        turns: as the rules of rows want them: optional system, then user and assistant in turn.
        rationale: plain text of the reasoning, where the record keeps it apart.
        answer: plain text of the answer; None = all that the assistant says.
        facts: what else goes into the provenance.
    """

    turns: tuple[Turn, ...]
    rationale: str = ""
    answer: str | None = None
    facts: Mapping[str, Any] = {}


class Use(NamedTuple):
    """What a column is for.

    Attributes:
        names: regular expressions of names of such columns, in any case; the first that is there is taken.
        needed: without it the record is of another dialect.
        many: all columns of the first of the expressions that any name fits, in the order of their numbers.
    """

    names: tuple[str, ...]
    needed: bool = True
    many: bool = False


@dataclass(frozen=True)
class NoOptions:
    pass


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """
    Attributes:
        name: in `DIALECTS`.
        reads: published sets of this dialect.
        sign: what it is recognised by.
        task: of its rows, unless the caller names another.
        uses: use -> names of columns.
        fits: whether the fields of a record are of this dialect; may raise RowError for no.
        read: a record.
        options: a frozen dataclass of what a record cannot tell; each has a default.
    """

    name: str
    reads: str
    sign: str
    task: Task
    uses: Mapping[str, Use]
    fits: Callable[[Fields], bool]
    read: Callable[[Fields, Any], Draft]
    options: type[Any] = field(default=NoOptions)


def text_in(fields: Fields, use: str, *, default: str | None = None) -> str:
    """The text of a use; numbers as they are written.

    Raises:
        RowError: "null_text" where there is none and no default, "bad_text" where it is something else.
    """
    value = fields.get(use)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value == "":
        if default is None:
            raise RowError(f"{use} is {value!r}; expected text", kind="null_text")
        return default
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise RowError(f"{use} is {shown(value)}; expected text", kind="bad_text")
    return value


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
