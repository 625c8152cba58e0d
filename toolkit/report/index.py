"""A packed dataset to look things up in: its metadata in duckdb, and single rows by their place.

    shards -> text columns, row group by row group -> a table in memory -> positions of the rows a filter keeps ->
    summaries
                                                                                  -> an id's place -> its row group ->
                                                                                  the row

A position counts the rows of the dataset from 0, in the order of the manifest. The pictures' column is read only where
a row is opened.
"""

import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from itertools import accumulate
from threading import Lock
from typing import Any, cast

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from toolkit.errors import ShardError
from toolkit.schema import COLUMNS, Row
from toolkit.sources.hub import HubRepository
from toolkit.sources.manifest import Shard
from toolkit.sources.parquet import open_parquet
from toolkit.streaming.groups import Place, RowGroup
from toolkit.streaming.reading import Packed, RowGroups, with_bytes
from toolkit.tasks import NOT_STATED

TEXTS = ("instruction", "rationale", "answer")
SEARCHED = ("id", *TEXTS)
METADATA = ("id", "task", "quadrant", "source", "license", "origin", "image_roles", *TEXTS)
LEAD = 280  # characters of a text that a summary shows
AROUND = 90  # characters shown on either side of what was searched for
FILTERS_KEPT = 16  # the positions of each take 4 bytes a row
BLOCK_BYTES = 128 << 10  # read ahead on the Hub: the texts before and behind a row group's pictures, and few pictures
GROUPS_KEPT = 8  # row groups, of tens of MB where their pictures are not left in a local file

# What is searched is kept as one text in lower case, which takes a quarter less time than four; what is shown of it is
# cut off before.
BETWEEN = "chr(31)"  # the unit separator of ASCII; a blank where a text holds it itself
JOINED = f" || {BETWEEN} || ".join(f"replace(lower(coalesce({name}, '')), {BETWEEN}, ' ')" for name in SEARCHED)
WANTED = f"replace(lower($text), {BETWEEN}, ' ')"
TABLE = """CREATE TABLE rows (position INTEGER, shard INTEGER, number INTEGER, place INTEGER, id VARCHAR,
    task VARCHAR, quadrant VARCHAR, source VARCHAR,
    license VARCHAR, origin VARCHAR, images INTEGER, prompt VARCHAR, reply VARCHAR, searched VARCHAR)"""
READ = f"""SELECT $first + nth, $shard, number, place, id, task, quadrant, if(source = '', '{NOT_STATED}', source),
    if(license = '', '{NOT_STATED}', license), origin, len(image_roles), left(instruction, {LEAD}),
    left(answer, {LEAD}),
    {JOINED} FROM metadata"""
CONDITIONS = {
    **{name: f"{name} = ${name}" for name in ("task", "quadrant", "origin", "source", "images")},
    "text": f"contains(searched, {WANTED})",  # contains() knows no wildcards
}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What rows must be; None is whatever they are.

    Attributes:
        source: "not stated" for rows that name none.
        images: their number.
        text: stands in id, instruction, rationale or answer, in upper or lower case.
    """

    task: str | None = None
    quadrant: str | None = None
    origin: str | None = None
    source: str | None = None
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


class Index:
    """Threads may share one.

    Args:
        on_group: called after each row group that was read.

    Raises:
        ShardError: a shard is damaged, or is not the one that the manifest tells of. SourceError: it cannot be read.
    """

    def __init__(self, packed: Packed, on_group: Callable[[], None] = lambda: None) -> None:
        repository = packed.repository
        self._packed = replace(
            packed,
            repository=replace(repository, block_bytes=BLOCK_BYTES)
            if isinstance(repository, HubRepository)
            else repository,
        )
        self._database = duckdb.connect(
            config={"temp_directory": tempfile.gettempdir()}
        )  # used only where memory runs out
        self._database.execute(TABLE)
        starts = accumulate((shard.rows for shard in packed.shards), initial=0)
        load = [
            (number, shard, first, on_group)
            for (number, shard), first in zip(enumerate(packed.shards), starts, strict=False)
        ]
        with ThreadPoolExecutor(RowGroups([packed], COLUMNS).connections, thread_name_prefix="read-metadata") as pool:
            try:
                for _ in pool.map(lambda each: self._load(*each), load):
                    pass
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self.facets = {name: self._facet(name) for name in ("task", "quadrant", "origin", "source", "images")}
        self.num_rows, distinct = self._ask("SELECT count(*), count(DISTINCT id) FROM rows")[0]
        self.num_repeated = self.num_rows - distinct  # rows whose id another row has as well
        # Not a method of its own: an index in a cycle lives until the next collection, and one of a process forked
        # meanwhile breaks off duckdb's threads.
        self.matches = lru_cache(FILTERS_KEPT)(partial(_matches, self._database))

    def _load(self, number: int, shard: Shard, first: int, on_group: Callable[[], None]) -> None:
        with (
            self._database.cursor() as cursor
        ):  # a statement for each shard: one for each row group takes four times as long
            cursor.register("metadata", self._metadata(shard, on_group))
            cursor.execute(f"INSERT INTO rows {READ}", {"first": first, "shard": number})

    def _metadata(self, shard: Shard, on_group: Callable[[], None]) -> pa.Table:
        """Text columns of a shard, and its rows' `nth` in it, row group (`number`) and `place` in that."""
        with open_parquet(self._packed.repository, shard.path) as parquet:
            found = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
            if found != list(shard.row_groups):
                where = f"{self._packed.repository.name}: {shard.path}"
                raise ShardError(
                    f"{where}: row groups of {found} rows; the manifest says {list(shard.row_groups)}; download it "
                    "again, or pack again"
                )
            tables = [parquet.schema_arrow.empty_table().select(METADATA)]
            for group in range(len(found)):
                tables.append(parquet.read_row_group(group, columns=list(METADATA), use_threads=False))
                tables[-1].validate(full=True)  # also that texts are UTF-8
                on_group()
        nth = np.arange(sum(found))
        places = {
            "nth": nth,
            "number": np.repeat(np.arange(len(found)), found),
            "place": nth - np.repeat(np.cumsum([0, *found])[:-1], found),
        }
        table = pa.concat_tables(tables)
        for name, values in places.items():
            table = table.append_column(name, pa.array(values))
        return table

    def _ask(self, question: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:  # a connection of its own for each thread
            return cursor.execute(question, parameters or {}).fetchall()

    def _facet(self, column: str) -> tuple[tuple[Any, int], ...]:
        """The values of a column and how many rows have each."""
        found = self._ask(f"SELECT {column}, count(*) FROM rows GROUP BY ALL ORDER BY min({column})")
        return tuple((value, count) for value, count in found)

    def summaries(self, positions: Iterable[int], text: str | None = None) -> list[Summary]:
        """Rows in the order of their positions.

        Args:
            text: that was searched for.
        """
        columns = f"{_SHOWN}, string_split(searched, {BETWEEN}), {WANTED}"
        question = (
            f"SELECT {columns} FROM rows WHERE position IN (SELECT unnest($positions::INTEGER[])) ORDER BY position"
        )
        found = self._ask(question, {"positions": [int(position) for position in positions], "text": text})
        names = _SHOWN.split(", ")
        return [
            Summary(
                **dict(zip(names, shown, strict=True)), found=_excerpt(dict(zip(TEXTS, texts[1:], strict=True)), wanted)
            )
            for *shown, texts, wanted in found
        ]

    def find(self, row_id: str) -> tuple[int, Place] | None:
        """Position and place of the first row with this id; None if there is none."""
        found = self._ask(
            "SELECT position, shard, number, place FROM rows WHERE id = $id ORDER BY position LIMIT 1", {"id": row_id}
        )
        if not found:
            return None
        position, shard, number, place = found[0]
        return position, Place(RowGroup(0, shard, number, self._packed.shards[shard].row_groups[number]), place)


def _matches(database: duckdb.DuckDBPyConnection, wanted: Filter) -> NDArray[np.int32]:
    """Positions of the rows that a filter keeps, in order."""
    where = " AND ".join(CONDITIONS[name] for name in wanted.given) or "true"
    with database.cursor() as cursor:
        found = cursor.execute(f"SELECT position FROM rows WHERE {where} ORDER BY position", wanted.given).fetchnumpy()
    return cast(NDArray[np.int32], found["position"])


class Rows:
    """Opens single rows and keeps the row groups used last. Threads may share one; a row group that several ask for is
    read once.
    """

    def __init__(self, packed: Packed) -> None:
        self._groups = RowGroups([packed], COLUMNS)
        self._kept: OrderedDict[RowGroup, Future[list[dict[str, Any]]]] = OrderedDict()
        self._lock = Lock()

    def read(self, place: Place) -> Row:
        """The row in a place.

        Raises:
            ShardError: it cannot be read as a row. SourceError: its shard cannot be read.
        """
        try:
            columns = with_bytes(self._group(place.group)[place.row])
            images = [{"bytes": image["bytes"] or b"", "path": image["path"]} for image in columns["images"]]
            return Row.from_dict({**columns, "images": images})
        except (TypeError, KeyError, UnicodeDecodeError) as error:
            raise ShardError(
                f"{self._groups.where(place)}: not a row ({type(error).__name__}: {error}); see `unifiedvisual "
                "verify`, or pack again"
            ) from error

    def _group(self, group: RowGroup) -> Sequence[dict[str, Any]]:
        with self._lock:
            is_mine = group not in self._kept
            future = self._kept.setdefault(group, Future())
            self._kept.move_to_end(group)
            if len(self._kept) > GROUPS_KEPT:
                self._kept.popitem(last=False)
        if is_mine:
            try:
                future.set_result(self._groups.read(group))
            except BaseException as error:
                future.set_exception(error)
                with self._lock:
                    self._kept.pop(group, None)  # the next one tries again
        return future.result()


def _excerpt(texts: dict[str, str], searched: str | None) -> tuple[str, str, str, str] | None:
    for name, text in texts.items():
        if searched and (at := text.find(searched)) >= 0:
            end = at + len(searched)
            before, behind = text[max(0, at - AROUND) : at], text[end : end + AROUND]
            return name, "..." * (at > AROUND) + before, text[at:end], behind + "..." * (end + AROUND < len(text))
    return None
