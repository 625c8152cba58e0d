"""Lengths of rows, measured once: those of the collator, for any number of workers, kept apart by collator."""

from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from tests.damage import Stopped, bytes_of, changed_to, stop
from tests.packed import pack_demo, split, write_packed
from tests.replicas import truth
from toolkit.collate import get_collator
from toolkit.collate.lengths import measure_lengths
from toolkit.demo.tiny_models import tiny_llava
from toolkit.errors import RowError, SourceError, UsageError
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.lengths import StoredLengths

TASKS = ("image_editing", "cot_collection")


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    return pack_demo(tmp_path_factory.mktemp("lengths") / "packed", TASKS)


def llava(**options):
    return get_collator("understanding", processor=tiny_llava().processor, **options)


def lengths_of(folder: Path) -> dict[str, int]:
    """As the batches of rows alone have them."""
    rows = StreamingDataset(folder, decode=None)
    collate = llava()
    return {row["id"]: collate([row])["input_ids"].shape[1] for row in rows}


@pytest.mark.parametrize("workers", [1, 2])
def test_lengths_are_those_of_the_collators_batches(packed, tmp_path, workers):
    told = []
    done = measure_lengths(packed, llava(), tmp_path / "lengths", workers=workers, on_rows=told.append)
    expected = lengths_of(packed)
    stored = StoredLengths(tmp_path / "lengths")
    assert {id_: length.num_tokens for id_, length in zip(expected, stored.of(list(expected)), strict=True)} == expected
    assert (done.measured, done.known, done.left_out) == (len(expected), 0, {})
    assert (sum(told), stored.revision, len(stored)) == (len(expected), llava().revision, len(expected))
    assert [path.name[:8] for path in (tmp_path / "lengths").iterdir()] == ["lengths-"]


def test_a_file_of_a_shard_that_is_damaged_between_runs_is_made_again(packed, tmp_path, monkeypatch):
    measure_lengths(packed, llava(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.collate.lengths._publish", stop)
        with pytest.raises(Stopped):
            measure_lengths(packed, llava(), tmp_path / "out")
    changed_to(next((tmp_path / "out/.staging").glob("*/lengths.parquet")), "one bit")
    measure_lengths(packed, llava(), tmp_path / "out")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_rows_that_are_there_are_not_measured_again(packed, tmp_path, monkeypatch):
    measure_lengths(packed, llava(), tmp_path / "lengths", name="cot_collection")
    done = measure_lengths(packed, llava(), tmp_path / "lengths")
    assert (done.known, done.measured) == tuple(len(truth()[task]) for task in ("cot_collection", "image_editing"))
    again = measure_lengths(packed, llava(), tmp_path / "lengths")
    assert (again.known, again.measured) == (done.known + done.measured, 0)
    assert len(list((tmp_path / "lengths").iterdir())) == 2


def test_batches_are_made_of_stored_lengths(packed, tmp_path):
    measure_lengths(packed, llava(), tmp_path / "lengths")
    expected = lengths_of(packed)
    budget = max(expected.values()) - 1
    too_long = sum(length > budget for length in expected.values())
    dataset = StreamingDataset(packed, decode=None, max_tokens=budget, lengths=tmp_path / "lengths")
    assert dataset.left_out == {"too_long": too_long}
    collate = llava()
    batches = [collate(rows)["input_ids"] for rows in dataset]
    assert all(batch.numel() <= budget for batch in batches)
    assert sum(len(batch) for batch in batches) == len(expected) - too_long


def test_lengths_of_another_collator_are_kept_apart(packed, tmp_path):
    part = "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}"
    parts = "{% for p in m['content'] %}" + part + "{% endfor %}"
    other = llava(chat_template="{% for m in messages %}{{ m['role'] }}" + parts + "</s>{% endfor %}")
    assert other.revision != llava().revision
    measure_lengths(packed, llava(), tmp_path / "lengths")
    measure_lengths(packed, other, tmp_path / "lengths")
    with pytest.raises(SourceError, match=r"holds lengths of collators .*; expected 'exactly one'"):
        StoredLengths(tmp_path / "lengths")
    with pytest.raises(SourceError, match="holds no lengths; run measure_lengths first"):
        StoredLengths(tmp_path / "elsewhere")
    mine, theirs = (StoredLengths(tmp_path / "lengths", revision=each.revision) for each in (llava(), other))
    ids = [row.id for row in truth()["cot_collection"]]
    assert mine.of(ids) != theirs.of(ids)


def test_rows_that_cannot_be_encoded_are_left_out_and_counted(tmp_path):
    rows = truth()["image_editing"]
    tables = split(rows, 4, 2)
    images = [[{"bytes": b"none", "path": ""}] * len(row.images) for row in rows[:2]]
    first = tables[0][0]
    place = first.schema.get_field_index("images")
    kept = first["images"].to_pylist()[2:]
    tables[0][0] = first.set_column(place, first.schema.field("images"), [[*images, *kept]])
    folder = write_packed(tmp_path / "packed", {"image_editing": tables})
    with pytest.raises(RowError, match=f"row {rows[0].id!r}"):
        measure_lengths(folder, llava(), tmp_path / "lengths")
    done = measure_lengths(folder, llava(), tmp_path / "skipped", on_bad_row="skip")
    assert done.left_out == {"not_an_image": 2}
    dataset = StreamingDataset(folder, decode=None, max_tokens=10_000, lengths=tmp_path / "skipped")
    assert dataset.left_out == {"not_an_image": 2}
    assert sum(map(len, dataset)) == len(rows) - 2


def test_a_row_that_was_not_measured_is_named(packed, tmp_path):
    measure_lengths(packed, llava(), tmp_path / "lengths", name="cot_collection")
    with pytest.raises(UsageError, match=r"no length of row 'ie-\d+'; run measure_lengths on these rows"):
        StreamingDataset(packed, max_tokens=5000, lengths=tmp_path / "lengths")
    with pytest.raises(SourceError, match="run measure_lengths first"):
        StreamingDataset(packed, max_tokens=5000, lengths=tmp_path / "nothing")


@pytest.mark.parametrize("workers", [0, 2])
def test_long_rows_do_not_end_training_with_batches_of_one(packed, tmp_path, workers):
    expected = lengths_of(packed)
    limit = sorted(expected.values())[len(expected) // 2]
    measure_lengths(packed, llava(), tmp_path / "lengths")
    collate = llava(max_length=limit)  # raises, were there one
    dataset = StreamingDataset(
        packed, decode=None, lengths=tmp_path / "lengths", where=lambda row: row["num_tokens"] <= limit
    )
    batches = list(DataLoader(dataset, batch_size=1, num_workers=workers, collate_fn=collate))
    assert len(batches) == sum(length <= limit for length in expected.values())
    assert dataset.left_out == {"where": len(expected) - len(batches)}
