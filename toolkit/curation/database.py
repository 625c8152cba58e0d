"""duckdb over Parquet files, in bounded memory: what does not fit goes to the disk."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import MissingExtra
from toolkit.staging.files import disk_full, sync_folder

if TYPE_CHECKING:
    import duckdb

MEMORY_MB, NARROW_MB = 1000, 192  # the latter is enough where no texts or thumbnails are sorted or joined
DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), "max_temp_directory_size")  # what duckdb says of it
GROUP_ROWS, LEAST_GROUP_ROWS = 20_000, 2_048


@contextmanager
def database(folder: Path, *, memory_mb: int = MEMORY_MB) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A database in memory that spills into a folder.

    Args:
        memory_mb: that it may take. A question that needs more at once than it can spill fails.

    Raises:
        MissingExtra: duckdb is not installed. DiskFull: what the block writes does not fit, or what is spilled.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtra("duckdb", "curate") from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_mb}MB",
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
    sync_folder(path.parent)


def files(paths: Sequence[Path]) -> str:
    """Files as the argument of `read_parquet`."""
    return "[" + ", ".join(literal(str(path)) for path in paths) + "]"


def literal(text: str) -> str:
    """Text in SQL."""
    return "'" + text.replace("'", "''") + "'"
