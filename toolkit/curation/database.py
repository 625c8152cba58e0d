"""duckdb over Parquet files, in bounded memory: what does not fit goes to the disk."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from toolkit.errors import MissingExtra, UnifiedVisualError
from toolkit.staging.checksums import note
from toolkit.staging.files import disk_full, sync_folder

if TYPE_CHECKING:
    import duckdb

Result = TypeVar("Result")
MEMORY_MB, MOST_MB = 64, 1024  # that a question takes at first, and at most
DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "max_temp_directory_size")  # what duckdb says of it
GROUP_ROWS, LEAST_GROUP_ROWS = 20_000, 2_048


_memory_mb = ContextVar("_memory_mb", default=MEMORY_MB)


def with_enough_memory(work: Callable[[], Result]) -> Result:
    """Do what asks databases. Where a question needs more at once than it may take and cannot spill it, do all again
    with twice as much.

    Raises:
        UnifiedVisualError: MOST_MB is not enough.
    """
    memory_mb = MEMORY_MB
    while True:
        before = _memory_mb.set(memory_mb)
        try:
            return work()
        except Exception as error:
            if not _is_full(error):
                raise
            if memory_mb >= MOST_MB:
                raise UnifiedVisualError(
                    f"duckdb needs more than {MOST_MB} MB: {str(error).splitlines()[0]}"
                ) from error
        finally:
            _memory_mb.reset(before)
        memory_mb *= 2


def _is_full(error: Exception) -> bool:
    if (duckdb := sys.modules.get("duckdb")) is None:
        return False
    return isinstance(error, duckdb.OutOfMemoryException)


def is_of_duckdb(error: Exception) -> bool:
    duckdb = sys.modules.get("duckdb")
    return duckdb is not None and isinstance(error, duckdb.Error)


@contextmanager
def database(folder: Path) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A database in memory that spills into a folder.

    Raises:
        MissingExtra: duckdb is not installed. DiskFull: what the block writes does not fit, or what is spilled.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("duckdb", "curate") from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{_memory_mb.get()}MB",
        "temp_directory": str(folder / "spilled"),
        "threads": 1,
    }
    try:
        with duckdb.connect(config=settings) as opened:
            yield opened
    except duckdb.Error as error:
        if not any(sign in str(error) for sign in DISK_FULL):
            raise
        raise disk_full(folder, "more is") from error


def write(db: "duckdb.DuckDBPyConnection", question: str, path: Path, *, group_rows: int = GROUP_ROWS) -> None:
    """An answer as a Parquet file that is whole or not there.

    Args:
        group_rows: of its row groups: few where one part of a sorted answer is read at a time.
    """
    part = path.with_name(f".{path.name}.part")
    how = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {max(group_rows, LEAST_GROUP_ROWS)}"
    db.execute(f"COPY ({question}) TO {literal(str(part))} ({how})")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    note(path)
    sync_folder(path.parent)


def keep(
    db: "duckdb.DuckDBPyConnection", name: str, question: str, folder: Path, *, group_rows: int = GROUP_ROWS
) -> None:
    """An answer as a view of a file, where a table would take the memory of what is asked next."""
    path = folder / f"{name}.parquet"
    write(db, question, path, group_rows=group_rows)
    db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({literal(str(path))})")


def files(paths: Sequence[Path]) -> str:
    """Files as the argument of `read_parquet`."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def literal(text: str) -> str:
    """Text in SQL."""
    return "'" + text.replace("'", "''") + "'"
