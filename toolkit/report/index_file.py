"""Where an index is kept, so that the second look at a dataset needs not read it again.

`.browse/` beside the dataset, else a folder beside the caches of `datasets`; named by the fingerprint of the shards.
Each shard is one transaction: what a killed process had read stays read. A file that another process is writing, and a
disk that takes none, is no reason to stop: the index is in memory then.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb

from toolkit.sources.published.cache import cache_folder
from toolkit.sources.repository import root_of
from toolkit.streaming.reading import Packed

logger = logging.getLogger(__name__)

FORMAT = 1  # of the tables; another number, another file
MEMORY = "128MB"  # of duckdb's own; what is in the file need not stay in memory
FOLDER, CACHE = ".browse", "unifiedvisual-browse"
TABLES = """CREATE TABLE IF NOT EXISTS rows (position INTEGER, shard INTEGER, number INTEGER, place INTEGER, id VARCHAR,
    task VARCHAR, quadrant VARCHAR, source VARCHAR, license VARCHAR, origin VARCHAR, images INTEGER, prompt VARCHAR,
    reply VARCHAR, searched VARCHAR);
    CREATE TABLE IF NOT EXISTS loaded (shard INTEGER)"""


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
            if database.execute("SELECT count(*) FROM loaded").fetchall()[0][0] == num_shards:
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
            for name in ("rows", "loaded"):
                database.execute(f"SELECT bit_xor(hash({name})) FROM {name}").fetchall()
        except duckdb.Error as error:
            logger.warning("%s: damaged (%s); the dataset is read again", file, str(error).splitlines()[0])
            for each in file.parent.glob(f"{file.name}*"):
                each.unlink()


def write_down(database: duckdb.DuckDBPyConnection) -> None:
    """What was logged goes into the file, and out of memory; after each shard it would take ten times as long."""
    with suppress(duckdb.Error), database.cursor() as cursor:  # a full disk: the log stays
        cursor.execute("CHECKPOINT")


def _connect(file: str, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    config: dict[str, str] = {"temp_directory": tempfile.gettempdir()}
    if file != ":memory:":
        config["memory_limit"] = MEMORY
    return duckdb.connect(file, read_only=read_only, config=config)  # type: ignore[arg-type]
