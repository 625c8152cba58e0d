"""Files that a stopped command left, and a bad disk has changed: what they are part of is done again, and the result is
that of a run which nobody disturbed.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from conversion import convert, import_source
from tests.damage import Stopped, bytes_of, changed_to, stop
from toolkit.curation.align import align
from toolkit.curation.deduplicate import deduplicate
from toolkit.curation.merge import merge
from toolkit.curation.select import select
from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.packing.pack import pack
from toolkit.packing.rows import pack_rows
from toolkit.packing.stage import PackOptions
from toolkit.packing.verify import packed_check
from toolkit.schema import Row
from toolkit.sources.checks import run_check
from toolkit.sources.layout import open_source
from toolkit.sources.repository import LocalFolder
from toolkit.staging.jobs import STAGING, Job

TASKS = ("image_editing", "mm_internet")
SMALL = {"shard_bytes": 20_000, "row_group_bytes": 10_000}


def rows() -> list[Row]:
    return [row for task in TASKS for row in demo_rows(task, 3)]


def imported(given: Path, out: Path) -> object:
    source = import_source("webdataset", given / "tars", out=out)
    return pack(source, out, source.tasks, PackOptions(**SMALL))


def checked(given: Path, out: Path) -> object:
    return run_check(packed_check(LocalFolder(given / "one"), deep=True), folder=out)


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "pack": lambda given, out: pack(open_source(given / "upstream"), out, TASKS, PackOptions(**SMALL)),
    "pack_rows": lambda given, out: pack_rows(rows(), out, PackOptions(**SMALL)),
    "import": imported,
    "merge": lambda given, out: merge([given / "one", given / "other"], out, ids="prefix"),
    "merge --copy": lambda given, out: merge([given / "one", given / "third"], out, copy=True),
    "select": lambda given, out: select(given / "one", out, where="id LIKE '%1'", **SMALL),
    "select --split": lambda given, out: select(given / "one", out, split={"train": 0.5, "test": 0.5}, **SMALL),
    "deduplicate": lambda given, out: deduplicate(given / "twice", out, by="text", **SMALL),
    "align": lambda given, out: align(given / "one", out),
    "convert messages": lambda given, out: convert(given / "one", "messages", out),
    "convert webdataset": lambda given, out: convert(given / "one", "webdataset", out),
    "convert edit-triples": lambda given, out: convert(given / "one", "edit-triples", out, on_unfit="drop"),
    "verify": checked,
}
LAST = {"align": "toolkit.curation.align.write_whole", "convert": "conversion.driver.write_whole"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    folder = tmp_path_factory.mktemp("given")
    write_replica(folder / "upstream", {task: list(demo_rows(task, 3)) for task in TASKS})
    for name in ("one", "other"):
        pack_rows(rows(), folder / name)
    pack_rows(demo_rows("cot_collection", 2), folder / "third")
    merge([folder / "one", folder / "other"], folder / "twice", ids="prefix")
    convert(folder / "one", "webdataset", folder / "tars")
    return folder


@pytest.fixture(scope="module")
def clean_of(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], "Clean"]:
    """What a command makes; each is run undisturbed once."""
    return cache(lambda command: Clean(command, given, tmp_path_factory.mktemp("clean")))


class Clean:
    """What a command makes, and how often it asks for units."""

    def __init__(self, command: str, given: Path, folder: Path) -> None:
        self.work, self.given, self.runs = COMMANDS[command], given, 0
        with pytest.MonkeyPatch.context() as patch:
            self.after_runs(patch, lambda runs: setattr(self, "runs", runs))
            self.result = self.done(folder / "clean")

    def done(self, out: Path) -> tuple[Any, dict[str, bytes]]:
        result = self.work(self.given, out)
        return result, bytes_of(out)

    def after_runs(self, patch: pytest.MonkeyPatch, do: Callable[[int], None]) -> None:
        run, count = Job.run, [0]

        def counted(job: Job, *given: Any, **options: Any) -> Any:
            results = run(job, *given, **options)
            count[0] += 1
            do(count[0])
            return results

        patch.setattr(Job, "run", counted)

    def stopped(self, out: Path) -> None:
        """Before anything has its place in the result."""
        with pytest.MonkeyPatch.context() as patch:
            self.after_runs(patch, lambda runs: stop() if runs == self.runs else None)
            patch.setattr(Job, "close", lambda job: None)  # which a killed process does not come to
            with pytest.raises(Stopped):
                self.work(self.given, out)


def copied(left: Path, out: Path) -> None:
    """Links, so that those of the command stay what they are; what is damaged is no longer one."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(left, out, copy_function=os.link)


def files_by_unit(left: Path) -> dict[str, list[Path]]:
    found = defaultdict(list)
    for path in sorted((left / STAGING).glob("*/**/*")):
        if path.is_file():
            found[path.relative_to(left / STAGING).parts[0]].append(path.relative_to(left))
    return found


def again(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Units of which it was said that they are done again."""
    said = [record.getMessage() for record in caplog.records if "is done again" in record.getMessage()]
    caplog.clear()
    return sorted(Path(each.split(f"{STAGING}/")[1]).parts[0] for each in said)


@pytest.mark.parametrize("command", COMMANDS)
def test_one_bit_of_any_file_of_a_unit_and_the_unit_is_done_again(
    command: str, clean_of: Callable[[str], "Clean"], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clean = clean_of(command)
    left, out = tmp_path / "left", tmp_path / "out"
    clean.stopped(left)
    units = files_by_unit(left)
    for number in range(max(map(len, units.values()))):  # a file of every unit at once, or what is redone hides others
        copied(left, out)
        hit = {unit: files[number] for unit, files in units.items() if len(files) > number}
        for path in hit.values():
            changed_to(out / path, "one bit")
        assert clean.done(out) == clean.result, hit
        assert again(caplog) == sorted(hit)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_whole_is_not_done_again(
    command: str,
    clean_of: Callable[[str], "Clean"],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clean = clean_of(command)
    clean.stopped(tmp_path / "out")
    monkeypatch.setattr("toolkit.staging.jobs._do", lambda *given: pytest.fail("a unit was done again"))
    assert clean.done(tmp_path / "out") == clean.result
    assert again(caplog) == []


@pytest.mark.parametrize("what", ["half", "nothing", "removed", "another's", "folder", "pipe", "/dev/zero", "nowhere"])
@pytest.mark.parametrize("command", ["pack", "convert edit-triples"])
def test_files_that_are_no_longer_files_are_made_again(
    command: str, what: str, clean_of: Callable[[str], "Clean"], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clean = clean_of(command)
    clean.stopped(out := tmp_path / "out")
    last = {unit: files[-1] for unit, files in files_by_unit(out).items()}
    contents = [(out / path).read_bytes() for path in last.values()]
    for path, other in zip(last.values(), contents[1:] + contents[:1], strict=True):
        (out / path).unlink()
        (out / path).write_bytes(other)
        if what != "another's":
            changed_to(out / path, what)
    assert clean.done(out) == clean.result
    assert again(caplog) == sorted(last)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("verify", "convert messages")])
def test_files_that_have_their_place_in_the_result_already_are_checked_there(
    command: str, clean_of: Callable[[str], "Clean"], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clean, out = clean_of(command), tmp_path / "out"
    last = LAST.get(command.split()[0], "toolkit.packing.pack.write_whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(last, stop)
        patch.setattr(Job, "close", lambda job: None)
        with pytest.raises(Stopped):
            clean.done(out)
    moved = [path for path in sorted(out.rglob("*")) if path.is_file() and STAGING not in path.parts]
    assert moved
    for path, damage in zip(moved, cycle(["one bit", "half", "removed"])):
        changed_to(path, damage)
    assert clean.done(out) == clean.result
    assert again(caplog)


@pytest.mark.parametrize("what", ["one bit", "half", "removed", "folder"])
def test_a_shard_that_is_whole_in_an_unfinished_unit_is_checked_too(
    what: str, clean_of: Callable[[str], "Clean"], given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, out = clean_of("pack"), tmp_path / "out"
    clean.stopped(out)
    for marker in (out / STAGING).glob("*.done"):
        marker.unlink()
    shards = sorted((out / STAGING).glob("*/*.parquet"))
    assert len(shards) > 2
    before = {path: path.stat().st_ino for path in shards}
    changed_to(shards[0], what)
    monkeypatch.setattr(Job, "close", lambda job: None)
    assert clean.work(given, out) == clean.result[0]
    shutil.rmtree(out / STAGING)
    assert bytes_of(out) == clean.result[1]
    kept = {path.stat().st_ino for path in (out / "data").rglob("*.parquet")}
    assert {*before.values()} - kept <= {before[shards[0]]}
