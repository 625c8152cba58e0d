"""A packed dataset to look things up in: its metadata in duckdb.

    shards -> text columns, row group by row group -> a table -> positions of the rows a filter keeps ->
    summaries
                                                                                  -> an id's place

A position counts the rows of the dataset from 0, in the order of the manifest. The images' column is read only where
a row is opened.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from itertools import accumulate
from threading import Event, Thread
from typing import Any, cast

import duckdb
import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ShardError
from toolkit.report.index_file import batches, in_words, open_database, write_down
from toolkit.report.index_rows import TEXTS, read_texts
from toolkit.schema import COLUMNS
from toolkit.sources.hub import HubRepository
from toolkit.sources.manifest import Shard
from toolkit.streaming.groups import Place, RowGroup
from toolkit.streaming.reading import Packed, RowGroups
from toolkit.tasks import NOT_STATED

SEARCHED = ("id", *TEXTS)
FIRST_ROWS_S, FIRST_PAGE_S = 1.0, 1.0  # that the start waits for the first shard, and the others for the first page
LEAD = 280  # characters of a text that a summary shows
AROUND = 90  # characters shown on either side of what was searched for
READERS = 3  # transactions at a time: one waits for the disk or the interpreter while others read
FILTERS_KEPT = 16  # the positions of each take 4 bytes a row
BLOCK_BYTES = 128 << 10  # read ahead on the Hub: the texts before and behind a row group's images, and few images

# What is searched is kept as one text in lower case, which takes a quarter less time than four; what is shown of it is
# cut off before.
BETWEEN = "chr(31)"  # the unit separator of ASCII; a blank where a text holds it itself
JOINED = f" || {BETWEEN} || ".join(f"replace(lower(coalesce({name}, '')), {BETWEEN}, ' ')" for name in SEARCHED)
WANTED = f"replace(lower($text), {BETWEEN}, ' ')"
READ = f"""SELECT $first + nth, $shard, number, place, id, task, quadrant, if(source = '', '{NOT_STATED}', source),
    if(license = '', '{NOT_STATED}', license), origin, len(image_roles), left(instruction, {LEAD}),
    left(answer, {LEAD}),
    {JOINED} FROM metadata"""
FACETS = ("task", "quadrant", "origin", "source", "license", "images")
CONDITIONS = {
    **{name: f"{name} = ${name}" for name in FACETS},
    "text": f"contains(searched, {WANTED})",  # contains() knows no wildcards
}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What rows must be; None is whatever they are.

    Attributes:
        source, license: "not stated" for rows that name none.
        images: their number.
        text: stands in id, instruction, rationale or answer, in upper or lower case.
    """

    task: str | None = None
    quadrant: str | None = None
    origin: str | None = None
    source: str | None = None
    license: str | None = None
    images: int | None = None
    text: str | None = None

    @property
    def given(self) -> dict[str, str | int]:
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A row in a list.

    Attributes:
        prompt, reply: the first characters of instruction and answer.
        images: their number.
        found: where the text of a filter was found, and what stands before, at and behind it, in lower case; None
            without one.
    """

    id: str
    task: str
    quadrant: str
    source: str
    license: str
    origin: str
    images: int
    prompt: str
    reply: str
    found: tuple[str, str, str, str] | None = None


_SHOWN = ", ".join(field.name for field in fields(Summary) if field.name != "found")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What there is in the rows that have been read.

    Attributes:
        facets: column -> its values, and how many rows have each.
        num_repeated: rows whose id another row has as well.
        is_whole: all rows have been read.
    """

    facets: dict[str, tuple[tuple[Any, int], ...]]
    num_rows: int
    num_repeated: int
    is_whole: bool


class Index:
    """Threads may share one. It answers from the rows that have been read; positions do not change meanwhile.

    Args:
        keep: in a file beside the dataset, or in the cache, so that it is read once; see `index_file`.
        wait: for all rows. Else they are read in a thread, and `known` and `matches` grow.
        on_group: called after each row group that was read.

    Raises:
        ShardError: a shard is damaged, or is not the one that the manifest tells of. SourceError: it cannot be read.
        UnifiedVisualError: the disk is full. Without `wait` it is raised by what is asked next.
    """

    def __init__(
        self, packed: Packed, on_group: Callable[[], None] = lambda: None, *, keep: bool = False, wait: bool = True
    ) -> None:
        if isinstance(repository := packed.repository, HubRepository):
            packed = replace(packed, repository=replace(repository, block_bytes=BLOCK_BYTES))
        self._packed = packed
        self._database = open_database(packed, keep=keep)
        self.num_rows = sum(shard.rows for shard in packed.shards)
        self._failed: BaseException | None = None
        self._loaded = {number for (number,) in self._ask("SELECT shard FROM kept.loaded")}
        self._on_group, self._is_closed, self._has_rows = on_group, False, Event()
        self.is_shown = Event()  # a page was sent
        # Not methods of its own: an index in a cycle lives until the next collection, and one of a process forked
        # meanwhile breaks off duckdb's threads.
        self._known = lru_cache(1)(partial(_known, self._database, len(packed.shards)))
        self._matches = lru_cache(FILTERS_KEPT)(partial(_matches, self._database))
        self._thread = Thread(target=self._load_all, args=(wait,), name="read-index", daemon=True)
        self._thread.start()
        if wait:
            self._thread.join()
            _ = self.known
        self._has_rows.wait(FIRST_ROWS_S)

    @property
    def known(self) -> Known:
        """Of the rows read so far."""
        self._check()
        return self._known(len(self._loaded))

    def matches(self, wanted: Filter) -> NDArray[np.int32]:
        """Positions of the rows read so far that a filter keeps, in order."""
        self._check()
        return self._matches(wanted, len(self._loaded))

    def _check(self) -> None:
        if self._failed:
            raise self._failed

    def close(self) -> None:
        """Stop reading. What was read stays in the file."""
        self._is_closed = True
        self._thread.join()
        self._database.close()

    def _load_all(self, wait: bool) -> None:
        starts = accumulate((shard.rows for shard in self._packed.shards), initial=0)
        wanted = [
            (number, shard, first)
            for (number, shard), first in zip(enumerate(self._packed.shards), starts, strict=False)
            if number not in self._loaded
        ]
        readers = max(READERS, RowGroups([self._packed], COLUMNS).connections)
        with ThreadPoolExecutor(readers, thread_name_prefix="read-metadata") as pool:
            try:
                if wanted:
                    self._load(wanted[:1])
                    self.is_shown.wait(0 if wait else FIRST_PAGE_S)  # else it shares the processors with what is read
                    for _ in pool.map(self._load, batches(wanted[1:])):
                        pass
                    write_down(self._database)
            except BaseException as error:
                pool.shutdown(cancel_futures=True)
                self._failed = None if self._is_closed else in_words(error)
            finally:
                self._has_rows.set()

    def _load(self, shards: Sequence[tuple[int, Shard, int]]) -> None:
        failed: list[BaseException] = []
        with self._database.cursor() as cursor:
            cursor.begin()
            try:
                for number, shard, first in shards:
                    # A statement for each shard: one for each row group takes four times as long.
                    texts = read_texts(self._packed.repository, shard, self._read_group, failed)
                    cursor.register("metadata", texts)
                    cursor.execute(f"INSERT INTO kept.rows {READ}", {"first": first, "shard": number})
                    cursor.execute("INSERT INTO kept.loaded VALUES ($shard)", {"shard": number})
            except duckdb.Error:
                if failed:
                    raise failed[0] from None  # duckdb knows only its message
                raise
            cursor.commit()
        self._loaded.update(number for number, _, _ in shards)
        self._has_rows.set()

    def _read_group(self) -> None:
        self._on_group()
        if self._is_closed:
            raise ShardError("closed")

    def _ask(self, question: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        self._check()
        with self._database.cursor() as cursor:  # a connection of its own for each thread
            return cursor.execute(question, parameters or {}).fetchall()

    def summaries(self, positions: Iterable[int], text: str | None = None) -> list[Summary]:
        """Rows in the order of their positions.

        Args:
            text: that was searched for.
        """
        searched = f"string_split(searched, {BETWEEN})" if text else "NULL"  # most of the time goes into reading it
        question = (
            f"SELECT {_SHOWN}, {searched}, {WANTED} FROM kept.rows "
            "WHERE position IN (SELECT unnest($positions::INTEGER[])) ORDER BY position"
        )
        found = self._ask(question, {"positions": [int(position) for position in positions], "text": text})
        names = _SHOWN.split(", ")
        return [
            Summary(
                **dict(zip(names, shown, strict=True)),
                found=_excerpt(dict(zip(TEXTS, texts[1:], strict=True)), wanted) if text else None,
            )
            for *shown, texts, wanted in found
        ]

    def find(self, row_id: str) -> tuple[int, Place] | None:
        """Position and place of the first row with this id; None if there is none."""
        found = self._ask(
            "SELECT position, shard, number, place FROM kept.rows WHERE id = $id ORDER BY position LIMIT 1",
            {"id": row_id},
        )
        if not found:
            return None
        position, shard, number, place = found[0]
        return position, Place(RowGroup(0, shard, number, self._packed.shards[shard].row_groups[number]), place)


def _known(database: duckdb.DuckDBPyConnection, num_shards: int, num_loaded: int) -> Known:
    with database.cursor() as cursor:

        def ask(question: str) -> list[tuple[Any, ...]]:
            return cursor.execute(question).fetchall()

        num_rows, distinct = ask("SELECT count(*), count(DISTINCT id) FROM kept.rows")[0]
        facets = {
            name: tuple(ask(f"SELECT {name}, count(*) FROM kept.rows GROUP BY ALL ORDER BY min({name})"))
            for name in FACETS
        }
    return Known(facets=facets, num_rows=num_rows, num_repeated=num_rows - distinct, is_whole=num_loaded == num_shards)


def _matches(database: duckdb.DuckDBPyConnection, wanted: Filter, _: int) -> NDArray[np.int32]:
    where = " AND ".join(CONDITIONS[name] for name in wanted.given) or "true"
    with database.cursor() as cursor:
        found = cursor.execute(
            f"SELECT position FROM kept.rows WHERE {where} ORDER BY position", wanted.given
        ).fetchnumpy()
    return cast(NDArray[np.int32], found["position"])


def _excerpt(texts: dict[str, str], searched: str) -> tuple[str, str, str, str] | None:
    for name, text in texts.items():
        if (at := text.find(searched)) >= 0:
            end = at + len(searched)
            before, behind = text[max(0, at - AROUND) : at], text[end : end + AROUND]
            return name, "..." * (at > AROUND) + before, text[at:end], behind + "..." * (end + AROUND < len(text))
    return None
