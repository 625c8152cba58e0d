"""Looking before reading: which dialect the files of a dataset are of, and by which columns.

Files of one folder whose names differ in numbers only are a group, and read alike; the first of them is looked at, its
first records. A dialect is recognised where its columns are there and at least half of these records fit it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from toolkit.errors import RowError, SourceError, UsageError, shorten, shown
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.dialects.dialect import Dialect, Fields, Use
from toolkit.sources.dialects.fields import holds_image, is_video_name
from toolkit.sources.dialects.records import KEY, Record, read_records
from toolkit.sources.parquet import MAX_COLUMNS
from toolkit.sources.repository import Repository

MOST_TOLD = 12  # columns
LOOKED_AT = 50  # records of a group
KEPT = "keep"  # the use of columns that go into the provenance
COMMON = {
    "id": Use(("id", "uid", "uuid", KEY, "sample_id", "question_id", "(image|img)_id", "doc_id", "key"), needed=False),
    KEPT: Use((), needed=False, many=True),
}

Columns = Mapping[str, tuple[str, ...]]  # use -> columns


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """How a group of files is read.

    Attributes:
        files: in order.
        dialect: name, or "module:NAME".
        columns: that are read, by use; dotted where they lie in another.
        patterns: by use of many columns: what their names fit.
        not_read: columns that are there beside them.
        images_not_read: those of them that hold images.
        fitting, looked_at: records.
        also: other dialects that they fit.
    """

    files: tuple[str, ...]
    dialect: str
    columns: Columns
    patterns: Mapping[str, str] = field(default_factory=dict)
    not_read: tuple[str, ...] = ()
    images_not_read: tuple[str, ...] = ()
    fitting: int = 0
    looked_at: int = 0
    also: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        columns = [name for names in self.columns.values() for name in names]
        used = ", ".join(columns[:MOST_TOLD]) + (f" (+{len(columns) - MOST_TOLD} more)" if columns[MOST_TOLD:] else "")
        return f"{self.fitting} of {self.looked_at} records looked at have {used}: {find_dialect(self.dialect).sign}"


def find_dialect(name: str) -> Dialect:
    """
    Raises:
        UnknownName: no such dialect; lists the known. UsageError: it cannot be loaded, or is none.
    """
    found = DIALECTS.load(name)
    if not isinstance(found, Dialect):
        raise UsageError(f"dialect {name!r} is {shown(found)}; expected a Dialect")
    return found


def group_files(files: Iterable[str]) -> list[tuple[str, ...]]:
    """Files whose names differ in numbers only, together."""
    groups: dict[str, list[str]] = {}
    for path in files:
        folder, slash, name = path.rpartition("/")
        groups.setdefault(folder + slash + re.sub(r"\d+", "0", name), []).append(path)
    return [tuple(paths) for paths in groups.values()]


def recognise(
    repository: Repository, files: Sequence[str], *, dialect: str = "", given: Columns | None = None
) -> Recognised | str:
    """How a group of files is read, or why it is not.

    Args:
        dialect: the one to read as, if its columns are there; "" = the first that fits.
        given: columns of uses that are named otherwise than in any published set.

    Raises:
        SourceError: a file cannot be reached. UsageError: a use that the dialect does not have.
    """
    found, bad = _look(repository, files)
    if not found:
        return f"no record in it{f'; {bad[0]}' if bad else ''}"
    names = list(dict.fromkeys(name for record in found for name in record))
    if len(names) > MAX_COLUMNS:
        return f"its records have {len(names):,} columns in all; at most {MAX_COLUMNS:,} are read"
    reasons: list[str] = []
    fitting: list[Recognised] = []
    for name in _candidates(dialect, given or {}):
        tried = _try(name, found, names, given or {}, is_named=bool(dialect))
        if isinstance(tried, str):
            reasons.append(f"{name}: {tried}")
        else:
            fitting.append(tried)
    if not fitting:
        told = [reason for reason in reasons if dialect or "would not be read" in reason]
        why = f" ({'; '.join(told)})" if told else ""
        return (
            f"its records have {shorten(names)}, which is no dialect known here{why}; the first: {shown(found[0], 200)}"
        )
    first = fitting[0]
    return Recognised(
        files=tuple(files),
        dialect=first.dialect,
        columns=first.columns,
        patterns=first.patterns,
        not_read=first.not_read,
        images_not_read=first.images_not_read,
        fitting=first.fitting,
        looked_at=len(found) + len(bad),
        also=tuple(each.dialect for each in fitting[1:]),
    )


def _look(repository: Repository, files: Sequence[str]) -> tuple[list[dict[str, Any]], list[RowError]]:
    """Records of the first file that has any, and what is wrong with others."""
    found: list[dict[str, Any]] = []
    bad: list[RowError] = []
    for path in files:
        for record in islice(read_records(repository, path), LOOKED_AT):
            values = values_in(record)
            bad.append(values) if isinstance(values, RowError) else found.append(values)
        if found:
            break
    return found, bad


def values_in(record: Record | RowError) -> dict[str, Any] | RowError:
    """The columns of a record, or what is wrong with it."""
    if isinstance(record, RowError):
        return record
    if not isinstance(record.values, dict):
        return RowError(f"a record is {shown(record.values)}; expected columns", kind="bad_record")
    if (count := len(record.values)) > MAX_COLUMNS:
        return RowError(f"has {count:,} columns; at most {MAX_COLUMNS:,} are read", kind="huge_record")
    return record.values


def _in_order() -> Iterator[str]:
    """Those of other packages first."""
    ours = list(DIALECTS.own)
    yield from (name for name in DIALECTS if name not in ours)
    yield from ours


def _candidates(dialect: str, given: Columns) -> list[str]:
    """Dialects that have all of the uses.

    Raises:
        UsageError: none has; or the one that is named has not.
    """
    uses = {name: {*find_dialect(name).uses, *COMMON} for name in ([dialect] if dialect else _in_order())}
    found = [name for name, known in uses.items() if given.keys() <= known]
    if not found:
        known = f"; {dialect} has: {', '.join(sorted(uses[dialect]))}" if dialect else ""
        raise UsageError(f"no dialect has all of the uses {', '.join(given)}{known}")
    return found


def _try(
    name: str, records: Sequence[Mapping[str, Any]], names: Sequence[str], given: Columns, *, is_named: bool
) -> Recognised | str:
    dialect = find_dialect(name)
    uses = {**dialect.uses, **COMMON}
    columns: dict[str, tuple[str, ...]] = dict(given)
    patterns: dict[str, str] = {}
    for use, each in uses.items():
        if use in given:
            continue
        pattern, chosen = choose(each, [name for name in names if use in COMMON or not _is_taken(name, columns)])
        if chosen:
            columns[use] = chosen
            patterns |= {use: pattern} if each.many else {}
        elif each.needed:
            return f"no column {' or '.join(each.names)}"
    fitting = sum(_fits(dialect, project(record, columns, uses)) for record in records)
    if not is_named and (not fitting or 2 * fitting < len(records)):
        return f"{fitting} of {len(records)} records are {dialect.sign}"
    tops = {top_of(column, names) for chosen in columns.values() for column in chosen}
    not_read = tuple(each for each in names if each not in tops)
    images = tuple(each for each in not_read if any(holds_image(record.get(each)) for record in records))
    is_read = any(holds_image(record.get(each)) for each in tops for record in records)
    if images and not is_read and not is_named:
        return f"the images in {shorten(images)} would not be read; name their columns, or the dialect"
    videos = [each for each in not_read if any(is_video_name(record.get(each)) for record in records)]
    if videos and not is_read and not is_named:
        return f"the videos in {shorten(videos)} would not be read, which rows cannot hold"
    return Recognised(
        files=(),
        dialect=name,
        columns=columns,
        patterns=patterns,
        not_read=not_read,
        images_not_read=images,
        fitting=fitting,
    )


def _fits(dialect: Dialect, fields: Fields) -> bool:
    try:
        return all(fields.get(use) is not None for use, each in dialect.uses.items() if each.needed) and dialect.fits(
            fields
        )
    except (RowError, KeyError, TypeError, AttributeError, ValueError, IndexError, RecursionError):
        return False


def _is_taken(name: str, columns: Columns) -> bool:
    return any(name in chosen for chosen in columns.values())


def choose(use: Use, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The first pattern that any name fits, and the columns that it chooses."""
    for pattern in use.names:
        fitting = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
        if fitting:
            return pattern, tuple(sorted(fitting, key=_by_number)) if use.many else (fitting[0],)
    return "", ()


def complete(columns: Columns, patterns: Mapping[str, str], uses: Mapping[str, Use], names: Sequence[str]) -> Columns:
    """The columns of a record that may have others than those looked at: a use that none of them had, more columns of a
    use of many.
    """
    found = dict(columns)
    for use, each in uses.items():
        if use in patterns:
            more = [name for name in names if re.fullmatch(patterns[use], name, re.IGNORECASE)]
            found[use] = tuple(
                sorted({*columns[use], *(name for name in more if not _is_taken(name, found))}, key=_by_number)
            )
        elif use not in columns and not each.needed:
            _, chosen = choose(each, [name for name in names if use in COMMON or not _is_taken(name, found)])
            found |= {use: chosen} if chosen else {}
    return found


def _by_number(name: str) -> tuple[str | int, ...]:
    return tuple(int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name))


def project(values: Mapping[str, Any], columns: Columns, uses: Mapping[str, Use]) -> dict[str, Any]:
    """The fields of a record."""
    fields: dict[str, Any] = {}
    for use, chosen in columns.items():
        if use in uses and uses[use].many:
            fields[use] = {name: value_of(values, name) for name in chosen}
        elif chosen:
            fields[use] = value_of(values, chosen[0])
    return fields


def value_of(values: Mapping[str, Any], column: str) -> Any:
    """The value of a column, dotted where it lies in another; None = it is not there."""
    if column in values or "." not in column:
        return values.get(column)
    top, _, rest = column.partition(".")
    inner = values.get(top)
    return value_of(inner, rest) if isinstance(inner, Mapping) else None


def top_of(column: str, names: Iterable[str]) -> str:
    return column if column in names else column.partition(".")[0]


def nothing_recognised(name: str, reasons: Mapping[str, str]) -> SourceError:
    told = "; ".join(f"{path}: {reason}" for path, reason in list(reasons.items())[:3])
    more = f" (+{len(reasons) - 3} more)" if len(reasons) > 3 else ""
    return SourceError(
        f"{name}: nothing in it is read: {told or 'no file of records and no image'}{more}; name the dialect with "
        f"format=, and its columns with columns=; dialects: {', '.join(DIALECTS)}"
    )
