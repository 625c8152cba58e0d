"""Interrupted conversions: what is finished is kept, what is not is done again, and the bytes are the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conversion import convert_shards, driver
from conversion.shard import PARTS
from tests.conversion_rows import ROWS, TEXT, RowShard, SeededShard, tree
from toolkit.errors import UsageError

SCRIPT = """
import sys
from pathlib import Path
from conversion import convert_shards, driver
from tests.conversion_rows import SeededShard

if __name__ == "__main__":
    shards = [SeededShard(number, 300) for number in range(8)]
    convert_shards(shards, Path(sys.argv[1]), to=sys.argv[2], options={"profile": sys.argv[3]}, workers=2)
"""


class Counted(RowShard):
    """Notes each reading in a file."""

    def __init__(self, log: Path, *rows):
        super().__init__(*rows)
        self.log = log

    def __call__(self):
        self.log.write_text(self.log.read_text() + "x" if self.log.exists() else "x")
        return self.rows


class Broken(RowShard):
    def __call__(self):
        yield from self.rows
        raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("name", "profile"), [("webdataset", "rows"), ("messages", "openai"), ("llava", "next"), ("messages", "trl")]
)
def test_killed_runs_end_in_the_bytes_of_an_undisturbed_one(name, profile, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "killed"), name, profile]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    kills = 0
    for wanted in (1, 3, 5):  # killed when so many shards are finished
        process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            finished = [
                path
                for path in (tmp_path / "killed" / PARTS).glob("*/part.json")
                if not path.parent.name.endswith(".tmp")
            ]
            if len(finished) >= wanted:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills
    shards = [SeededShard(number, 300) for number in range(8)]
    convert_shards(shards, tmp_path / "killed", to=name, options={"profile": profile}, workers=1)
    convert_shards(shards, tmp_path / "whole", to=name, options={"profile": profile}, workers=1)
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_workers_end_when_only_the_driver_is_killed(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.replace("300)", "10**9)"))  # shards that never end
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "out"), "webdataset", "rows"],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    tars = []
    while len(tars) < 2 and process.poll() is None:
        tars = list((tmp_path / "out" / PARTS).glob("*.tmp/files/*.tar"))
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(2)
    sizes = [tar.stat().st_size for tar in tars]
    time.sleep(1)
    assert [tar.stat().st_size for tar in tars] == sizes


@pytest.mark.parametrize("step", ["join_lines", "move_files", "write_whole", "shutil.rmtree"])
def test_a_run_stopped_while_finishing_ends_in_the_same_bytes(step, tmp_path, monkeypatch):
    shards = [RowShard(*ROWS[:7]), RowShard(*ROWS[7:])]
    options = {"profile": "next", "output_images": "context"}
    whole = convert_shards(shards, tmp_path / "whole", to="llava", options=options)

    def stop_after(function):
        def stop(*arguments, **keywords):
            function(*arguments, **keywords)
            if (tmp_path / "out" / PARTS / "00001").exists() or step == "shutil.rmtree":
                raise KeyboardInterrupt

        return stop

    owner, _, name = step.rpartition(".")
    target = driver.shutil if owner else driver
    with monkeypatch.context() as patched:
        patched.setattr(target, name, stop_after(getattr(target, name)))
        with pytest.raises(KeyboardInterrupt):
            convert_shards(shards, tmp_path / "out", to="llava", options=options)
    assert convert_shards(shards, tmp_path / "out", to="llava", options=options) == whole
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_finished_shards_are_not_read_again(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(OSError, match="the disk is gone"):
        convert_shards([Counted(log, *ROWS), Broken(TEXT)], tmp_path / "out", to="webdataset")
    convert_shards([Counted(log, *ROWS), RowShard()], tmp_path / "out", to="webdataset")
    assert log.read_text() == "x"


def test_a_finished_conversion_gives_its_report_without_reading(tmp_path):
    first = convert_shards([RowShard(*ROWS)], tmp_path / "out", to="webdataset")
    before = tree(tmp_path / "out")
    assert convert_shards([Broken()], tmp_path / "out", to="webdataset") == first
    assert tree(tmp_path / "out") == before


def test_another_conversion_in_the_folder_is_refused(tmp_path):
    convert_shards([RowShard(TEXT)], tmp_path / "out", to="webdataset")
    with pytest.raises(UsageError, match="holds another conversion: webdataset"):
        convert_shards([RowShard(TEXT)], tmp_path / "out", to="llava")
    with pytest.raises(UsageError, match="holds another conversion"):
        convert_shards([RowShard(TEXT)], tmp_path / "out", to="webdataset", identity="another source")
    with pytest.raises(OSError):
        convert_shards([RowShard(*ROWS), Broken(TEXT)], tmp_path / "half", to="webdataset")
    with pytest.raises(UsageError, match="holds an unfinished conversion"):
        convert_shards([RowShard(TEXT)], tmp_path / "half", to="llava")


def test_a_conversion_that_finished_nothing_does_not_stand_in_the_way(tmp_path):
    with pytest.raises(OSError):
        convert_shards([Broken(TEXT)], tmp_path / "out", to="webdataset")
    assert convert_shards([RowShard(TEXT)], tmp_path / "out", to="messages").rows_out == 1


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("do not touch")
    with pytest.raises(UsageError, match="not empty and holds no conversion"):
        convert_shards([RowShard(TEXT)], tmp_path, to="webdataset")
    assert tree(tmp_path) == {"mine.txt": b"do not touch"}


def test_an_error_in_a_worker_reaches_the_caller(tmp_path):
    with pytest.raises(OSError, match="the disk is gone"):
        convert_shards([RowShard(TEXT), Broken()], tmp_path / "out", to="webdataset", workers=2)


def test_progress_counts_shards(tmp_path):
    seen = []
    convert_shards(
        [RowShard(TEXT), RowShard()],
        tmp_path / "out",
        to="webdataset",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 2), (2, 2)]
