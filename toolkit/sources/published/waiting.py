"""Rows that wait for pictures, and pictures that wait for rows.

A row comes out as soon as its last picture is settled. A picture is settled when its member has come and none that
comes later can be meant instead: at once by an exact name in the last archive that may hold it, else when all of those
were read. What must wait is put aside in a Spool.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import LayoutError, RowError
from toolkit.schema import Row
from toolkit.sources.published.candidates import Picture, Scope, choose, folder_of
from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.matching import EXACT, RULE, WRAPPED, Found
from toolkit.sources.published.sketches import Placed, Sketch
from toolkit.sources.published.spool import Held, Spool
from toolkit.sources.skips import Skips

Build = Callable[[Sketch, str, dict[str, Placed]], Row]
Order = Literal["", "rows", "tasks"]


@dataclass(slots=True)
class _Waiting:
    ticket: int  # of the pickled sketch
    task: str  # "" = that of the archive which holds its pictures
    pictures: tuple[int, ...]  # its distinct pictures, by number
    missing: int
    is_done: bool = False


class WaitingRows:
    """
    Args:
        build: sketch, task, pictures by the names rows give -> Row; raises RowError.
        archives: in the order in which they are read.
        order: in which rows come: "" as they become whole, "rows" as they were added, "tasks" the same task by task,
            each when its last archive was read.
    """

    def __init__(self, spool: Spool, skips: Skips, build: Build, archives: Sequence[Archive], order: Order) -> None:
        self._spool, self._skips, self._build_row, self._archives, self._order = spool, skips, build, archives, order
        self._rows: list[_Waiting] = []
        self._pictures: list[Picture] = []
        self._numbers: dict[tuple[str, Scope, bool], int] = {}
        self._next = 0  # first row not yet out, for order "rows"
        self._unclear: set[tuple[int, str]] = set()  # archive, folder of rows: some of these may be in another archive
        self._places: dict[tuple[int, str], str] = {}  # archive, folder of rows -> folder of members
        self.refused: dict[str, str] = {}  # last part of the name of a member that is not read -> what is said of it
        self._fruitful: set[int] = set()  # archives in which some row's picture was found

    def add(self, sketch: Sketch, places: Sequence[tuple[str, Scope]]) -> Iterator[Row]:
        """A row, and the distinct names of its pictures with the archives each may be in."""
        is_told = not sketch.task
        pictures = tuple(self._number(name, scope, is_told) for name, scope in places)
        if not pictures and not (self._order == "rows" and self._rows) and self._order != "tasks":
            yield from self._build(sketch, sketch.task, {})
            return
        row = len(self._rows)
        ticket = self._spool.put(pickle.dumps(sketch, pickle.HIGHEST_PROTOCOL))
        self._rows.append(_Waiting(ticket, sketch.task, pictures, len(pictures)))
        for number in pictures:
            self._pictures[number].rows.append(row)
            self._pictures[number].uses += 1

    def _number(self, name: str, scope: Scope, is_told: bool) -> int:
        number = self._numbers.setdefault((name, scope, is_told), len(self._pictures))
        if number == len(self._pictures):
            self._pictures.append(Picture(name, scope, is_told))
        return number

    def wanted(self, archive: int) -> list[tuple[int, str]]:
        """Pictures that may be in an archive; empty where none of them is still looked for."""
        here = [(number, each.name) for number, each in enumerate(self._pictures) if archive in each.scope]
        is_open = any(not self._pictures[number].is_settled or self._pictures[number].is_told for number, _ in here)
        return here if is_open else []

    def arrive(self, archive: int, found: Found, held: Held) -> Iterator[Row]:
        """A member that a picture may be."""
        picture = self._pictures[found.picture]
        if found.how == RULE and picture.how in (RULE, WRAPPED) and picture.held and found.common >= picture.common:
            self._contest(picture, held)
        elif self._is_candidate(archive, picture, found, held.name):
            if not picture.how:
                picture.add_candidate(found.common, held)
        elif found.how > picture.how and not picture.is_out:
            for _, candidate in picture.candidates:
                candidate.let_go()
            if picture.held:
                picture.held.let_go()
            held.uses += 1
            picture.held, picture.how, picture.common, picture.candidates = held, found.how, found.common, ()
            if found.how == EXACT:
                self._goes_on_as_before(archive, picture.name, held.name)
            if self._is_final(picture, archive):
                yield from self._settle(picture)
        elif found.how >= picture.how and picture.held:
            self._contest(picture, held)

    def _is_candidate(self, archive: int, picture: Picture, found: Found, member: str) -> bool:
        """Whether a member is weighed against others once all are seen."""
        if found.how in (RULE, EXACT) or picture.how:
            return found.how == RULE
        is_rivalled = found.how == WRAPPED and any(common >= found.common for common, _ in picture.candidates)
        return is_rivalled or not self._goes_on_as_before(archive, picture.name, member)

    def _goes_on_as_before(self, archive: int, path: str, member: str) -> bool:
        """Whether a name that is only near lies where others of its folder did: not one in thumbnails beside them."""
        folder, place = path.rpartition("/")[0], member.rpartition("/")[0]
        return self._places.setdefault((archive, folder), place) == place

    def _is_final(self, picture: Picture, archive: int) -> bool:
        """Whether no archive still to be read may hold it too; numbered pieces of one set hold each picture once."""
        if picture.is_told or archive == picture.scope[-1]:
            return True
        later = picture.scope[picture.scope.index(archive) + 1 :]
        return all(self._archives[number].series == self._archives[archive].series for number in later)

    def _contest(self, picture: Picture, held: Held) -> None:
        """Another member of the same standing: which is meant cannot be told."""
        assert picture.held is not None
        both = tuple(f"{each.name!r} of {self._archives[each.archive].name!r}" for each in (picture.held, held))
        if both[0] == both[1]:
            self._skips.note("duplicate_member", f"{both[0]} again; the first one counts")
        elif picture.is_out:
            raise LayoutError(
                f"picture {picture.name!r} is {both[0]}, which rows that are out have, and {both[1]} as well; which is "
                "meant cannot be told: say under paths: or archives: of a mapping"
            )
        else:
            picture.rivals = picture.rivals or both
            self._unclear |= {folder_of(picture.name, self._archives, each.archive) for each in (picture.held, held)}

    def _settle(self, picture: Picture) -> Iterator[Row]:
        if picture.is_settled:
            return
        picture.is_settled = True
        assert picture.held is not None
        self._fruitful.add(picture.held.archive)
        for row in picture.rows:
            self._rows[row].missing -= 1
        if self._order == "rows":
            yield from self._release_in_order()
        elif not self._order:
            for row in picture.rows:
                if self._is_whole(self._rows[row]):
                    yield from self._release(self._rows[row])

    def after(self, archive: int) -> Iterator[Row]:
        """An archive was read: what only it, or a rule, can settle is settled."""
        due = [
            each
            for each in self._pictures
            if not each.is_settled and archive in each.scope and (each.is_told or archive == each.scope[-1])
        ]
        choose([each for each in due if each.candidates and not each.how], self._pictures, self._archives)
        for picture in due:
            if (
                self._unclear
                and picture.held
                and folder_of(picture.name, self._archives, picture.held.archive) in self._unclear
            ):
                where = f"{picture.held.name!r} of {self._archives[picture.held.archive].name!r}"
                picture.rivals = picture.rivals or (where, "another: others of its folder are in several archives")
            if picture.how and not picture.rivals:
                yield from self._settle(picture)
        task = self._archives[archive].task
        if self._order == "tasks" and not any(each.task == task for each in self._archives[archive + 1 :]):
            yield from self.release_task(task)

    def release_task(self, task: str) -> Iterator[Row]:
        """Whole rows of one task, in their order."""
        for row in self._rows:
            if not row.is_done and self._is_whole(row) and self._task_of(row) == task:
                yield from self._release(row)

    def _is_whole(self, row: _Waiting) -> bool:
        return not row.missing and not row.is_done and not any(self._pictures[number].rivals for number in row.pictures)

    def _task_of(self, row: _Waiting) -> str:
        """The task of a row, "" where its pictures lie in archives of several."""
        tasks = {self._archives[held.archive].task for number in row.pictures if (held := self._pictures[number].held)}
        return row.task or (tasks.pop() if len(tasks) == 1 else "")

    def _release_in_order(self) -> Iterator[Row]:
        while self._next < len(self._rows) and self._is_whole(self._rows[self._next]):
            yield from self._release(self._rows[self._next])
            self._next += 1

    def _release(self, row: _Waiting) -> Iterator[Row]:
        here = {}
        for number in row.pictures:
            picture = self._pictures[number]
            assert picture.held is not None
            picture.is_out = True
            archive = self._archives[picture.held.archive].name
            here[picture.name] = Placed(archive, picture.held.name, picture.held.get())
        sketch = self._take_sketch(row)
        yield from self._build(sketch, self._task_of(row), here)
        self._let_go(row)

    def _take_sketch(self, row: _Waiting) -> Sketch:
        row.is_done = True
        sketch: Sketch = pickle.loads(self._spool.get(row.ticket))
        self._spool.drop(row.ticket)
        return sketch

    def _let_go(self, row: _Waiting) -> None:
        for number in row.pictures:
            picture = self._pictures[number]
            picture.uses -= 1
            if not picture.uses and picture.held:
                picture.held.let_go()

    def _build(self, sketch: Sketch, task: str, here: dict[str, Placed]) -> Iterator[Row]:
        try:
            row = self._build_row(sketch, task, here)
        except RowError as error:
            self._skips.bad(error)
        else:
            self._skips.good()
            yield row

    def finish(self, *, is_all: bool, keep_incomplete: bool) -> Iterator[Row]:
        """What is left once every archive was read.

        Args:
            is_all: the archives of all tasks were read, so that rows whose pictures are in none of them are bad; else
                they may be of another task.
        """
        left = [row for row in self._rows if not row.is_done]
        lacking = sum(bool(row.missing) for row in left)
        for row in self._rows:
            if row.is_done:
                self._skips.good()
            elif self._is_whole(row):
                yield from self._release(row)
            elif not row.task and not is_all and not any(self._pictures[number].how for number in row.pictures):
                self._take_sketch(row)
            elif keep_incomplete:
                yield from self._incomplete(row)
            else:
                self._refuse(row, lacking)

    def _refuse(self, row: _Waiting, lacking: int) -> None:
        pictures = [self._pictures[number] for number in row.pictures]
        sketch = self._take_sketch(row)
        first = next(each for each in pictures if each.rivals or not each.how)
        self._let_go(row)
        if first.rivals:
            error = RowError(
                f"{sketch.where}: picture {first.name!r} may be {' or '.join(first.rivals)}; expected one; give "
                "paths: or archives: in a mapping",
                kind="ambiguous_picture",
            )
            self._skips.bad(error)
            return
        names = ", ".join(repr(self._archives[number].name) for number in first.scope)
        names += self.refused.get(first.name.rpartition("/")[2], "")
        more = f" ({lacking:,} rows lack pictures)" if lacking > 1 else ""
        error = RowError(
            f"{sketch.where}: picture {first.name!r} is not in {names}{first.hint}{more}", kind="missing_image"
        )
        self._skips.bad(error, is_accident=any(number in self._fruitful for number in first.scope))

    def _incomplete(self, row: _Waiting) -> Iterator[Row]:
        pictures = {self._pictures[number].name: self._pictures[number] for number in row.pictures}
        here = {
            name: Placed(self._archives[each.held.archive].name, each.held.name, each.held.get())
            if each.held and not each.rivals
            else Placed("", name, b"")
            for name, each in pictures.items()
        }
        task, missing = self._task_of(row), row.missing
        sketch = self._take_sketch(row)
        self._let_go(row)
        self._skips.note("missing_image", f"{sketch.where}: {missing} of its pictures are not in the archive")
        yield from self._build(sketch, task, here)
