"""Sketches + archives -> Row: one sequential pass over each archive, in bounded memory, wherever in it the pictures
lie.

A row comes out as soon as its last picture is settled (waiting.py); with `order` it also waits for the rows before it.
The first member of a name counts: a later one cannot take back a row that is already out, so this is the rule in every
mode. Links inside an archive are followed in a second pass, if rows need them.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing

from toolkit.schema import Row
from toolkit.sources.ahead import read_ahead
from toolkit.sources.published.candidates import Scope
from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.matching import Found, Names
from toolkit.sources.published.members import Member, Watch
from toolkit.sources.published.sketches import Sketch
from toolkit.sources.published.spool import Held, Spool
from toolkit.sources.published.waiting import Build, Order, WaitingRows
from toolkit.sources.skips import Skips

MEMORY_BYTES = 64 << 20
AHEAD_BYTES = 8 << 20
MAX_LINKS = 40  # from link to link, as the Linux kernel follows them

Read = Callable[[Archive, Watch], Iterator[Member]]
Places = Callable[[Sketch], Sequence[tuple[str, Scope]]]


def join(
    sketches: Iterable[Sketch],
    archives: Sequence[Archive],
    read: Read,
    skips: Skips,
    *,
    places: Places,
    build: Build,
    order: Order = "",
    first_tasks: Sequence[str] = (),
    is_all: bool = True,
    keep_incomplete: bool = False,
    memory_bytes: int = MEMORY_BYTES,
) -> Generator[Row, None, None]:
    """Rows with their pictures.

    Args:
        archives: in the order in which they are read; where the order is "tasks", task by task.
        read: archive, what to watch for -> its members.
        places: the names of a sketch's pictures, and the numbers of the archives each may be in.
        build: sketch, task, pictures by name -> Row.
        order: see WaitingRows.
        first_tasks: for order "tasks": those that come first, as they need no archive.
        is_all: these are the archives of all tasks.
        keep_incomplete: rows that lack pictures come last, with no bytes in place of what is missing; for callers that
            show rows.
        memory_bytes: of pictures and texts that wait; what does not fit goes to a temporary file.

    Raises:
        ArchiveError: an archive is damaged or cut off; rows that came out before are whole.
        LayoutError: a picture of a row that is out is found a second time.
        RowError, TooManyBadRows: as `skips` decides.
    """
    with Spool(memory_bytes) as spool:
        waiting = WaitingRows(spool, skips, build, archives, order)
        for sketch in sketches:
            yield from waiting.add(sketch, places(sketch))
        for task in first_tasks if order == "tasks" else ():
            yield from waiting.release_task(task)
        for number, archive in enumerate(archives):
            if wanted := waiting.wanted(number):
                names = Names(archive.name, archive.task, wanted, is_folder=archive.kind == "folder")
                yield from _Pass(number, archive, read, names, waiting, spool, skips).run()
            yield from waiting.after(number)
        yield from waiting.finish(is_all=is_all, keep_incomplete=keep_incomplete)


class _Pass:
    """One archive: its members, then what its links lead to."""

    def __init__(
        self,
        number: int,
        archive: Archive,
        read: Read,
        names: Names,
        waiting: WaitingRows,
        spool: Spool,
        skips: Skips,
    ) -> None:
        self._number, self._archive, self._read, self._names = number, archive, read, names
        self._waiting, self._spool, self._skips = waiting, spool, skips
        self._links: dict[str, str] = {}
        self._coming: dict[str, tuple[str, list[Found]]] = {}  # of members that were asked for, until they are here

    def run(self) -> Iterator[Row]:
        watch = Watch(
            wanted=self._is_wanted,
            on_refused=self._refuse,
            on_link=self._add_link,
        )
        yield from self._deliver(watch, lambda name: (name,), set())
        if aliases := self._followed():
            seen: set[str] = set()
            watch = Watch(wanted=aliases.__contains__)
            yield from self._deliver(watch, lambda name: aliases[name], seen)
            for target in aliases.keys() - seen:
                self._skips.note("broken_link", f"{self._archive.name}: {aliases[target][0]!r} leads to {target!r}")

    def _is_wanted(self, name: str) -> bool:
        shown, found = self._names.find(name)
        if found:
            self._coming[name] = shown, found
        return bool(found)

    def _refuse(self, kind: str, name: str) -> None:
        self._skips.note(f"refused_{kind}", f"{self._archive.name}: member {name!r}")
        self._waiting.refused[name.rpartition("/")[2]] = f"; member {name!r} is refused: {kind.replace('_', ' ')}"

    def _add_link(self, name: str, target: str) -> None:
        self._links.setdefault(name, target)

    def _deliver(self, watch: Watch, called: Callable[[str], Iterable[str]], seen: set[str]) -> Iterator[Row]:
        members = self._read(self._archive, watch)
        with closing(read_ahead(members, size_of=lambda member: len(member.data), max_bytes=AHEAD_BYTES)) as ahead:
            for member in ahead:
                if member.name in seen:
                    place = f"{member.name!r} of {self._archive.name!r}"
                    self._skips.note("duplicate_member", f"{place} again; the first one counts")
                    continue
                seen.add(member.name)
                for name in called(member.name):
                    shown, found = self._coming.pop(name) if name in self._coming else self._names.find(name)
                    held = Held(self._spool, self._number, shown, member.data)
                    for each in found:
                        yield from self._waiting.arrive(self._number, each, held)
                    held.put_aside()

    def _followed(self) -> dict[str, list[str]]:
        """Member that links lead to -> the names rows may give it, for links that are needed."""
        found: dict[str, list[str]] = {}
        for name in [*self._links, *self._names.below(self._links)]:
            if self._names.find(name)[1] and (target := self._target(name)) != name:
                found.setdefault(target, []).append(name)
        return found

    def _target(self, name: str) -> str:
        """Where a name leads through links, of itself or of the folders it lies in."""
        for _ in range(MAX_LINKS):
            pieces = name.split("/")
            heads = ("/".join(pieces[:count]) for count in range(len(pieces), 0, -1))
            head = next((head for head in heads if head in self._links), None)
            if head is None:
                return name
            name = f"{self._links[head]}{name[len(head) :]}"
        return name
