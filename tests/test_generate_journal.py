"""Journals where nothing can be written."""

import shutil
import sqlite3

import pytest

from toolkit.errors import SourceError
from toolkit.generation.journal import reading
from toolkit.generation.journal.reading import states


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run on a read-only disk, with one sample."""
    path = tmp_path / "run/shards/000-of-001/journal.sqlite3"
    path.parent.mkdir(parents=True)
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE samples (id, recipe, idx, state)")
    db.execute("INSERT INTO samples VALUES ('a', 'mine', 0, 'ok')")
    db.commit()
    shutil.copytree(tmp_path / "run", tmp_path / "killed")  # before the log is brought in
    db.close()
    monkeypatch.setattr(reading.os, "access", lambda folder, mode: False)
    return tmp_path / "run"


def test_a_run_on_a_read_only_disk_is_read_and_nothing_is_written(run):
    assert states(run) == {("mine", "ok"): 1}
    assert [path.name for path in run.rglob("*.*") if path.is_file()] == ["journal.sqlite3"]


def test_a_killed_run_on_a_read_only_disk_is_an_error_and_not_half_a_run(run):
    with pytest.raises(SourceError, match=r"journal\.sqlite3-wal holds changes that are not in it yet; copy the run"):
        states(run.with_name("killed"))
