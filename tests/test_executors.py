"""Executors: units done once each, restarted where a worker dies, and one error that is the first."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from toolkit.errors import UnifiedVisualError, UnknownName, UsageError
from toolkit.executors import WorkerDied, run

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.usefixtures("workers_are_spawned")


def square(unit, tell):
    tell(f"at {unit}")
    return unit * unit


def note(folder, unit):
    """How often a unit was begun, this time included."""
    path = folder / str(unit)
    path.write_text(path.read_text() + "x" if path.exists() else "x")
    return len(path.read_text())


def die(folder, times, unit, tell):
    """Unit 1 kills its process, so many times."""
    if note(folder, unit) <= times and unit == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return multiprocessing.current_process().name


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def fail(unit, tell):
    if unit == 0:
        signal.signal(signal.SIGTERM, lambda *_: None)  # as one that lets its calls end
        time.sleep(1)
        tell("much " * 100_000)
    if unit == 1:
        raise UnknownName("name", "b", ["a"])
    raise Odd("two", "arguments")


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_unit_is_done_and_tells_of_itself(workers):
    news = []
    found = dict(run(square, [3, 0, 2], workers=workers, on_news=news.append))
    assert found == {3: 9, 0: 0, 2: 4}
    assert sorted(news) == ["at 0", "at 2", "at 3"]


def test_a_worker_does_many_units_and_one_that_dies_is_replaced(tmp_path):
    names = dict(run(partial(die, tmp_path, 1), range(6), workers=2))
    assert sorted(names) == list(range(6))
    assert len(set(names.values())) <= 3
    assert [(tmp_path / str(unit)).read_text() for unit in range(6)] == ["x", "xx", "x", "x", "x", "x"]


def test_a_unit_that_kills_every_worker_is_given_up(tmp_path):
    with pytest.raises(
        WorkerDied, match=r"died 3 times on unit 1 of the job: the last was killed by SIGKILL; is there mem"
    ):
        list(run(partial(die, tmp_path, 9), range(3), workers=2))
    assert (tmp_path / "1").read_text() == "xxx"


def test_the_first_error_stops_the_others_and_keeps_its_class_and_place():
    started = time.monotonic()
    with pytest.raises(UsageError, match="unknown name 'b'; known: a") as raised:
        list(run(fail, [0, 1], workers=2))
    assert time.monotonic() - started < 30
    assert "in fail" in str(raised.value.__cause__)
    with pytest.raises(Exception, match="Odd: two arguments"):
        list(run(fail, [2, 3], workers=2))


def test_an_unknown_executor_lists_the_known():
    with pytest.raises(UnknownName, match="unknown executor 'spark'; known: local, ray"):
        list(run(square, [0], executor="spark"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "ray: it does not start on this machine .timed out during startup.; a machine"),
        ("127.0.0.1:1", "at RAY_ADDRESS='127.0.0.1:1' cannot be reached .*refused.*; is the cluster up"),
    ],
)
def test_a_ray_that_does_not_start_is_one_line(address, message, monkeypatch):
    ray = pytest.importorskip("ray", reason="ray is not installed")

    def init(**how):
        raise Exception("timed out during startup\nsome of the processes failed")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UnifiedVisualError, match=message):
        list(run(square, [0, 1], executor="ray", workers=2))


ENDLESS = """
import sys, time
from pathlib import Path
from toolkit.executors import run
def work(unit, tell):
    while True:
        (Path(sys.argv[1]) / str(unit)).write_text(str(time.time()))
        time.sleep(0.01)
if __name__ == "__main__":
    list(run(work, [0, 1], workers=2))
"""


def test_workers_end_with_their_parent(tmp_path):
    (tmp_path / "run.py").write_text(ENDLESS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py"), str(tmp_path)], env=environment)
    while not all((tmp_path / name).exists() for name in "01"):
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.5)
    last = [(tmp_path / name).read_text() for name in "01"]
    time.sleep(0.3)
    assert [(tmp_path / name).read_text() for name in "01"] == last


def threads(unit, tell):
    return os.environ["OMP_NUM_THREADS"], multiprocessing.parent_process() is not None


def test_workers_share_the_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert dict(run(threads, [0, 1], workers=3)) == {0: ("2", True), 1: ("2", True)}
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert dict(run(threads, [0, 1], workers=2)) == {0: ("5", True), 1: ("5", True)}


def end(folder, unit, tell):
    atexit.register((folder / str(os.getpid())).touch)


def test_workers_that_have_nothing_left_to_do_end_by_themselves(tmp_path):
    list(run(partial(end, tmp_path), range(4), workers=2))
    assert 1 <= len(list(tmp_path.iterdir())) <= 2
