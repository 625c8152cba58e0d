"""Rows left out before they are ordered: by a predicate, by an expression, by a held-out split."""

import itertools
import math
import pickle
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest
from torch.utils.data import DataLoader

from tests.packed import numbered, pack_demo, pack_numbers, write_packed
from tests.replicas import truth
from toolkit.errors import UnifiedVisualError, UsageError
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.indexed import RowDataset
from toolkit.streaming.mixture import Component

SHARDS = [[300, 7, 150], [1], [220, 90, 90, 41], [501]]  # 1,400 rows
IDS = {f"n-{number}" for number in range(1400)}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Path:
    return pack_numbers(tmp_path_factory.mktemp("numbers") / "packed", SHARDS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    return pack_demo(tmp_path_factory.mktemp("demo") / "packed", ("image_editing", "llava_cot", "cot_collection"))


def ids(dataset) -> list[str]:
    return [row["id"] for row in dataset]


def is_even(row: dict) -> bool:
    return int(row["id"].partition("-")[2]) % 2 == 0


def test_a_predicate_keeps_rows_and_counts_the_others(numbers):
    dataset = StreamingDataset(numbers, where=is_even, columns=["id"])
    assert sorted(ids(dataset)) == sorted(f"n-{number}" for number in range(0, 1400, 2))
    assert (dataset.left_out, dataset.num_rows, len(dataset)) == ({"where": 700}, 700, 700)
    assert StreamingDataset(numbers).left_out == {}


def test_a_predicate_sees_all_columns_but_the_pictures(demo):
    seen = []
    StreamingDataset(demo, "image_editing", where=lambda row: seen.append(row) or True, columns=["id"])
    expected = [row.to_dict() for row in truth()["image_editing"]]
    assert seen == [{name: value for name, value in row.items() if name != "images"} for row in expected]


def test_an_expression_keeps_what_the_same_predicate_keeps(demo):
    lengths = sorted(len(row.rationale) for row in truth()["image_editing"])
    limit = lengths[len(lengths) // 2]
    expected = sorted(row.id for row in truth()["image_editing"] if len(row.rationale) < limit)
    assert 0 < len(expected) < len(lengths)
    for where in (pc.utf8_length(pc.field("rationale")) < limit, lambda row: len(row["rationale"]) < limit):
        assert sorted(ids(StreamingDataset(demo, "image_editing", where=where, columns=["id"]))) == expected


@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}])  # pictures left in the file, and read whole
def test_pictures_are_those_of_the_rows_that_are_kept(tmp_path, options):
    table = [numbered([f"n-{n}" for n in range(start, start + 5)], "image_editing", b"x") for start in (0, 5)]
    pictured = [
        part.set_column(
            part.schema.get_field_index("images"),
            part.schema.field("images"),
            [[[{"bytes": id_.encode(), "path": ""}] for id_ in part["id"].to_pylist()]],
        )
        for part in table
    ]
    folder = write_packed(tmp_path / "packed", {"image_editing": [pictured]}, **options)
    rows = list(StreamingDataset(folder, where=is_even, decode=None))
    assert sorted(row["id"] for row in rows) == ["n-0", "n-2", "n-4", "n-6", "n-8"]
    assert all(row["images"] == [{"bytes": row["id"].encode(), "path": ""}] for row in rows)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_batches_of_what_is_kept_are_full_for_any_number_of_workers(numbers, workers, batch_size):
    dataset = StreamingDataset(numbers, where=is_even, columns=["id"], batch_size=batch_size)
    batches = list(DataLoader(dataset, batch_size, num_workers=workers, collate_fn=ids))
    assert [len(batch) for batch in batches] == [batch_size] * (700 // batch_size) + [4] * (batch_size == 8)
    assert dataset.left_out == {"where": 700}


def test_ranks_are_even_over_what_is_kept(numbers):
    ranks = [
        ids(StreamingDataset(numbers, where=lambda row: row["id"] < "n-3", columns=["id"], rank=rank, world_size=3))
        for rank in range(3)
    ]
    assert len({len(part) for part in ranks}) == 1
    assert sum(map(len, ranks)) == sum(id_ < "n-3" for id_ in IDS) // 3 * 3


def test_a_state_of_other_rows_is_refused_and_of_the_same_rows_resumes(numbers):
    def make(rest: int) -> StreamingDataset:
        return StreamingDataset(numbers, where=lambda row: int(row["id"][2:]) % 2 == rest, columns=["id"])

    dataset = make(0)
    head = ids(itertools.islice(dataset, 123))
    again = make(0)
    again.load_state_dict(dataset.state_dict())
    assert head + ids(again) == ids(make(0))
    with pytest.raises(UsageError, match="the state is of other data"):
        make(1).load_state_dict(dataset.state_dict())  # as many rows, but others


def test_a_dataset_with_a_predicate_travels_to_spawned_workers(numbers):
    dataset = StreamingDataset(numbers, where=lambda row: is_even(row), columns=["id"])
    assert ids(pickle.loads(pickle.dumps(dataset))) == ids(dataset)


@pytest.mark.parametrize("chosen", [{"where": is_even}, {"lengths": lambda row: 5, "max_tokens": 20}])
def test_another_dataset_made_from_a_copy_never_has_other_rows(numbers, chosen):
    dataset = StreamingDataset(numbers, columns=["id"], **chosen)
    assert replace(dataset, seed=1).num_rows == dataset.num_rows
    copied = pickle.loads(pickle.dumps(dataset))
    assert copied.num_rows == dataset.num_rows
    with pytest.raises(UsageError, match=r"has its rows, but not what chose them; pass where= and lengths= again"):
        replace(copied, seed=1)
    assert replace(copied, seed=1, **chosen).num_rows == dataset.num_rows


def test_a_predicate_that_fails_names_the_row_and_the_columns(numbers):
    with pytest.raises(UsageError, match=r"row 'n-0': where= raised KeyError: 'images'; it gets the columns id, task"):
        StreamingDataset(numbers, where=lambda row: row["images"])
    with pytest.raises(UsageError, match=r"No match for FieldRef.*expected a condition over the columns id, task"):
        StreamingDataset(numbers, where=pc.field("length") < 3)


def test_a_predicate_that_keeps_nothing_is_an_error(numbers):
    with pytest.raises(UnifiedVisualError, match=r"no row is left; left out: \{'where': 1400\}; check where="):
        StreamingDataset(numbers, where=lambda row: False)


def test_no_training_order_touches_what_is_held_out(numbers):
    held_out = set(ids(StreamingDataset(numbers, holdout=0.1, split="holdout", columns=["id"])))
    assert len(held_out) == pytest.approx(140, abs=3.5 * math.sqrt(1400 * 0.1 * 0.9))
    options = ({}, {"shuffle": False}, {"seed": 1}, {"lanes": 16, "batch_size": 8}, {"rank": 1, "world_size": 2})
    for epoch, option in itertools.product((0, 1), options):
        dataset = StreamingDataset(numbers, holdout=0.1, columns=["id"], **option)
        dataset.set_epoch(epoch)
        assert held_out.isdisjoint(ids(dataset))
        assert dataset.left_out == {"holdout": len(held_out)}
    mixture = [Component(path=str(numbers), weight=weight) for weight in (3, 1)]
    assert held_out.isdisjoint(ids(StreamingDataset(mixture, holdout=0.1, columns=["id"], stop="all_exhausted")))
    rows = RowDataset(numbers, holdout=0.1, columns=["id"])
    assert {rows[number]["id"] for number in range(len(rows))} == IDS - held_out


def test_what_is_held_out_depends_on_ids_and_seed_alone(numbers, tmp_path):
    def held_out(folder: Path, **options) -> set[str]:
        rows = RowDataset(folder, columns=["id"], **{"holdout": 0.1, "split": "holdout", **options})
        assert rows.left_out == {"train": 1400 - len(rows)}
        return {rows[number]["id"] for number in range(len(rows))}

    cut_otherwise = pack_numbers(tmp_path / "packed", [[700, 700]])
    assert held_out(numbers) == held_out(cut_otherwise) != held_out(numbers, holdout_seed=1)
    assert held_out(numbers) < held_out(numbers, holdout=0.2)


def test_a_predicate_and_a_held_out_split_count_each_row_once(numbers):
    dataset = StreamingDataset(numbers, where=is_even, holdout=0.5, columns=["id"])
    assert dataset.left_out["where"] == 700
    assert dataset.num_rows + sum(dataset.left_out.values()) == 1400


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 1.0}, "holdout is 1.0; expected a share of the rows"),
        ({"holdout": "a"}, "holdout is 'a'; expected a share of the rows"),
        ({"holdout": 0.1, "split": "dev"}, "split is 'dev'; expected one of 'train', 'holdout', 'validation', 'test'"),
        ({"holdout": 0.1, "split": "test"}, "split='test' is one that the dataset has; holdout= takes rows of train"),
        ({"split": "holdout"}, "needs holdout="),
    ],
)
def test_a_split_that_cannot_be_is_refused(numbers, options, message):
    with pytest.raises(UsageError, match=message):
        StreamingDataset(numbers, **options)


def test_a_held_out_split_reads_nothing_but_ids(numbers, monkeypatch):
    import pyarrow.parquet as pq

    columns = []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_group",
        lambda *args, **kwargs: columns.append(kwargs["columns"]) or read(*args, **kwargs),
    )
    StreamingDataset(numbers, holdout=0.1)
    assert columns == [["id"]] * 9
