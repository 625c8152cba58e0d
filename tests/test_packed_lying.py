"""What reads a packed dataset, over a few of the lies that `benchmarks/lying.py` tells."""

import shutil

import pytest

from tests.packed_lying import LIES, shards_of, write_good
from tests.packed_readers import CHECK, FINE, READERS, REFUSED, faults, read_by

TOLD = (
    "manifest: shards.0.rows is 2^63",
    "manifest: source is nested",
    "row: answer null",
    "row: license not UTF-8",
    "row: images of SVG",
    "row: no rows",
    "row: columns in another order",
    "file: a shard is a FIFO",
)  # fmt: skip


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_good(tmp_path_factory.mktemp("good") / "packed")


@pytest.mark.parametrize("lie", TOLD)
def test_no_reader_breaks_and_what_verify_calls_fine_all_read(good, tmp_path, lie):
    source = tmp_path / "source"
    shutil.copytree(good, source)
    LIES[lie](source)
    assert faults(read_by(READERS, source, tmp_path)) == {}


def test_a_reader_that_breaks_or_refuses_what_is_fine_or_counts_other_rows_is_seen():
    fine = {CHECK: (FINE, ""), "load_dataset": (FINE, "8 rows")}
    assert [*faults({**fine, "stats": ("KeyError", "")})] == ["stats"]
    assert [*faults({**fine, "stats": (REFUSED, "")})] == ["stats"]
    assert [*faults({**fine, "RowDataset": (FINE, "7 rows")})] == ["load_dataset", "RowDataset"]
    assert faults({**fine, CHECK: (REFUSED, ""), "stats": (REFUSED, "")}) == {}


def test_lies_are_told_of_datasets_with_several_shards_and_row_groups(good):
    assert len(shards_of(good)) == 5
    assert len(LIES) > 700
