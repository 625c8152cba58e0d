"""Column shapes: the ways in which published data lays a conversation out over columns.

A shape recognises itself in the facts of a table, says which columns it reads and what is wrong with them, and reads a
record. One file and one line here add a shape; from outside, an entry point `unifiedvisual.column_shapes` does, or
"module:NAME" as `shape:` of a mapping. Of those that recognise themselves the first is taken, those from outside before
ours.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from toolkit.registry import Registry
from toolkit.sources.published.shapes.pictures import Reference
from toolkit.sources.published.shapes.placing import Turn
from toolkit.sources.published.shapes.table import Table

Columns = Mapping[str, tuple[str, ...]]  # use -> columns, by dotted name
Record = Mapping[str, Any]  # dotted name -> value


def _wrong(shape: Any) -> str:
    if isinstance(shape, type):
        return f"is the class {shape.__name__}; expected an object of it"
    if lacks := [name for name in ("recognise", "read", "problems") if not callable(getattr(shape, name, None))]:
        return f"has no {', '.join(lacks)}; expected a column shape"
    if not isinstance(uses := getattr(shape, "uses", None), (tuple, list)):
        return f"has uses {uses!r}; expected a tuple of names"
    return ""


COLUMN_SHAPES = Registry(
    "column_shapes",
    {
        "turns": "toolkit.sources.published.shapes.turns:SHAPE",
        "pairs": "toolkit.sources.published.shapes.pairs:SHAPE",
        "columns": "toolkit.sources.published.shapes.columns:SHAPE",
    },
    wrong=_wrong,
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


class Guess(NamedTuple):
    """What a shape recognised.

    Attributes:
        columns: use -> columns.
        problems: what only a person can settle, such as two columns for one use.
        notes: what is taken from an order or a position.
    """

    columns: dict[str, tuple[str, ...]]
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ColumnShape(Protocol):
    """How one shape is recognised and read. Pictures in columns of their own, captions and ids are read for every
    shape; see common.py.
    """

    uses: tuple[str, ...]
    """What it can hold, beyond that: names of uses, as in `columns:` of a mapping."""

    def recognise(self, table: Table, given: Columns) -> Guess | None:
        """The columns it would read; None where it is another shape.

        Args:
            table: columns that have no use yet.
            given: uses that a mapping gives.
        """

    def read(self, record: Record, columns: Columns) -> Draft:
        """One record; pictures of columns of their own are placed later.

        Raises:
            RowError: the record is not of this shape.
        """

    def problems(self, columns: Columns) -> Iterable[str]:
        """What is missing, or does not go together."""
