"""How a journal's file is opened: for its one writer, and for readers, who never change it.

A journal is in WAL mode where the file system allows it: readers and the writer do not wait for one another. WAL keeps
an index in memory that all processes map, so it must not be used on a file system that several machines share (NFS,
Lustre, GPFS), nor where a file cannot be mapped. There a journal is in rollback mode (TRUNCATE), which needs no more
than locks. Source: sqlite.org/wal.html, "Overview", item 2.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from toolkit.errors import SourceError, UnifiedVisualError, is_disk_full
from toolkit.generation.journal.tables import FORMAT, TABLES
from toolkit.staging.files import disk_full

# File systems that several machines may share, as /proc/mounts names them.
SHARED = {
    *(
        "nfs",
        "nfs3",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "afs",
        "orangefs",
    ),
    *("pvfs2", "panfs", "wekafs", "9p", "virtiofs", "vboxsf", "ocfs2", "gfs2"),
}
_FUSE = "fuse."  # and whatever has one behind it: sshfs, s3fs, gcsfuse, ...
SYNCHRONOUS = "FULL"  # each transaction is on the disk before its call is sent
PAGE = 4096  # bytes
WRITER_WAIT_S, READER_WAIT_S = 600, 60  # for the other to be done, in rollback mode


def is_shared(path: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder is on a file system that another machine may have mounted too; False where nobody says."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    found = "", ""
    target = str(path.resolve())
    for line in lines:
        _, mounted, kind = line.split(" ")[:3]
        folder = mounted.encode().decode("unicode_escape", "replace")  # a space is \040
        inside = target == folder or target.startswith(folder.rstrip("/") + "/")
        if inside and len(folder) >= len(found[0]):
            found = folder, kind
    return found[1] in SHARED or found[1].startswith(_FUSE)


def open_writer(path: Path) -> sqlite3.Connection:
    """
    Raises:
        SourceError: it is no journal, or of another format. DiskFull: it does not fit.
    """
    try:
        db = sqlite3.connect(path, isolation_level=None)
        db.execute(f"PRAGMA busy_timeout={WRITER_WAIT_S * 1000}")
        if is_shared(path.parent) or not _set_wal(db):
            db = _roll_back(path, db)
    except sqlite3.Error as error:
        raise _unopened(path, error) from error
    try:
        db.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, FORMAT):
            raise SourceError(f"{path}: a journal of format {found}; expected {FORMAT}")
        db.executescript(TABLES + f"PRAGMA user_version={FORMAT};")
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.Error):
            raise _unopened(path, error) from error
        raise
    return db


def _unopened(path: Path, error: sqlite3.Error) -> UnifiedVisualError:
    if lacks_room(path, error):
        return disk_full(path, "more is")
    return SourceError(f"{path}: cannot be opened as a journal: {error}")


def lacks_room(path: Path, error: BaseException) -> bool:
    """Whether a full disk is why SQLite failed, which it may call an I/O error too."""
    if not isinstance(error, sqlite3.OperationalError):
        return is_disk_full(error)
    return "disk is full" in str(error) or ("disk I/O" in str(error) and shutil.disk_usage(path.parent).free < PAGE)


def _set_wal(db: sqlite3.Connection) -> bool:
    """Whether the journal is in WAL mode now, and its index can be mapped."""
    try:
        is_wal: bool = db.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal"
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    return is_wal


def _roll_back(path: Path, db: sqlite3.Connection) -> sqlite3.Connection:
    """The journal in TRUNCATE mode, also one that was in WAL mode elsewhere: held alone, it needs no index to map."""
    db.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA busy_timeout={WRITER_WAIT_S * 1000}")
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=TRUNCATE")
    db.execute("PRAGMA locking_mode=NORMAL")
    db.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the lock is given back by the next read
    return db


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, also to a journal that is being written, or of a folder where nothing may be
    written.

    Raises:
        SourceError: it is no journal.
    """
    try:
        with contextlib.ExitStack() as stack:
            yield _open_reader(path, stack)
    except sqlite3.Error as error:
        raise SourceError(f"{path}: cannot be read as a journal: {error}") from error


def _open_reader(path: Path, stack: contextlib.ExitStack) -> sqlite3.Connection:
    try:
        db = _connected(path, "mode=ro", stack)
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return db
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or not path.exists():
            raise
    left = [each for suffix in ("-wal", "-journal") if (each := path.with_name(path.name + suffix)).exists()]
    if not any(each.stat().st_size for each in left):
        return _connected(path, "immutable=1", stack)
    # A killed process left a part of a commit, and here it can neither be finished nor taken back.
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="journal-")))
    for each in (path, *left):
        shutil.copyfile(each, folder / each.name)
    return _connected(folder / path.name, "mode=rw", stack)


def _connected(path: Path, how: str, stack: contextlib.ExitStack) -> sqlite3.Connection:
    url = f"{path.resolve().as_uri()}?{how}"
    return stack.enter_context(closing(sqlite3.connect(url, uri=True, timeout=READER_WAIT_S)))
