"""Packing rows that a program makes: in one pass, checked, and never those of another call."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import unifiedvisual
from tests.replicas import truth
from tests.test_pack import SMALL, content
from toolkit.errors import RowError, UnknownName, UsageError
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.packing.verify import verify_packed
from toolkit.schema import table_to_rows
from toolkit.sources.repository import LocalFolder
from toolkit.sources.rows import RowsSource
from toolkit.tasks import Task
from unifiedvisual import pack_rows

EDITING, REASONING = truth()["image_editing"], truth()["cot_collection"]


def mixed():
    """Rows of two tasks in turn, once."""
    for pair in zip(EDITING, REASONING, strict=False):
        yield from pair


def ids(folder, task):
    paths = sorted((folder / "data" / task).glob("*.parquet"))
    return [row.id for path in paths for row in table_to_rows(pq.read_table(path))]


def test_rows_of_any_tasks_in_any_order_keep_the_order_of_their_task(tmp_path):
    manifest = pack_rows(mixed(), tmp_path / "out", SMALL, source="my program")
    assert manifest.source == {"repository": "my program", "revision": ""}
    assert list(manifest.tasks) == ["image_editing", "cot_collection"]
    assert len(manifest.tasks["image_editing"]) > 1
    assert ids(tmp_path / "out", "image_editing") == [row.id for row in EDITING]
    assert ids(tmp_path / "out", "cot_collection") == [row.id for row in REASONING]
    assert verify_packed(LocalFolder(tmp_path / "out"), deep=True).problems == ()
    assert len(list(unifiedvisual.load_dataset(str(tmp_path / "out"), split="train", streaming=True))) == 14
    assert not (tmp_path / "out/.staging").exists()


def test_the_shards_are_those_of_pack(tmp_path):
    pack_rows(mixed(), tmp_path / "out", SMALL)
    (tmp_path / "empty").mkdir()
    source = RowsSource(repository=LocalFolder(tmp_path / "empty"), pieces=[lambda: EDITING, lambda: REASONING])
    pack(source, tmp_path / "again", source.tasks, SMALL)
    assert content(tmp_path / "out/data") == content(tmp_path / "again/data")


def test_a_finished_folder_is_left_alone_for_the_same_rows_and_refused_for_others(tmp_path):
    manifest = pack_rows(mixed(), tmp_path / "out", SMALL)
    before = content(tmp_path / "out")
    assert pack_rows(mixed(), tmp_path / "out", SMALL) == manifest
    for rows in (EDITING, [*mixed(), replace(EDITING[0], id="ie-new")], [*EDITING, *REASONING]):
        with pytest.raises(UsageError, match="packed from other rows or with other options; choose another folder"):
            pack_rows(rows, tmp_path / "out", SMALL)
    with pytest.raises(UsageError, match="packed from other rows or with other options"):
        pack_rows(mixed(), tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_a_source_of_other_rows_is_refused_although_its_folder_is_the_same(tmp_path):
    (tmp_path / "empty").mkdir()
    pieces = {name: [lambda rows=rows: rows] for name, rows in {"few": EDITING[:3], "all": EDITING}.items()}
    few, whole = (RowsSource(repository=LocalFolder(tmp_path / "empty"), pieces=each) for each in pieces.values())
    assert pack(few, tmp_path / "out", few.tasks).total("rows") == 3
    with pytest.raises(UsageError, match="packed from other files, tasks or options"):
        pack(whole, tmp_path / "out", whole.tasks)


def failing():
    yield from EDITING
    raise OSError("the program broke")


def test_a_call_that_breaks_leaves_nothing_and_begins_anew(tmp_path):
    with pytest.raises(OSError, match="the program broke"):
        pack_rows(failing(), tmp_path / "out", PackOptions(shard_bytes=1, row_group_bytes=1))
    assert content(tmp_path / "out") == {}
    assert pack_rows(REASONING, tmp_path / "out").total("rows") == 7


def test_a_call_killed_while_it_ends_goes_on_with_the_same_rows_only(tmp_path, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("toolkit.packing.rows.end", killed)
        with pytest.raises(KeyboardInterrupt):
            pack_rows(mixed(), tmp_path / "out", SMALL)
    with pytest.raises(UsageError, match="holds other rows, half packed"):
        pack_rows(EDITING, tmp_path / "out", SMALL)
    pack_rows(mixed(), tmp_path / "out", SMALL)
    pack_rows(mixed(), tmp_path / "whole", SMALL)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_bad_rows_stop_or_are_counted(tmp_path):
    bad = {
        "bad_id": replace(EDITING[0], id="No Id"),
        "duplicate_id": EDITING[1],
        "bad_image": replace(EDITING[2], id="ie-x", images=(EDITING[2].images[0]._replace(bytes=b"<html>"),) * 2),
        "no_answer": RowError("a record without an answer", kind="no_answer"),
    }
    for kind, row in bad.items():
        with pytest.raises(RowError) as raised:
            pack_rows([*EDITING, row], tmp_path / "out")
        assert raised.value.kind == kind
    options = PackOptions(on_bad_row="skip", on_bad_image="skip")
    manifest = pack_rows([*EDITING, *bad.values()], tmp_path / "out", options)
    assert manifest.skipped == {"image_editing": dict.fromkeys(bad, 1)}
    assert manifest.total("rows") == len(EDITING)


def test_what_is_no_row_and_no_rows_at_all_are_errors(tmp_path):
    with pytest.raises(UsageError, match="dict where a row was expected"):
        pack_rows([EDITING[0].to_dict()], tmp_path / "out")
    with pytest.raises(UsageError, match="there is no row to pack"):
        pack_rows([], tmp_path / "out")


def test_tasks_of_ones_own_are_packed_with_their_definition(tmp_path):
    row = replace(REASONING[0], task="haiku")
    with pytest.raises(UnknownName, match="unknown task 'haiku'"):
        pack_rows([row], tmp_path / "out")
    pack_rows([row], tmp_path / "out", tasks=[Task(name="haiku", prefix="hk")])
    assert json.loads((tmp_path / "out/MANIFEST.json").read_text())["vocabulary"]["haiku"]["prefix"] == "hk"


def test_a_task_may_be_named_by_its_file_and_what_is_no_task_is_told(tmp_path):
    (tmp_path / "mine.py").write_text("from toolkit.tasks import Task\nSUMS = Task(name='sums', prefix='su')\n")
    row = replace(REASONING[0], task="sums")
    assert list(pack_rows([row], tmp_path / "out", tasks=[f"{tmp_path}/mine.py:SUMS"]).tasks) == ["sums"]
    with pytest.raises(UsageError, match="task is 3; expected its name: a known one, 'module:NAME' or"):
        pack_rows([row], tmp_path / "other", tasks=[3])


def test_limit_counts_rows_of_each_task(tmp_path):
    manifest = pack_rows(mixed(), tmp_path / "out", PackOptions(limit=2))
    assert {task: manifest.total("rows", [task]) for task in manifest.tasks} == {
        "image_editing": 2,
        "cot_collection": 2,
    }
