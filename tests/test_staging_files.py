"""Whole files and locks: what a killed, a second or a forked process, or a full disk, can do to them."""

import errno
import fcntl
import multiprocessing
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from tests.small_disk import MIB, SmallDisk
from toolkit.errors import DiskFull, SourceError, UsageError
from toolkit.staging import files, locks
from toolkit.staging.files import check_space, sweep, whole_file, write_whole
from toolkit.staging.locks import hold, is_held, take

SPAWN = multiprocessing.get_context("spawn")


def write_and_stop(path, is_begun):
    with whole_file(path) as file:
        file.write(b"half")
        file.flush()
        is_begun.set()
        threading.Event().wait()


def hold_and_stop(path, is_begun):
    with hold(path, busy=""):
        is_begun.set()
        threading.Event().wait()


@pytest.fixture
def other():
    """Start one of the above in another process, and wait until it has begun."""
    started = []

    def start(target, path):
        is_begun = SPAWN.Event()
        started.append(SPAWN.Process(target=target, args=(path, is_begun)))
        started[-1].start()
        assert is_begun.wait(30)
        return started[-1]

    yield start
    for process in started:
        kill(process)


def interrupted(path):
    with whole_file(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def kill(process):
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "deep" / "a"
    write_whole(path, "old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_text() == "new"
    assert names(path.parent) == ["a"]


def test_content_is_text_bytes_or_pieces(tmp_path):
    for content in ("é", "é".encode(), [b"\xc3", b"\xa9"]):
        write_whole(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == b"\xc3\xa9"


def test_the_file_and_then_its_folder_are_flushed(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(stat.S_ISDIR(os.fstat(handle).st_mode)))
    write_whole(tmp_path / "a", "text")
    assert flushed == [False, True]


def test_what_a_killed_process_left_is_taken_over_by_the_next_that_writes_the_file(tmp_path, other):
    kill(other(write_and_stop, tmp_path / "a"))
    assert names(tmp_path) == [".a.part"]
    write_whole(tmp_path / "a", "b")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "b"


def test_sweeping_removes_what_is_left_and_nothing_that_is_being_written(tmp_path, other):
    kill(other(write_and_stop, tmp_path / "in/left"))
    other(write_and_stop, tmp_path / "in/written")
    assert sweep(tmp_path) == 1
    assert names(tmp_path / "in") == [".written.part"]


def test_a_second_writer_of_a_file_waits_and_then_says_so(tmp_path, other, monkeypatch):
    process = other(write_and_stop, tmp_path / "a")
    with monkeypatch.context() as patched:
        patched.setattr(files, "WAIT_S", 0.1)
        with pytest.raises(SourceError, match=r"a: another process has been writing it for 0 s; wait for it"):
            write_whole(tmp_path / "a", "mine")
    threading.Timer(0.3, kill, [process]).start()
    write_whole(tmp_path / "a", "mine")
    assert (tmp_path / "a").read_text() == "mine"


def test_threads_that_write_one_file_write_it_one_after_another(tmp_path):
    threads = [threading.Thread(target=write_whole, args=(tmp_path / "a", str(n) * 100_000)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = (tmp_path / "a").read_text()
    assert (len(text), len(set(text))) == (100_000, 1)
    assert names(tmp_path) == ["a"]


def test_a_lock_is_held_by_one_process_until_it_ends_however_it_ends(tmp_path, other):
    process = other(hold_and_stop, tmp_path / "LOCK")
    assert is_held(tmp_path / "LOCK")
    with pytest.raises(UsageError, match="busy here"), hold(tmp_path / "LOCK", busy="busy here"):
        pass
    kill(process)
    assert not is_held(tmp_path / "LOCK")
    with hold(tmp_path / "LOCK", busy=""):
        pass
    assert not names(tmp_path)


def test_a_long_wait_for_another_process_is_told_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(locks, "WAIT_S", 0.05)
    with (
        hold(tmp_path / "LOCK", busy=""),
        pytest.raises(UsageError, match="busy here"),
        hold(tmp_path / "LOCK", busy="busy here", wait_s=0.5),
    ):
        pass
    assert caplog.messages == [f"{tmp_path}: another process is at work there; waiting for it"]
    with hold(tmp_path / "LOCK", busy="", wait_s=0.5):
        pass
    assert len(caplog.messages) == 1


def is_refused(path, *, shared=False):
    try:
        with hold(path, busy="", shared=shared):
            return False
    except UsageError:
        return True


def test_a_shared_lock_keeps_out_those_who_want_it_alone(tmp_path):
    path = tmp_path / "LOCK"
    with hold(path, busy="") as handle:
        assert is_refused(path, shared=True)
        take(handle, shared=True)
        assert not is_refused(path, shared=True)
        assert is_refused(path)
    assert not names(tmp_path)


def test_a_file_system_without_locks_still_has_whole_files(tmp_path, monkeypatch):
    def flock(handle, kind):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", flock)
    with hold(tmp_path / "LOCK", busy=""), whole_file(tmp_path / "a") as file:
        file.write(b"first")
        second = threading.Thread(target=write_whole, args=(tmp_path / "a", "second"))
        second.start()
        second.join()
        assert (tmp_path / "a").read_bytes() == b"second"
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_names_path_and_need(tmp_path):
    disk = SmallDisk(tmp_path / "disk", 2 * MIB)
    try:
        with pytest.raises(
            DiskFull, match=r"disk/a: the disk is full: .* are free, more than 2\.1 MB are needed; free"
        ):
            write_whole(disk.path / "a", os.urandom(3 * MIB))
        assert not names(disk.path)
        with pytest.raises(DiskFull, match=r"disk/new: the disk is full: 2\.1 MB are free, about 3\.1 MB are needed"):
            check_space(disk.path / "new", 3 * MIB)
        check_space(disk.path / "new", 2 * MIB)
    finally:
        disk.close()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_where_no_file_can_be_made_is_an_error_and_no_wait(tmp_path):
    with pytest.raises(UsageError, match=r"^/proc/self: no file can be made there"):
        write_whole(Path("/proc/self/page.html"), "")
