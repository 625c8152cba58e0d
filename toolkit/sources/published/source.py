"""A repository in the layout as published, looked at as a whole and ready to be read task by task."""

import hashlib
import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from toolkit.errors import LayoutError, shorten
from toolkit.published import PUBLISHED
from toolkit.schema import Row, rows_to_table
from toolkit.sources.published.archives import read_archive
from toolkit.sources.published.candidates import Scope
from toolkit.sources.published.holdings import Archive, Holdings
from toolkit.sources.published.join import MEMORY_BYTES, Read, join
from toolkit.sources.published.plan import FilePlan
from toolkit.sources.published.shapes.assumed import SIDES, lines_of
from toolkit.sources.published.shapes.words import task_named_in
from toolkit.sources.published.sketches import RowBuilder, Sketch
from toolkit.sources.published.texts import read_sketches
from toolkit.sources.published.waiting import Order
from toolkit.sources.repository import OnRead, Repository, downloaded
from toolkit.sources.skips import MAX_IN_A_ROW, OnBad, Skips
from toolkit.sources.splits import DEFAULT_SPLIT, check_split
from toolkit.tasks import Vocabulary, describe_tasks, in_order

BATCH_ROWS, BATCH_BYTES = 64, 4 << 20
TOGETHER = "+"  # between tasks that are read in one pass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class UpstreamSource:
    """Rows of the layout as published, of one split.

    Attributes:
        plans: how each Parquet file is read, of all splits, in path order.
        holdings: archives and folders of pictures, and what is not read.
        split: whose rows are read.
        on_missing, on_bad_row, max_in_a_row: see Skips.
    """

    repository: Repository
    plans: tuple[FilePlan, ...]
    holdings: Holdings
    split: str = DEFAULT_SPLIT
    on_missing: OnBad = "raise"
    on_bad_row: OnBad = "raise"
    max_in_a_row: int = MAX_IN_A_ROW

    @cached_property
    def splits(self) -> dict[str, int]:
        """Split -> rows, of all that are there; train first."""
        rows: dict[str, int] = {}
        for plan in sorted(self.plans, key=lambda plan: (plan.split != DEFAULT_SPLIT, plan.split)):
            rows[plan.split] = rows.get(plan.split, 0) + plan.rows
        return rows

    def of_split(self, split: str) -> "UpstreamSource":
        """The same source, reading another split.

        Raises:
            UsageError: there is none; lists those there are.
        """
        check_split(self.repository.name, split, self.splits)
        return replace(self, split=split)

    @cached_property
    def _here(self) -> tuple[FilePlan, ...]:
        return tuple(plan for plan in self.plans if plan.split == self.split)

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """That have rows here, or may have."""
        found = {task for plan in self._here for task, count in plan.counts.items() if count}
        found |= set(self.holdings.tasks) if "" in found else set()
        return in_order(found - {""})

    @property
    def vocabulary(self) -> Vocabulary:
        """Definitions of the tasks that are not of the nine."""
        return describe_tasks(self.tasks)

    def count(self, task: str) -> int | None:
        """Rows of a task, good and bad; None where only the archives tell."""
        return None if self._is_told and self.holdings.of_task(task) else sum(p.counts.get(task, 0) for p in self._here)

    @cached_property
    def all_tasks(self) -> tuple[str, ...]:
        """Those of every split."""
        return in_order({task for split in self.splits for task in self.of_split(split).tasks})

    def notes(self) -> list[str]:
        """A line for everything that is not read, and for what is odd; shards of one set are told once."""
        paths: dict[str, list[str]] = {}
        for plan in self.plans:
            for note in plan.notes:
                paths.setdefault(note, []).append(plan.path)
        more = {note: f" and {len(files) - 1} more" if len(files) > 1 else "" for note, files in paths.items()}
        return [*self.holdings.unread, *(f"{files[0]}{more[note]}: {note}" for note, files in paths.items())]

    @cached_property
    def _is_told(self) -> bool:
        """Whether archives tell the task of some rows; then tasks are read together."""
        return any(plan.counts.get("") for plan in self._here)

    def archives(self, tasks: Iterable[str]) -> list[Archive]:
        """Archives and folders that rows of some tasks may need first, in the order in which they are read: those of no
        task, then task by task.
        """
        order = ["", *in_order(tasks)]
        found = [archive for archive in self.holdings.archives if archive.task in order]
        return sorted(found, key=lambda archive: (order.index(archive.task), archive.kind != "folder", archive.name))

    def files(self, tasks: Iterable[str]) -> list[str]:
        """The Parquet files and archives of some tasks."""
        tasks = list(tasks)
        texts = [plan.path for plan in self.plans if not plan.task or plan.task in tasks]
        return texts + [path for archive in self.archives(tasks) for path in archive.files]

    def fingerprint(self, tasks: Iterable[str]) -> str:
        content = self.repository.fingerprint(self.files(tasks)) + repr((self.plans, self.split))
        return hashlib.sha256(content.encode()).hexdigest()  # plans: a changed mapping is a changed dataset

    def downloaded(self) -> "UpstreamSource":
        """The same rows, from files that are downloaded when they are first opened."""
        return replace(self, repository=downloaded(self.repository))

    def disk_needed(self, tasks: Iterable[str]) -> dict[str, int]:
        """Bytes that packing takes: about as much as is read, at worst the largest archive for waiting pictures."""
        sizes = self.repository.list_files()
        archives = [sum(sizes[path] for path in archive.files) for archive in self.archives(tasks)]
        texts = sum(sizes[plan.path] for plan in self._here)
        return {"output": int(1.05 * sum(archives)) + 5 * texts, "temporary": max(archives, default=0)}

    def shards(self, tasks: Iterable[str]) -> list[str]:
        """What can be read independently of each other: a task; or several, joined by "+", where it takes the archives
        to tell whose a row is.
        """
        here = [task for task in tasks if task in self.tasks]
        together = [task for task in here if self._is_told and self.holdings.of_task(task)]
        alone = [task for task in here if task not in together]
        return ([TOGETHER.join(together)] if together else []) + alone

    def sketches(
        self, shard: str, skips: Skips, *, owns_unknown: bool = True, builder: RowBuilder | None = None
    ) -> Iterator[Sketch]:
        """Rows of a shard without their pictures, and those that the archives would tell to be of it."""
        tasks = shard.split(TOGETHER)
        tasks += [""] if any(map(self.holdings.of_task, tasks)) else []  # rows that their archives may tell
        here = [plan for plan in self._here if plan.counts.keys() & {*tasks} or (owns_unknown and not plan.task)]
        return read_sketches(
            self.repository, here, tasks, skips, builder or RowBuilder(skips), owns_unknown=owns_unknown
        )

    def read(
        self,
        shard: str,
        skips: Skips | None = None,
        *,
        in_order: bool = False,
        owns_unknown: bool = True,
        on_read: OnRead | None = None,
        keep_incomplete: bool = False,
        memory_bytes: int = MEMORY_BYTES,
        reader: Read | None = None,
    ) -> Iterator[Row]:
        """Rows of a shard, or of any one task, with their pictures; see join(). Of several tasks read in order, those
        of each come together.

        Args:
            on_read: told (archive, compressed bytes just read), for progress.
            reader: of archives, in place of read_archive().
        """
        skips = skips or self.new_skips()
        tasks = shard.split(TOGETHER)
        builder = RowBuilder(skips)
        archives = self._needed(tasks)
        scopes = _Scopes(archives, tasks, self.repository.name)
        order: Order = "" if not in_order else "tasks" if len(tasks) > 1 or self._is_told else "rows"
        held = {archive.task for archive in archives}
        rows = join(
            self.sketches(shard, skips, owns_unknown=owns_unknown, builder=builder),
            archives,
            reader or (lambda archive, watch: read_archive(self.repository, archive, watch, on_read=on_read)),
            skips,
            places=scopes.places,
            build=builder.build if not keep_incomplete else builder.unchecked,
            order=order,
            first_tasks=[task for task in tasks if task not in held],
            is_all=set(self.holdings.tasks) <= set(tasks),
            keep_incomplete=keep_incomplete,
            memory_bytes=memory_bytes,
        )
        yield from self._with_pictures(rows, tasks, skips)
        if skips.assumed[SIDES]:
            logger.warning("%s: %s: %s", self.repository.name, shard, *lines_of({SIDES: skips.assumed[SIDES]}))
        if skips.counts:
            first = next(iter(skips.examples.values()))[0]
            logger.warning("%s: %s: %s; e.g. %s", self.repository.name, shard, skips.summary(), first)

    def _with_pictures(self, rows: Generator[Row, None, None], tasks: Sequence[str], skips: Skips) -> Iterator[Row]:
        """The same rows. Raises LayoutError where none had a picture, and archives hold some of their task."""
        number, has_pictures = 0, False
        with closing(rows):
            for row in rows:
                number, has_pictures = number + 1, has_pictures or bool(row.images)
                yield row
        held = [archive.name for task in tasks for archive in self.holdings.of_task(task)]
        if number and held and not has_pictures and not skips.counts:
            raise LayoutError(
                f"{self.repository.name}: none of {number:,} rows of {shorten(tasks)} names a picture, and there are "
                f"some in {shorten(held)}; name their column under images: in a mapping, or say ignore under archives:"
            )

    def _needed(self, tasks: Sequence[str]) -> list[Archive]:
        """Archives of some tasks, and those of others that their rows' paths name."""
        named = {task for plan in self._here for task in plan.counts}
        others = [task for task in self.holdings.tasks if task not in tasks] if named else []
        return [*self.archives(tasks), *(archive for task in others for archive in self.holdings.of_task(task))]

    def new_skips(self) -> Skips:
        return Skips(on_missing=self.on_missing, on_bad_row=self.on_bad_row, max_in_a_row=self.max_in_a_row)

    def read_tables(
        self, shard: str, owns_unknown: bool = True, skips: Skips | None = None, on_read: OnRead | None = None
    ) -> Iterator[pa.Table]:
        """Rows as tables that grow from one row, so that the first comes at once, to BATCH_ROWS or BATCH_BYTES."""
        batch: list[Row] = []
        size, limit = 0, 1
        for row in self.read(shard, skips, owns_unknown=owns_unknown, on_read=on_read):
            batch.append(row)
            size += sum(len(image.bytes) for image in row.images)
            if len(batch) >= limit or size >= BATCH_BYTES:
                yield rows_to_table(batch)
                batch, size, limit = [], 0, min(2 * limit, BATCH_ROWS)
        if batch:
            yield rows_to_table(batch)


class _Scopes:
    """In which archives the pictures of a row may be."""

    def __init__(self, archives: Sequence[Archive], tasks: Sequence[str], repository: str) -> None:
        self._archives, self._tasks, self._repository = archives, tasks, repository
        self._of: dict[str, Scope] = {
            task: tuple(number for number, archive in enumerate(archives) if archive.task == task)
            for task in {"", *(archive.task for archive in archives)}
        }
        self._known: dict[tuple[str, str], Scope] = {}  # of a row's task, and of the one its path names

    def places(self, sketch: Sketch) -> list[tuple[str, Scope]]:
        return [(name, self._scope(sketch, name)) for name in dict.fromkeys(sketch.names.values())]

    def _scope(self, sketch: Sketch, name: str) -> Scope:
        """Archives of the row's task, of no task, and of the task whose name is in the path: a picture generated for
        one task may be reasoned over in another.
        """
        named = task_named_in(name.rpartition("/")[0])
        if known := self._known.get((sketch.task, named)):
            return known
        owners = {sketch.task, named} if sketch.task else {*self._tasks, named}
        found = tuple(sorted({number for owner in {"", *owners} for number in self._of.get(owner, ())}))
        if not found:
            about = f"{sketch.task}: " if sketch.task else ""
            wanted = PUBLISHED.get(named or sketch.task)
            archive = wanted.archive if wanted else ""
            raise LayoutError(
                f"{about}row names picture {name!r}, but images/{archive or '?'} is not there; found "
                f"{shorten(archive.name for archive in self._archives) or 'no archives'}"
            )
        self._known[sketch.task, named] = found
        return found
