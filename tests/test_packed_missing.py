"""A packed dataset without some of the shards that its manifest names, as a download that was stopped leaves it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import unifiedvisual
from conversion import convert
from toolkit.demo.rows import demo_rows
from toolkit.errors import SourceError
from toolkit.packing.pack import pack
from toolkit.packing.rows import pack_rows
from toolkit.sources.layout import choose_tasks, open_source

MESSAGE = "not there, though MANIFEST.json names them: 'data/mm_internet/train-00000-of-00001.parquet'; fetch them, or"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Two tasks, of which one is missing."""
    rows = [row for task in ("image_editing", "mm_internet") for row in demo_rows(task, 2)]
    pack_rows(rows, tmp_path / "packed")
    shutil.rmtree(tmp_path / "packed/data/mm_internet")
    return tmp_path / "packed"


READERS: dict[str, Callable[[Path, Path], object]] = {
    "pack": lambda packed, out: pack(open_source(packed), out, ["image_editing", "mm_internet"]),
    "convert": lambda packed, out: convert(packed, "messages", out),
    "load_dataset": lambda packed, out: unifiedvisual.load_dataset(str(packed), split="train", streaming=True),
    "rows": lambda packed, out: list(open_source(packed).read("mm_internet")),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_reads_all_of_it_names_what_is_missing(reader: str, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=MESSAGE):
        READERS[reader](packed, tmp_path / "out")
    assert not list(tmp_path.glob("out/*.json"))


def test_tasks_that_are_whole_are_read(packed: Path) -> None:
    source = open_source(packed)
    assert choose_tasks(source, ["all"]) == ["image_editing", "mm_internet"]
    assert len(list(source.read("image_editing"))) == 2
    assert len(unifiedvisual.load_dataset(str(packed), "image_editing", split="train")) == 2


def test_without_a_manifest_what_is_there_is_all(packed: Path) -> None:
    (packed / "MANIFEST.json").unlink()
    assert choose_tasks(open_source(packed), ["all"]) == ["image_editing"]
