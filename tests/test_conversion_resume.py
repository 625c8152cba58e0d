"""Interrupted conversions: what is finished is kept, what is not is done again, and the bytes are the same."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conversion import convert, convert_shards, driver
from tests.conversion_rows import ROWS, TEXT, RowShard, SeededShard, tree
from tests.packed import pack_demo
from tests.small_disk import SmallDisk
from toolkit.errors import DiskFull, PartDone, UsageError
from toolkit.staging.jobs import STAGING, Job

SCRIPT = """
import sys
from pathlib import Path
from conversion import convert_shards, driver
from tests.conversion_rows import SeededShard

if __name__ == "__main__":
    shards = [SeededShard(number, 300) for number in range(8)]
    convert_shards(shards, Path(sys.argv[1]), to="webdataset", workers=2)
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


def test_killed_runs_end_in_the_bytes_of_an_undisturbed_one(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "killed")]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    kills = 0
    for wanted in (1, 3, 5):  # killed when so many shards are finished
        process = subprocess.Popen(command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if len(list((tmp_path / "killed" / STAGING).glob("*.done"))) >= wanted:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills
    shards = [SeededShard(number, 300) for number in range(8)]
    convert_shards(shards, tmp_path / "killed", to="webdataset")
    convert_shards(shards, tmp_path / "whole", to="webdataset")
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    "step", [(driver, "join_lines"), (driver, "move_files"), (driver, "write_whole"), (Job, "close")], ids=str
)
def test_a_run_stopped_while_finishing_ends_in_the_same_bytes(step, tmp_path, monkeypatch):
    shards = [RowShard(*ROWS[:7]), RowShard(*ROWS[7:])]
    options = {"profile": "next", "output_images": "context"}
    whole = convert_shards(shards, tmp_path / "whole", to="llava", options=options)

    def stop_after(function):
        def stop(*arguments, **keywords):
            function(*arguments, **keywords)
            raise KeyboardInterrupt

        return stop

    with monkeypatch.context() as patched:
        patched.setattr(*step, stop_after(getattr(*step)))
        with pytest.raises(KeyboardInterrupt):
            convert_shards(shards, tmp_path / "out", to="llava", options=options)
    assert convert_shards(shards, tmp_path / "out", to="llava", options=options) == whole
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


class Meanwhile(RowShard):
    """Another conversion into the folder begins while this is read."""

    def __init__(self, out: Path, *rows):
        super().__init__(*rows)
        self.out, self.told = out, ""

    def __call__(self):
        with pytest.raises(UsageError) as refused:
            convert_shards([RowShard(*self.rows)], self.out, to="webdataset")
        self.told = str(refused.value)
        return self.rows


def test_a_second_conversion_into_the_folder_says_so_and_does_no_harm(tmp_path):
    out = tmp_path / "out"
    shard = Meanwhile(out, *ROWS)
    report = convert_shards([shard], out, to="webdataset")
    assert shard.told == f"{out}: another process is at work here; wait for it, or choose another folder"
    convert_shards([RowShard(*ROWS)], tmp_path / "whole", to="webdataset")
    assert tree(out) == tree(tmp_path / "whole")
    assert report.rows_out == len(ROWS)


def test_parts_done_by_several_processes_make_the_same_bytes(tmp_path):
    shards = [RowShard(row) for row in ROWS]
    convert_shards(shards, tmp_path / "whole", to="webdataset")
    for part in (1, 0):
        with pytest.raises(PartDone, match=f"part {part} of 2 is done") as done:
            convert_shards(shards, tmp_path / "out", to="webdataset", part=(part, 2))
        assert done.value.exit_code == 0
    convert_shards([Broken()] * len(ROWS), tmp_path / "out", to="webdataset")  # reads nothing any more
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_full_disk_is_one_error_and_then_the_same_bytes(tmp_path):
    shards = [SeededShard(number, 300) for number in range(4)]
    convert_shards(shards, tmp_path / "whole", to="webdataset")
    size = sum(map(len, tree(tmp_path / "whole").values()))
    disk, told = SmallDisk(tmp_path / "disk", size // 8), []
    try:
        for eighth in range(2, 14):
            try:
                convert_shards(shards, disk.path / "out", to="webdataset", need_bytes=lambda: size)
                break
            except DiskFull as error:
                told.append(str(error))
                disk.grow(eighth * size // 8)
        assert len(told) > 3
        need = f"are free, about {size / 1e6:.1f} MB in all are needed"
        assert all(text.startswith(f"{disk.path}/out: the disk is full: ") and need in text for text in told)
        assert tree(disk.path / "out") == tree(tmp_path / "whole")
    finally:
        disk.close()


@pytest.mark.parametrize(
    ("place", "message"),
    [("packed", r"packed is what is read; choose another"), ("packed/out", r"out lies inside .*packed, which is read")],
)
def test_an_output_that_is_the_input_is_refused(place, message, tmp_path):
    before = tree(pack_demo(tmp_path / "packed", ["mm_internet"]))
    with pytest.raises(UsageError, match=message):
        convert(tmp_path / "packed", "webdataset", tmp_path / place)
    assert tree(tmp_path / "packed") == before


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
    with pytest.raises(UsageError, match="another command: convert is 'webdataset' there, and 'llava' here"):
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
