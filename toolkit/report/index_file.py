"""Where an index is kept, so that the second look at a dataset needs not read it again.

`.browse/` beside the dataset, else a folder beside the caches of `datasets`; named by the fingerprint of the shards.
A transaction is some shards: what a killed process had read before stays read. A file that another process is writing,
and a disk that takes none, is no reason to stop: the index is in memory then.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from toolkit.errors import UnifiedVisualError
from toolkit.sources.manifest import Shard
from toolkit.sources.published.cache import cache_folder
from toolkit.sources.repository import root_of
from toolkit.streaming.reading import Packed

logger = logging.getLogger(__name__)

FORMAT = 2  # of the tables; another number, another file
MEMORY = "384MB"  # of duckdb's own; of the published size, what is searched stays in it
FOLDER, CACHE = ".browse", "unifiedvisual-browse"
ROW_GROUP = 10_240  # rows; duckdb's own is 122,880, which a search within a task would read whole
WRITTEN_ROWS = 4 * ROW_GROUP  # in a transaction: whole row groups go straight into the file, the rest by its log
TABLES = """CREATE TABLE IF NOT EXISTS kept.rows (position INTEGER, shard INTEGER, number INTEGER, place INTEGER,
    id VARCHAR, task VARCHAR, quadrant VARCHAR, source VARCHAR, license VARCHAR, origin VARCHAR, images INTEGER,
    prompt VARCHAR, reply VARCHAR, searched VARCHAR USING COMPRESSION uncompressed);
    CREATE TABLE IF NOT EXISTS kept.loaded (shard INTEGER)"""


def open_database(packed: Packed, *, keep: bool) -> duckdb.DuckDBPyConnection:
    """The database of a dataset, which may hold some of its shards.

    Args:
        keep: in a file; else in memory.
    """
    for file in _files(packed) if keep else ():
        with suppress(OSError, duckdb.Error):
            return _open(file, len(packed.shards))
    database = _connect(":memory:")
    database.execute(TABLES)
    return database


def _files(packed: Packed) -> Iterator[Path]:
    name = f"{packed.repository.fingerprint(shard.path for shard in packed.shards)[:16]}-{FORMAT}.duckdb"
    if root := root_of(packed.repository):
        yield root / FOLDER / name
    yield cache_folder().parent / CACHE / name


def _open(file: Path, num_shards: int) -> duckdb.DuckDBPyConnection:
    """A whole index is read only, so that several processes share it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists():
        _remove_damaged(file)
    if file.exists():
        with suppress(duckdb.Error):
            database = _connect(str(file), read_only=True)
            if database.execute("SELECT count(*) FROM kept.loaded").fetchall()[0][0] == num_shards:
                return database
            database.close()
    elif file.parent.name == FOLDER:
        for old in file.parent.glob("*.duckdb*"):  # of what the dataset was before
            old.unlink()
    database = _connect(str(file))
    database.execute("SET checkpoint_threshold = '1TB'; PRAGMA disable_checkpoint_on_shutdown")  # see write_down
    database.execute(TABLES)
    return database


def _remove_damaged(file: Path) -> None:
    """Everything in it is read, by which duckdb checks its blocks: 0.4 s of 250,000 rows. One that cannot be opened may
    be another process's.
    """
    with suppress(duckdb.Error), _connect(str(file), read_only=True) as database:
        try:
            for name in ("kept.rows", "kept.loaded"):
                database.execute(f"SELECT bit_xor(hash(each)) FROM {name} AS each").fetchall()
        except duckdb.Error as error:
            logger.warning("%s: damaged (%s); the dataset is read again", file, str(error).splitlines()[0])
            for each in file.parent.glob(f"{file.name}*"):
                each.unlink()


def batches(wanted: Sequence[tuple[int, Shard, int]]) -> Iterator[list[tuple[int, Shard, int]]]:
    """Shards, as many at a time as are a transaction."""
    batch: list[tuple[int, Shard, int]] = []
    num_rows = 0
    for each in wanted:
        batch.append(each)
        num_rows += each[1].rows
        if num_rows >= WRITTEN_ROWS:
            yield batch
            batch, num_rows = [], 0
    if batch:
        yield batch


def write_down(database: duckdb.DuckDBPyConnection) -> None:
    """What was logged goes into the file; by the end, because each time takes as long as reading 20,000 rows."""
    with database.cursor() as cursor:
        cursor.execute("CHECKPOINT kept")


def in_words(error: BaseException) -> BaseException:
    """What ended the reading: where it is duckdb's, an error that says what to do."""
    if not isinstance(error, duckdb.Error):
        return error
    found = " ".join(str(error).partition("\n\n")[0].splitlines())  # some versions tell where in duckdb, below
    return UnifiedVisualError(
        f"what is read cannot be kept: {found}; where the disk is full, free some space; then start again"
    )


def _connect(file: str, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """The tables are in `kept`: only a database that is attached can have row groups of another size."""
    config: dict[str, str] = {"temp_directory": tempfile.gettempdir()}
    if file != ":memory:":
        config["memory_limit"] = MEMORY
    database = duckdb.connect(config=config)  # type: ignore[arg-type]
    quoted, option = file.replace("'", "''"), "READ_ONLY" if read_only else f"ROW_GROUP_SIZE {ROW_GROUP}"
    try:
        database.execute(f"ATTACH '{quoted}' AS kept ({option})")
    except duckdb.Error:
        database.close()
        raise
    return database
