"""The survey -> how each file is read, with reasons, and with everything that this would leave out.

A plan is made from the facts of all rows, and so holds for all of them. What only a person can settle is a problem; a
mapping settles it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from toolkit.errors import LayoutError, MappingError
from toolkit.registry import Registry
from toolkit.sources.published.mapping import Entry, Overrides
from toolkit.sources.published.shapes import COLUMN_SHAPES, Columns, ColumnShape, Guess
from toolkit.sources.published.shapes.common import PICTURE_USES, common_columns
from toolkit.sources.published.shapes.facts import ColumnFacts
from toolkit.sources.published.shapes.signs import Signs
from toolkit.sources.published.shapes.table import Table, merge, parts_are_text
from toolkit.sources.published.survey import FileSurvey
from toolkit.sources.splits import split_named_in

SHOWN_CHARS = 100


@dataclass(frozen=True, kw_only=True)
class FilePlan:
    """How one Parquet file is read.

    Attributes:
        task: of every row; "" where it differs by row.
        task_column, task_values: column that tells it, and value as text -> task.
        signs: int8 (rows,), where neither tells it; see signs.py.
        shape: a name in COLUMN_SHAPES.
        columns: use -> columns; "parts" are those whose text is JSON of typed parts.
        placeholders: kinds that count; None = all that are known.
        sides: of the pictures of one list; task ("" = any) -> "prompt" or "answer" for each.
        strip, add: prefix taken from, and then put before, every picture path.
        reasons: why each of these was chosen; signs_told: the same for tasks.
        notes: what is left out, and what is odd. problems: what stops.
        counts: task -> rows; "" = told by the archive that holds a row's pictures.
    """

    path: str
    rows: int
    split: str = "train"
    task: str = ""
    task_column: str = ""
    task_values: Mapping[str, str] = field(default_factory=dict)
    signs: Signs | None = field(default=None, repr=False, compare=False)
    shape: str = ""
    columns: Columns = field(default_factory=dict)
    placeholders: tuple[str, ...] | None = None
    sides: Mapping[str, tuple[str, ...]] | None = None
    strip: str = ""
    add: str = ""
    reasons: tuple[str, ...] = ()
    signs_told: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    def reads(self) -> list[str]:
        """Every column that is read, by dotted name."""
        used = [name for use, names in self.columns.items() if use not in ("ignore", "parts") for name in names]
        return list(dict.fromkeys([*used, *filter(None, [self.task_column])]))

    def to_yaml(self) -> dict[str, Any]:
        """The entry a mapping file would need to say the same."""
        task = {"column": self.task_column, "values": dict(self.task_values)} if self.task_column else self.task
        listed = (*PICTURE_USES, "keep", "ignore")
        columns = {
            use: list(names) if use in listed else names[0]
            for use, names in self.columns.items()
            if names and use != "parts"
        }
        placeholder = (
            None
            if self.placeholders is None
            else [{"pattern": kind[3:]} if kind.startswith("re:") else kind for kind in self.placeholders]
        )
        paths = {"strip": self.strip, "add": self.add} if self.strip or self.add else None
        split = self.split if self.split != split_named_in(self.path) else ""
        sides = {task: list(each) for task, each in (self.sides or {}).items()}
        entry: dict[str, Any] = {"task": task, "split": split, "shape": self.shape, "columns": columns}
        entry |= {"placeholder": placeholder, "sides": sides.get("") or sides, "paths": paths}
        return {key: value for key, value in entry.items() if value or (key == "placeholder" and value == [])}


@dataclass(frozen=True)
class Group:
    """Files that are read alike, and what their rows say together."""

    table: Table
    files: tuple[FileSurvey, ...]
    entry: Entry | None


def group_files(files: Iterable[FileSurvey], overrides: Overrides) -> list[Group]:
    """Files whose columns have the same names and hold the same kinds of things, as shards do."""
    groups: list[tuple[dict[str, tuple[object, ...] | None], Entry | None, list[FileSurvey]]] = []
    for file in files:
        entry = overrides.entry_for(file.path)
        kinds = {name: _kind_of(facts) for name, facts in file.columns.items()}
        for known, other, members in groups:
            if other is entry and _are_alike(known, kinds):
                known.update({name: kind for name, kind in kinds.items() if kind is not None})
                members.append(file)
                break
        else:
            groups.append((kinds, entry, [file]))
    return [
        Group(merge((file.rows, file.columns) for file in members), tuple(members), entry)
        for _, entry, members in groups
    ]


def _kind_of(facts: ColumnFacts) -> tuple[object, ...] | None:
    """What decides how a column is read; None where it holds nothing."""
    if not facts.filled or not facts.has_values:
        return None
    return re.sub(r"large_|_view", "", facts.type), facts.is_json, parts_are_text(facts)


def _are_alike(left: Mapping[str, object], right: Mapping[str, object]) -> bool:
    return left.keys() == right.keys() and all(
        left[name] is None or right[name] is None or left[name] == right[name] for name in left
    )


def shape_plan(group: Group) -> FilePlan:
    """What of a plan is the same for all files of a group: shape, columns, placeholders.

    Raises:
        MappingError: an override names columns the files do not have; lists those they have.
    """
    entry, table = group.entry or Entry(pattern=""), group.table
    _check_columns(group, entry)
    taken = [name for names in entry.columns.values() for name in names] + [entry.task_column]
    free = table.without(taken)
    beside = common_columns(free, entry.columns)
    free = free.without(name for names in beside.columns.values() for name in names)
    name, guess = _recognise(free, entry)
    columns = {**beside.columns, **guess.columns, **entry.columns}
    parts = [each for each in _named(columns) if each in table.columns and parts_are_text(table.columns[each])]
    columns |= {"parts": tuple(parts)} if parts else {}
    problems = [*_missing(name, columns), *beside.problems, *guess.problems, *_lost_texts(table, columns, entry)]
    problems = problems if table.rows else []
    notes, tags = [*_left_out(table, columns, entry), *beside.notes, *guess.notes], _tags(table, columns)
    plan = FilePlan(
        path="",
        rows=0,
        shape=name,
        columns=columns,
        placeholders=entry.placeholders,
        sides=entry.sides,
        strip=entry.strip,
        add=entry.add,
    )
    reasons = [f"shape {name}"]
    reasons += [
        f"{use} <- column {', '.join(names)}"
        for use, names in columns.items()
        if names and use not in ("parts", "ignore")
    ]
    if entry.placeholders is None:
        reasons.append(
            "placeholders: " + (", ".join(f"{kind} ({count:,})" for kind, count in tags.most_common()) or "none")
        )
    else:
        reasons.append(f"placeholders: {', '.join(entry.placeholders) or 'none'}")
    if entry.keys:
        reasons.append(f"{', '.join(entry.keys)}: from the mapping file, entry {entry.pattern!r}")
    return replace(plan, reasons=tuple(reasons), notes=tuple(notes), problems=tuple(problems))


def _recognise(table: Table, entry: Entry) -> tuple[str, Guess]:
    if entry.shape:
        shape: ColumnShape = COLUMN_SHAPES.load(entry.shape)
        return entry.shape, shape.recognise(table, entry.columns) or Guess({})
    for name in shape_order(COLUMN_SHAPES):
        found = COLUMN_SHAPES.load(name).recognise(table, entry.columns)
        if found is not None:
            return name, found
    return "columns", Guess({})


def shape_order(shapes: Registry) -> list[str]:
    """Names in the order in which shapes are tried: those from outside, then ours."""
    return sorted(shapes, key=lambda name: shapes[name].startswith("toolkit."))


def _missing(shape: str, columns: Columns) -> list[str]:
    found: ColumnShape = COLUMN_SHAPES.load(shape)
    return list(found.problems(columns))


def _named(columns: Columns) -> list[str]:
    return [name for use, names in columns.items() if use not in ("ignore", "parts") for name in names]


def _check_columns(group: Group, entry: Entry) -> None:
    there = [*group.table.columns, *(name for file in group.files for name in file.columns)]
    keys = {name: f"columns.{use}" for use, names in entry.columns.items() for name in names}
    keys |= {entry.task_column: "task.column"} if entry.task_column else {}
    if absent := sorted(keys.keys() - set(there)):
        raise MappingError(
            f"{entry.where}: {keys[absent[0]]}: found {absent[0]!r}; expected a column of {group.files[0].path}: "
            f"{', '.join(sorted(set(there)))}"
        )


def _left_out(table: Table, columns: Columns, entry: Entry) -> list[str]:
    """A line for every column that is not read."""
    used = {*_named(columns), *columns.get("ignore", ()), *filter(None, [entry.task_column])}
    lines = []
    for name, facts in table.columns.items():
        examples = [repr(each) for leaf in facts.leaves.values() for each in leaf.examples[:1]]
        if name in columns.get("ignore", ()):
            lines.append(f"not read: column {name!r}, as the mapping says")
        elif name not in used:
            held = (
                f"{facts.type}, e.g. {examples[0]}"
                if examples
                else facts.type
                if facts.has_values
                else "null in every row"
            )
            lines.append(f"not read: column {name!r} ({held})")
        elif facts.nulls:
            lines.append(f"column {name!r} is null or empty in {facts.nulls:,} of {table.rows:,} rows")
    for name in _named(columns):
        for path, leaf in table.columns[name].leaves.items() if name in table.columns else ():
            for tag, count in leaf.unknown.most_common(3):
                lines.append(f"column {name!r}: {tag!r} ({count:,}) may stand for a picture; it is read as text")
            if (
                path.endswith("[]")
                and leaf.nulls + leaf.blanks
                and any(name in columns.get(use, ()) for use in PICTURE_USES)
            ):
                lines.append(f"column {name!r}: {leaf.nulls + leaf.blanks:,} pictures inside lists are null")
    return lines


def _lost_texts(table: Table, columns: Columns, entry: Entry) -> list[str]:
    """Columns that have placeholders, and so are part of a conversation, but are not read."""
    used = {*_named(columns), *columns.get("ignore", ()), entry.task_column}
    return [
        f"column {name!r} has placeholders, and no use"
        for name, facts in table.columns.items()
        if name not in used and any(leaf.tags for leaf in facts.inner().values())
    ]


def _tags(table: Table, columns: Columns) -> Counter[str]:
    found: Counter[str] = Counter()
    for name in _named(columns):
        for leaf in table.columns[name].inner().values() if name in table.columns else ():
            found += leaf.tags
    return found


def explain(repository: str, plan: FilePlan, table: Table) -> LayoutError:
    """The error for a file that cannot be read: what is wrong, what its columns hold, and the mapping to write."""
    lines = []
    for name, facts in table.columns.items():
        examples = [each[:SHOWN_CHARS] for leaf in facts.leaves.values() for each in leaf.examples[:1]]
        lines.append(f"    {name}: {repr(examples[0]) if examples else 'null'}")
    entry = {"task": "", "shape": "", **plan.to_yaml()}
    draft = yaml.safe_dump({"files": {plan.path: entry}}, sort_keys=False, allow_unicode=True).rstrip()
    indented = "\n".join(f"    {line}" for line in draft.splitlines())
    more = f" (and {len(plan.problems) - 1} more: {'; '.join(plan.problems[1:])})" if len(plan.problems) > 1 else ""
    return LayoutError(
        f"{repository}: {plan.path}: {plan.problems[0]}{more}\n  Its columns:\n"
        + "\n".join(lines)
        + "\n  Complete this as a file and pass it as mapping (--mapping FILE); columns that do not count go under "
        f"columns: {{ignore: [...]}}:\n{indented}"
    )
