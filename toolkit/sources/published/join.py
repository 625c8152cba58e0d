"""Sketches + archives -> Row: one sequential pass over each archive, in bounded memory, wherever in it the pictures
lie.

A row comes out as soon as its last picture has come in; with `in_order` it also waits for the rows before it. What must
wait is put aside in a Spool. The first member of a name counts (archives.py): a later one cannot take back a row that
is already out, so this is the rule in every mode.
"""

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

from toolkit.errors import RowError
from toolkit.schema import Row
from toolkit.sources.ahead import read_ahead
from toolkit.sources.published.archives import Member, read_members
from toolkit.sources.published.sketches import Place, Sketch, to_row, unchecked_row
from toolkit.sources.published.spool import Spool
from toolkit.sources.skips import Skips

MEMORY_BYTES = 64 << 20
AHEAD_BYTES = 8 << 20
LEARN_MEMBERS = 32
LEARN_BYTES = 64 << 20


def join(
    sketches: Iterable[Sketch],
    open_archive: Callable[[str], BinaryIO],
    skips: Skips,
    *,
    in_order: bool = False,
    keep_incomplete: bool = False,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[Row]:
    """Rows with their pictures.

    Args:
        open_archive: path of an archive -> its compressed bytes, from the start.
        in_order: rows come in the order of the sketches; else in the order in which they become whole.
        keep_incomplete: rows that lack pictures come last, with no bytes in place of what is missing; for whoever shows
            rows.
        memory_bytes: of pictures and texts that wait; what does not fit goes to a temporary file.

    Raises:
        ArchiveError: an archive is damaged or cut off; rows that came out before are whole.
        RowError, TooManyBadRows: as `skips` decides.
    """
    with Spool(memory_bytes) as spool:
        waiting = _WaitingRows(spool, skips, in_order=in_order)
        for sketch in sketches:
            yield from waiting.add(sketch)
        for archive in waiting.archives():
            yield from _read_archive(archive, open_archive, waiting, skips)
        yield from waiting.finish(keep_incomplete)


def _read_archive(
    archive: str, open_archive: Callable[[str], BinaryIO], waiting: "_WaitingRows", skips: Skips
) -> Iterator[Row]:
    wanted = waiting.names(archive)
    basenames = {name.rpartition("/")[2] for name in wanted}
    table: dict[str, int] = {}  # member name -> picture, once the rule is known
    with ExitStack() as stack:
        raw = stack.enter_context(closing(open_archive(archive)))
        read = read_members(
            raw,
            archive,
            wanted=lambda name: name in table if table else name.rpartition("/")[2] in basenames,
            on_refused=lambda kind, name: skips.note(f"refused_{kind}", f"{archive}: member {name!r}"),
        )
        members = stack.enter_context(
            closing(read_ahead(read, size_of=lambda member: len(member.data), max_bytes=AHEAD_BYTES))
        )
        first = _first_members(members)
        rule = learn_rule(wanted, [member.name for member in first])
        table.update((rule.member_name(name), number) for name, number in wanted.items())
        seen: set[int] = set()
        for member in chain(first, members):
            number = table.get(member.name)
            if number is None:
                continue
            if number in seen:
                skips.note("duplicate_member", f"{archive}: member {member.name!r} again; the first one counts")
                continue
            seen.add(number)
            yield from waiting.arrive(number, member)


def _first_members(members: Iterator[Member]) -> list[Member]:
    first: list[Member] = []
    while (
        len(first) < LEARN_MEMBERS
        and sum(len(member.data) for member in first) < LEARN_BYTES
        and (member := next(members, None))
    ):
        first.append(member)
    return first


@dataclass(frozen=True)
class PathRule:
    """How rows and archive differ in naming the same picture: rows begin with one prefix where members begin with
    another.
    """

    row_prefix: str = ""
    member_prefix: str = ""

    def member_name(self, name: str) -> str:
        return self.member_prefix + name.removeprefix(self.row_prefix) if name.startswith(self.row_prefix) else name


def learn_rule(names: Iterable[str], members: Iterable[str]) -> PathRule:
    """The rule most of the first members agree on; one rule for an archive, so that no two pictures can be taken for
    each other.

    Each member votes for the prefixes that remain when the longest common end of its name and a row's is taken away.
    """
    by_basename: dict[str, list[list[str]]] = {}
    for name in names:
        by_basename.setdefault(name.rpartition("/")[2], []).append(name.split("/"))
    votes: Counter[PathRule] = Counter()
    for member in members:
        pieces = member.split("/")
        candidates = by_basename.get(pieces[-1], [])
        if candidates:
            common, best = max(
                ((_common_end(candidate, pieces), candidate) for candidate in candidates), key=lambda pair: pair[0]
            )
            votes[PathRule(_prefix(best, common), _prefix(pieces, common))] += 1
    return votes.most_common(1)[0][0] if votes else PathRule()


def _common_end(left: list[str], right: list[str]) -> int:
    length = 0
    while length < min(len(left), len(right)) and left[-1 - length] == right[-1 - length]:
        length += 1
    return length


def _prefix(pieces: list[str], common: int) -> str:
    return "".join(f"{piece}/" for piece in pieces[: len(pieces) - common])


@dataclass(slots=True)
class _Waiting:
    ticket: int  # of the pickled sketch
    pictures: tuple[int, ...]  # its distinct pictures, by number
    missing: int
    is_done: bool = False


@dataclass(slots=True)
class _Picture:
    place: Place
    rows: list[int] = field(default_factory=list)  # that use it
    uses: int = 0  # by rows not yet out
    ticket: int = 0  # where it is put aside; 0 = not here
    member: str = ""  # its name in the archive, once it has come


class _WaitingRows:
    """Rows that wait for pictures, and pictures that wait for rows."""

    def __init__(self, spool: Spool, skips: Skips, *, in_order: bool) -> None:
        self._spool, self._skips, self._in_order = spool, skips, in_order
        self._rows: list[_Waiting] = []
        self._pictures: list[_Picture] = []
        self._numbers: dict[Place, int] = {}
        self._next = 0  # first row not yet out, for in_order

    def add(self, sketch: Sketch) -> Iterator[Row]:
        pictures = tuple(dict.fromkeys(self._number(place) for place in sketch.places if place is not None))
        if not pictures and not (self._in_order and self._rows):
            yield from self._build(sketch, {})
            return
        row = len(self._rows)
        self._rows.append(
            _Waiting(self._spool.put(pickle.dumps(sketch, pickle.HIGHEST_PROTOCOL)), pictures, len(pictures))
        )
        for number in pictures:
            self._pictures[number].rows.append(row)
            self._pictures[number].uses += 1

    def _number(self, place: Place) -> int:
        number = self._numbers.setdefault(place, len(self._pictures))
        if number == len(self._pictures):
            self._pictures.append(_Picture(place))
        return number

    def archives(self) -> list[str]:
        return sorted({place.archive for place in self._numbers})

    def names(self, archive: str) -> dict[str, int]:
        return {place.name: number for place, number in self._numbers.items() if place.archive == archive}

    def arrive(self, number: int, member: Member) -> Iterator[Row]:
        picture = self._pictures[number]
        picture.member = member.name
        for row in picture.rows:
            self._rows[row].missing -= 1
        if self._in_order:
            picture.ticket = self._spool.put(member.data)
            yield from self._release_in_order()
            return
        for row in picture.rows:
            if not self._rows[row].missing:
                yield from self._release(self._rows[row], {number: member.data})
        if picture.uses:
            picture.ticket = self._spool.put(member.data)

    def _release_in_order(self) -> Iterator[Row]:
        while self._next < len(self._rows) and not self._rows[self._next].missing:
            yield from self._release(self._rows[self._next], {})
            self._next += 1

    def _release(self, row: _Waiting, at_hand: dict[int, bytes]) -> Iterator[Row]:
        row.is_done = True
        here = {
            number: at_hand[number] if number in at_hand else self._spool.get(self._pictures[number].ticket)
            for number in row.pictures
        }
        yield from self._build(
            self._take_sketch(row),
            {
                self._pictures[number].place: Member(self._pictures[number].member, data)
                for number, data in here.items()
            },
        )
        self._let_go(row)

    def _take_sketch(self, row: _Waiting) -> Sketch:
        sketch: Sketch = pickle.loads(self._spool.get(row.ticket))
        self._spool.drop(row.ticket)
        return sketch

    def _let_go(self, row: _Waiting) -> None:
        for number in row.pictures:
            picture = self._pictures[number]
            picture.uses -= 1
            if not picture.uses and picture.ticket:
                self._spool.drop(picture.ticket)
                picture.ticket = 0

    def _build(self, sketch: Sketch, here: dict[Place, Member]) -> Iterator[Row]:
        found = [
            here[place] if place else Member(reference.path, reference.bytes)
            for place, reference in zip(sketch.places, sketch.draft.references(), strict=True)
        ]
        try:
            row = to_row(sketch, found)
        except RowError as error:
            self._skips.bad(error)
        else:
            self._skips.good()
            yield row

    def finish(self, keep_incomplete: bool) -> Iterator[Row]:
        """What is left once every archive was read: rows with a picture that never came."""
        lacking = sum(bool(row.missing) for row in self._rows)
        for row in self._rows:
            if row.is_done:
                self._skips.good()
            elif row.missing and keep_incomplete:
                yield self._incomplete(row)
            elif row.missing:
                sketch = self._take_sketch(row)
                absent = next(
                    self._pictures[number].place for number in row.pictures if not self._pictures[number].member
                )
                more = f" ({lacking:,} rows lack pictures)" if lacking > 1 else ""
                self._let_go(row)
                self._skips.bad(
                    RowError(
                        f"{sketch.task}: row {sketch.id!r}: picture {absent.name!r} is not in "
                        f"{absent.archive!r}{more}; download the archive again",
                        kind="missing_image",
                    )
                )
            else:
                yield from self._release(row, {})

    def _incomplete(self, row: _Waiting) -> Row:
        sketch = self._take_sketch(row)
        pictures = {self._pictures[number].place: self._pictures[number] for number in row.pictures}
        found = [
            Member(place.name, self._spool.get(pictures[place].ticket) if pictures[place].member else b"")
            if place
            else Member(reference.path, reference.bytes)
            for place, reference in zip(sketch.places, sketch.draft.references(), strict=True)
        ]
        self._skips.note(
            "missing_image", f"{sketch.task}: row {sketch.id!r}: {row.missing} of its pictures are not in the archive"
        )
        self._let_go(row)
        return unchecked_row(sketch, found)
