"""Importing into a folder: resumed, left alone when it is finished, never taken for another import."""

import json

import pytest

from conversion import convert, import_source
from tests.packed import pack_demo
from tests.test_pack import content
from toolkit.errors import PartDone, UsageError
from toolkit.packing.pack import pack
from toolkit.packing.verify import verify_packed
from toolkit.sources.repository import LocalFolder


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two tars of a task each."""
    folder = tmp_path_factory.mktemp("records")
    pack_demo(folder / "packed", ["image_editing", "cot_collection"])
    convert(folder / "packed", "webdataset", folder / "tars")
    return folder / "tars"


def import_to(out, source, name="webdataset", part=None, workers=1, **options):
    rows = import_source(name, source, options=options, out=out)
    return pack(rows, out, rows.tasks, part=part, workers=workers)


def write_record(folder, text):
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": text}]
    (folder / "train.json").write_text(json.dumps([{"id": "a", "conversations": turns}]))


def test_processes_and_parts_make_what_one_process_makes(records, tmp_path):
    import_to(tmp_path / "whole", records)
    import_to(tmp_path / "two", records, workers=2)
    for part in (0, 1):
        with pytest.raises(PartDone):
            import_to(tmp_path / "parts", records, part=(part, 2))
    import_to(tmp_path / "parts", records)
    assert content(tmp_path / "two") == content(tmp_path / "parts") == content(tmp_path / "whole")
    assert verify_packed(LocalFolder(tmp_path / "whole")).problems == ()


def test_a_folder_beside_the_records_is_left_alone_when_it_is_finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_record(tmp_path, "That.")
    for _ in range(2):
        manifest = import_to(tmp_path / "packed", tmp_path / "train.json", "llava", task="llava_cot")
        assert manifest.total("rows") == 1


def test_other_options_or_records_are_another_import(tmp_path):
    write_record(tmp_path, "That.")
    import_to(tmp_path / "packed", tmp_path / "train.json", "llava", task="llava_cot")
    with pytest.raises(UsageError, match="packed from other files, tasks or options"):
        import_to(tmp_path / "packed", tmp_path / "train.json", "llava", task="cot_collection")
    write_record(tmp_path, "This.")
    with pytest.raises(UsageError, match="packed from other files, tasks or options"):
        import_to(tmp_path / "packed", tmp_path / "train.json", "llava", task="llava_cot")


def test_an_output_that_is_the_input_is_refused(records, tmp_path):
    before = content(records)
    with pytest.raises(UsageError, match="is what is read; choose another folder"):
        import_to(records, records)
    assert content(records) == before
