"""A disk that is really full: a small file system of its own, mounted for the test."""

import time
from collections import Counter

import pytest

from tests.generation_runs import KEY, PRICES, http_spec
from tests.openai_server import OpenAIServer
from tests.processes import Command
from tests.small_disk import MIB, SmallDisk
from toolkit.errors import DiskFull, RunStopped
from toolkit.generation.calls import sending as calls
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.journal.files import open_writer
from toolkit.generation.reports.summary import summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.audit import problems
from toolkit.generation.runs.finalize import finalize

RECIPES = {"image_generation_topic": 40}
CONCURRENCY = 4


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", 1 * MIB)
    yield disk
    disk.close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("TEST_API_KEY", KEY)
    server = OpenAIServer()
    yield server
    server.close()


@pytest.fixture
def path(server, tmp_path):
    return http_spec(tmp_path, server.url, RECIPES, concurrency=CONCURRENCY)


def shas(path, folder):
    return [shard.sha256 for shard in finalize(read_spec(path), folder).shards]


def run_cli(path, folder):
    command = Command("generate", "run", path, "--out", folder)
    said = "".join(command.communicate())
    return command.returncode, " ".join(said.split())


def paid(server):
    chat, draw, billed = PRICES["chat"], PRICES["draw"], server.billed
    dollars = (
        billed["input_tokens"] * chat["input_per_mtok"] + billed["output_tokens"] * chat["output_per_mtok"]
    ) / 1e6
    return dollars + billed["images"] * draw["per_image"]


def test_a_run_stops_before_the_disk_is_full_and_nothing_is_paid_twice(disk, server, path, tmp_path):
    server.dialect = lambda path, body: time.sleep(0.02)  # the disk is looked at twice a second
    code, said = run_cli(path, disk.path / "run")
    assert code == 1
    assert "the disk is full: 1.0 MB are free, about 67.1 MB are needed; free space" in said
    assert not list(disk.path.iterdir())
    disk.grow(calls.LEAST_FREE_BYTES + 1 * MIB)
    code, said = run_cli(path, disk.path / "run")
    assert code == 1
    assert "MB are free, about 67.1 MB are needed; free space" in said
    first = summarise(read_spec(path), disk.path / "run")
    assert 0 < first.recipes["image_generation_topic"].ok < 40
    assert first.in_doubt == 0
    disk.grow(256 * MIB)
    assert run_cli(path, disk.path / "run")[0] == 0
    summary = summarise(read_spec(path), disk.path / "run")
    assert (summary.recipes["image_generation_topic"].ok, summary.in_doubt) == (40, 0)
    assert all(count == 1 for count in server.contents.values())
    assert summary.cost == pytest.approx(paid(server))
    engine.run(read_spec(path), tmp_path / "clean")
    assert shas(path, disk.path / "run") == shas(path, tmp_path / "clean")


def test_a_disk_that_somebody_else_fills_stops_the_run_which_goes_on_later(disk, server, path, tmp_path, monkeypatch):
    """Without the check beforehand, so that writes themselves fail: what was under way is in doubt, at most one call a
    worker, and shown.
    """
    monkeypatch.setattr(calls, "LEAST_FREE_BYTES", 0)
    spec = read_spec(path)
    with pytest.raises(
        RunStopped,
        match=r"the disk is full: .* are free, .* needed; free space, or .*run the same command again: it is resumed",
    ):
        engine.run(spec, disk.path / "run")
    answered = Counter(server.contents)
    ok = summarise(spec, disk.path / "run").recipes["image_generation_topic"].ok
    assert 0 < ok < 40
    disk.grow(256 * MIB)
    engine.run(spec, disk.path / "run")
    again = [content for content, count in server.contents.items() if count > 1]
    assert len(again) <= CONCURRENCY
    assert set(again) <= set(answered)
    summary = summarise(spec, disk.path / "run")
    assert summary.recipes["image_generation_topic"].ok == 40
    assert len(again) <= summary.in_doubt <= CONCURRENCY
    assert list(problems(spec, disk.path / "run")) == []
    engine.run(spec, tmp_path / "clean")
    assert shas(path, disk.path / "run") == shas(path, tmp_path / "clean")


def test_a_journal_that_has_no_room_to_begin_says_so(disk):
    (disk.path / "ballast").write_bytes(bytes(1 * MIB - 4096))
    with pytest.raises(DiskFull, match=r"journal.sqlite3: the disk is full: .* are free, more is needed; free space"):
        open_writer(disk.path / "journal.sqlite3")
    (disk.path / "ballast").unlink()
    open_writer(disk.path / "journal.sqlite3").close()
