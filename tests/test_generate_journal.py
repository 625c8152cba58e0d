"""The journal's file: any value, any file system, readers that change nothing."""

import asyncio
import importlib.util
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.generation_runs import write_spec
from tests.processes import ROOT
from tests.small_disk import SmallDisk
from toolkit.errors import RunStopped, SourceError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal import Finished, Journal, files, finished, insert_sample
from toolkit.generation.journal.reading import query
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine


def sample(number, row="{}"):
    return Finished(f"{number:04d}", "r", number, "ok", None, None, None, row)


def write(path, *samples):
    async def main():
        journal = Journal(path)
        try:
            await asyncio.gather(*(journal.write(insert_sample(each)) for each in samples))
        finally:
            journal.close()

    asyncio.run(asyncio.wait_for(main(), 20))


def mode(path):
    db = sqlite3.connect(path)
    found = db.execute("PRAGMA journal_mode").fetchone()[0]
    db.close()
    return found


def test_writers_share_commits_and_each_is_all_or_nothing(tmp_path):
    path = tmp_path / "journal.sqlite3"
    write(path, *map(sample, range(200)))
    assert list(query(path, "SELECT count(*), sum(idx) FROM samples")) == [(200, 19900)]
    assert mode(path) == "wal"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("half \ud83d", "half \ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
        (2**70, str(2**70)),
        (b"\xff", b"\xff"),
        ([1], "[1]"),
        ("a\0b", "a\0b"),
    ],
)
def test_any_value_is_written_and_nobody_waits_for_ever(tmp_path, value, kept):
    path = tmp_path / "journal.sqlite3"
    write(path, sample(0), sample(1, value), sample(2))
    assert list(query(path, "SELECT row FROM samples ORDER BY idx")) == [("{}",), (kept,), ("{}",)]


def test_a_writer_that_fails_tells_all_who_wait_and_the_next_write_works(tmp_path):
    async def main():
        journal = Journal(tmp_path / "journal.sqlite3")
        wrong = ("INSERT INTO nothing VALUES (?)", (1,))
        told = await asyncio.gather(*(journal.write(wrong) for _ in range(3)), return_exceptions=True)
        await journal.write(insert_sample(sample(0)))
        journal.close()
        return told

    told = asyncio.run(asyncio.wait_for(main(), 20))
    assert [type(error) for error in told] == [RunStopped] * 3


MOUNTS = """/dev/sda1 / ext4 rw 0 0
server:/export /home nfs4 rw 0 0
tmpfs /home/me/scratch tmpfs rw 0 0
host@tcp:/work /work\\040space lustre rw 0 0
sshfs /mnt fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "is_shared"),
    [("/tmp/x", False), ("/home/me", True), ("/home/me/scratch/run", False), ("/work space/run", True), ("/mnt", True)],
)
def test_file_systems_of_several_machines_are_known(tmp_path, path, is_shared):
    (tmp_path / "mounts").write_text(MOUNTS)
    assert files.is_shared(type(tmp_path)(path), tmp_path / "mounts") is is_shared


def test_where_no_memory_can_be_shared_the_journal_rolls_back_instead(tmp_path):
    path = tmp_path / "journal.sqlite3"
    (tmp_path / "journal.sqlite3-shm").mkdir()  # stands where the index that is mapped would be
    write(path, sample(0))
    write(path, sample(1))
    assert len(list(query(path, "SELECT id FROM samples"))) == 2
    (tmp_path / "journal.sqlite3-shm").rmdir()
    assert mode(path) == "delete"


def test_on_a_shared_file_system_a_run_goes_on_with_what_it_has(tmp_path, monkeypatch):
    spec = read_spec(write_spec(tmp_path, {"name": "nfs", "recipes": {"mm_reasoning_o": 2}}))
    engine.run(spec, tmp_path / "run")
    monkeypatch.setattr(files, "is_shared", lambda path: True)
    more = read_spec(write_spec(tmp_path, {"name": "nfs", "recipes": {"mm_reasoning_o": 4}}))
    seen = []
    engine.run(more, tmp_path / "run", on_sample=lambda _: seen.append(summarise(more, tmp_path / "run")))
    counts = [each.recipes["mm_reasoning_o"].ok for each in seen]  # readers read while it is written
    assert (len(counts), counts[-1]) == (2, 4)
    assert counts[0] in (3, 4)
    assert mode(next((tmp_path / "run").glob("shards/*/journal.sqlite3"))) == "delete"


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from toolkit.generation.journal import Finished, Journal, files, insert_sample

def sample(number):
    return insert_sample(Finished(str(number), "r", number, "ok", None, None, None, "x" * 4000))

def half(db):
    for statement in ("PRAGMA cache_spill=1", "PRAGMA cache_size=1", "BEGIN IMMEDIATE"):
        db.execute(statement)
    for number in range(1, 50):
        db.execute(*sample(number))

async def main():
    journal = Journal(Path(sys.argv[1]))
    await journal.write(sample(0))
    journal._thread.submit(half, journal._db).result()
    os.kill(os.getpid(), signal.SIGKILL)

files.is_shared = lambda path: sys.argv[2] == "shared"
asyncio.run(main())
"""


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", "32M")
    yield disk
    disk.close()


@pytest.mark.parametrize("how", ["shared", "own"])
@pytest.mark.parametrize("with_index", [True, False])
def test_what_a_killed_writer_left_is_read_also_where_nothing_may_be_written(disk, how, with_index):
    path = disk.path / "journal.sqlite3"
    subprocess.run([sys.executable, "-c", KILLED, path, how], cwd=ROOT, check=False)
    assert {each.name for each in disk.path.iterdir()} > {path.name}
    if not with_index:
        (disk.path / f"{path.name}-shm").unlink(missing_ok=True)
    disk.close_for_writing()
    assert list(query(path, "SELECT id FROM samples")) == [("0",)]


def test_a_journal_that_was_closed_is_read_where_nothing_may_be_written(disk):
    path = disk.path / "journal.sqlite3"
    write(path, sample(0))
    disk.close_for_writing()
    assert list(query(path, "SELECT id FROM samples")) == [("0000",)]


def test_readers_write_nothing(tmp_path):
    path = tmp_path / "shards/000-of-001/journal.sqlite3"
    write(path, sample(0))
    before = {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir() if each.name == path.name}
    assert [each.id for each in finished(tmp_path, "r")] == ["0000"]
    with pytest.raises(SourceError, match="readonly"):
        list(query(path, "DELETE FROM samples"))
    assert before == {each.name: each.stat().st_mtime_ns for each in path.parent.iterdir() if each.name == path.name}


def test_every_transaction_is_brought_to_the_disk(tmp_path):
    spec = importlib.util.find_spec(files.__name__)
    as_shipped = importlib.util.module_from_spec(spec)  # the one that is imported syncs nothing in tests
    spec.loader.exec_module(as_shipped)
    with closing(as_shipped.open_writer(tmp_path / "journal.sqlite3")) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_file_that_is_no_journal_says_so(tmp_path):
    path = tmp_path / "journal.sqlite3"
    path.write_bytes(b"something else entirely, and long enough to have a header of a hundred bytes" * 3)
    with pytest.raises(SourceError, match="cannot be read as a journal"):
        list(query(path, "SELECT 1 FROM samples"))
    with pytest.raises(SourceError, match="cannot be opened as a journal"):
        Journal(path)
