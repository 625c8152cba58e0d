"""Unfinished work that a bad disk, or somebody, has changed: done again, or one error; never other rows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.damage import bytes_of, changed_to
from toolkit.curation.merge import merge
from toolkit.curation.select import select
from toolkit.demo.rows import demo_rows
from toolkit.errors import SourceError, UnifiedVisualError, UsageError
from toolkit.packing.rows import pack_rows
from toolkit.schema import Row
from toolkit.staging.files import write_whole
from toolkit.staging.jobs import STAGING, Job, open_job


def numbers(done: list[int], unit: int, folder: Path, tell: object) -> dict[str, int]:
    done.append(unit)
    return {"unit": unit}


def work(job: Job) -> tuple[list[int], list[dict[str, int]]]:
    """Units that were done, and all results."""
    done: list[int] = []
    return done, job.run(lambda *given: numbers(done, *given), range(3))


BAD = ["one bit", "half", "nothing", "deep", "/dev/zero", "nowhere", ".", "pipe", "folder", "another unit's"]


@pytest.mark.parametrize("what", BAD)
def test_a_unit_whose_marker_is_not_as_it_was_written_is_done_again(what: str, tmp_path: Path) -> None:
    with open_job(tmp_path, {"a": 1}) as job:
        assert work(job)[0] == [0, 1, 2]
    marker = tmp_path / STAGING / "00001.done"
    if what == "another unit's":
        marker.write_bytes(marker.with_name("00000.done").read_bytes())
    else:
        changed_to(marker, what)
    with open_job(tmp_path, {"a": 1}) as job:
        done, results = work(job)
    assert (done, results) == ([1], [{"unit": 0}, {"unit": 1}, {"unit": 2}])


@pytest.mark.parametrize("what", ["half", "nothing", "deep", "/dev/zero", "nowhere", "pipe", "folder"])
def test_a_plan_that_cannot_be_read_is_an_error_that_says_what_to_delete(what: str, tmp_path: Path) -> None:
    with open_job(tmp_path, {"a": 1}) as job:
        work(job)
    changed_to(tmp_path / STAGING / "plan.json", what)
    message = r"plan.json: what the unfinished work is cannot be read .*; delete .*staging"
    with pytest.raises(UsageError, match=message), open_job(tmp_path, {"a": 1}):
        pytest.fail("was opened")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With two packed datasets."""
    pack_rows(demo_rows("image_editing", 2), tmp_path / "one")
    pack_rows(demo_rows("mm_internet", 2), tmp_path / "other")
    return tmp_path


def test_rows_may_write_files_of_their_own_while_they_are_packed(tmp_path: Path) -> None:
    def rows() -> Iterator[Row]:
        for row in demo_rows("image_editing", 2):
            write_whole(tmp_path / f"{row.id}.txt", row.answer)
            yield row

    assert pack_rows(rows(), tmp_path / "packed").total("rows") == 2


def merged(folder: Path, damage: Callable[[], None] = lambda: None, after: str = "") -> None:
    def on_done(phase: str, done: int, total: int) -> None:
        if phase == after and done == total:
            damage()

    merge([folder / "one", folder / "other"], folder / "out", copy=True, on_done=on_done)


def damaged(folder: Path, pattern: str, what: str) -> Callable[[], None]:
    """To be called while a command is at work, which does not read again what it has just written."""
    return lambda: changed_to(next((folder / "out" / STAGING).glob(pattern)), what)


@pytest.mark.parametrize("what", ["half", "nothing", "nowhere", "folder", "removed"])
def test_tables_that_are_damaged_between_phases_are_one_error_and_can_be_deleted(what: str, folder: Path) -> None:
    merged(folder)
    wanted = bytes_of(folder / "out")
    (folder / "out").rename(folder / "clean")
    with pytest.raises(SourceError, match=r"unfinished work that cannot be read .*; delete the folder, and run"):
        merged(folder, damaged(folder, "*/ids.parquet", what), after="ids")
    for path in sorted((folder / "out" / STAGING).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    merged(folder)
    assert bytes_of(folder / "out") == wanted


@pytest.mark.parametrize("what", ["half", "removed"])
def test_a_shard_that_is_lost_before_it_has_its_name_is_no_dataset_without_it(what: str, folder: Path) -> None:
    with pytest.raises(SourceError, match=r"bytes of .*: what .*staging held is damaged; delete that folder"):
        merged(folder, damaged(folder, "*/shard.parquet", what), after="shards")
    assert not (folder / "out/MANIFEST.json").exists()


@pytest.mark.parametrize("what", ["one bit", "half", "nothing", "removed"])
def test_a_marker_of_a_shard_that_is_lost_is_no_dataset_without_it(what: str, folder: Path) -> None:
    def on_done(phase: str, done: int, total: int) -> None:
        if phase == "shards" and done == total:
            damaged(folder, "*/*/*.done", what)()

    with pytest.raises(
        SourceError, match=r"00000.done: unfinished work that cannot be read; delete the .staging it is"
    ):
        select(folder / "one", folder / "out", per_task=1, on_done=on_done)
    assert not (folder / "out/MANIFEST.json").exists()


def test_a_condition_of_the_user_is_no_damage(folder: Path) -> None:
    with pytest.raises(UnifiedVisualError) as caught:
        select(folder / "one", folder / "out", where="no_such_column = 1")
    assert "unfinished work" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1", b"[" * 100_000])
def test_what_a_finished_dataset_was_made_from_may_be_damaged_too(content: bytes, folder: Path) -> None:
    merged(folder)
    (folder / "out/.packed-from.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"out holds a dataset made from other files or with other options"):
        merged(folder)
    (folder / "one/.packed-from.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"one holds a dataset packed from other rows"):
        pack_rows(demo_rows("image_editing", 2), folder / "one")


@pytest.mark.parametrize("depth", [101, 300, 900, 100_000])
def test_a_manifest_that_is_nested_deeply_is_one_error_for_all_who_copy_it(depth: int, folder: Path) -> None:
    path = folder / "one/MANIFEST.json"
    text = path.read_text().replace('"skipped": {}', '"skipped": {"a": ' + "[" * depth + "]" * depth + "}")
    path.write_text(text)
    with pytest.raises(SourceError, match=r"MANIFEST.json: cannot be read"):
        merged(folder)
