"""StreamingDataset and RowDataset on one process."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

import unifiedvisual
from tests.packed import numbered, pack_demo, pack_numbers, write_manifest, write_packed
from tests.replicas import replica, truth
from toolkit.collate.common import open_image
from toolkit.errors import ImageError, ShardError, UnifiedVisualError, UnknownName, UsageError
from toolkit.images import DecodePolicy, decode_image
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.indexed import RowDataset
from toolkit.streaming.mixture import Component
from toolkit.streaming.reading import RowGroups
from toolkit.streaming.slices import ImageSlice

TASKS = ("image_editing", "llava_cot", "cot_collection")
SHARDS = [[300, 7, 150], [1], [220, 90, 90, 41], [501]]  # 1,400 rows


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    return pack_demo(tmp_path_factory.mktemp("demo") / "packed", TASKS)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Path:
    return pack_numbers(tmp_path_factory.mktemp("numbers") / "packed", SHARDS)


def ids(dataset) -> list[str]:
    return [row["id"] for row in dataset]


def test_public_names_are_those_of_the_room():
    assert unifiedvisual.StreamingDataset is StreamingDataset
    assert unifiedvisual.RowDataset is RowDataset


def test_encoded_rows_are_those_that_were_packed(demo):
    expected = {row.id: row.to_dict() for task in TASKS for row in truth()[task]}
    rows = list(StreamingDataset(demo, decode=None))
    assert {row["id"]: row for row in rows} == expected
    assert len(rows) == len(expected)


def test_rows_keep_the_columns_of_the_record_in_order(demo):
    assert list(next(iter(StreamingDataset(demo, decode=None)))) == list(truth()[TASKS[0]][0].to_dict())


def test_pictures_are_those_of_the_rows(demo):
    for row in StreamingDataset(demo, "image_editing", shuffle=False):
        original = next(each for each in truth()["image_editing"] if each.id == row["id"])
        for picture, image in zip(row["images"], original.images, strict=True):
            assert np.array_equal(picture, decode_image(image.bytes, ""))


def test_pictures_suit_the_collators(demo):
    row = next(iter(StreamingDataset(demo, "image_editing")))
    assert isinstance(open_image(row["images"][0]), Image.Image)


def test_pictures_of_local_shards_are_not_held_in_memory(demo):
    dataset = RowDataset(demo, "image_editing", decode=None)
    held = dataset._read(dataset._rows.groups[0])
    assert all(isinstance(image, ImageSlice) for row in held for image in row["images"])


@pytest.fixture(scope="module")
def unequal(tmp_path_factory) -> Path:
    """Tasks of 400, 90 and 7 rows, in row groups of 20."""

    def groups(task: str, rows: int) -> list:
        ids = [f"{task}-{number}" for number in range(rows)]
        return [numbered(ids[first : first + 20], task) for first in range(0, rows, 20)]

    sizes = {"image_editing": 400, "llava_cot": 90, "cot_collection": 7}
    return write_packed(
        tmp_path_factory.mktemp("unequal") / "packed", {task: [groups(task, rows)] for task, rows in sizes.items()}
    )


def test_row_groups_are_read_once_and_every_task_comes_all_the_time(unequal, monkeypatch):
    read = []
    monkeypatch.setattr(
        RowGroups, "read", lambda self, group, real=RowGroups.read: read.append(group) or real(self, group)
    )
    dataset = StreamingDataset(unequal, columns=["id"], batch_size=8)
    tasks = [row["id"].partition("-")[0] for row in dataset]
    assert len(set(read)) == 20 + 5 + 1
    assert len(read) <= 26 + 3 * 3  # those that a cut between lanes goes through, three for each task, are read twice
    for sixth in (tasks[83 * part : 83 * (part + 1)] for part in range(6)):
        assert sixth.count("image_editing") == pytest.approx(400 / 6, abs=4)
        assert sixth.count("llava_cot") == pytest.approx(90 / 6, abs=4)
    assert tasks.index("cot_collection") < 150


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zstd"},
        {"use_dictionary": True},
        {"write_batch_size": 1, "data_page_size": 1000},
        {"data_page_version": "2.0"},
    ],
)
def test_any_way_of_writing_parquet_is_read(tmp_path, options):
    from tests.packed import split

    rows = truth()["image_editing"]
    folder = write_packed(tmp_path / "packed", {"image_editing": split([*rows, *rows], 5, 2)}, **options)
    assert [row["images"] for row in StreamingDataset(folder, shuffle=False, decode=None)] == [
        row.to_dict()["images"] for row in [*rows, *rows]
    ]


def test_only_the_columns_asked_for_are_there(demo):
    row = next(iter(StreamingDataset(demo, columns=["answer", "id"])))
    assert list(row) == ["answer", "id"]


def test_threads_change_nothing(demo):
    one, four = (list(StreamingDataset(demo, image_size=16, threads=threads)) for threads in (1, 4))
    assert [row["id"] for row in one] == [row["id"] for row in four]
    assert all(
        torch.equal(a, b) for x, y in zip(one, four, strict=True) for a, b in zip(x["images"], y["images"], strict=True)
    )


def test_epochs_differ_and_hold_every_row(numbers):
    dataset = StreamingDataset(numbers, columns=["id"])
    epochs = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        epochs.append(ids(dataset))
    assert epochs[0] == epochs[2] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(f"n-{number}" for number in range(1400))


def test_without_shuffle_rows_come_as_they_lie(numbers):
    assert ids(StreamingDataset(numbers, columns=["id"], shuffle=False)) == [f"n-{number}" for number in range(1400)]


def test_ranks_share_the_rows_evenly(numbers):
    shares = [StreamingDataset(numbers, columns=["id"], rank=rank, world_size=3, batch_size=8) for rank in range(3)]
    taken = [ids(share) for share in shares]
    assert [len(each) for each in taken] == [len(share) for share in shares] == [466] * 3
    assert len(set().union(*taken)) == 1398
    assert shares[0].odd_rows == -2


def test_a_state_is_small_and_plain(numbers):
    dataset = StreamingDataset(numbers, columns=["id"])
    assert len(json.dumps(dataset.state_dict())) < 1000


def test_a_state_of_other_data_is_refused(numbers, demo):
    with pytest.raises(UsageError, match="of other data"):
        StreamingDataset(demo).load_state_dict(StreamingDataset(numbers).state_dict())


@pytest.mark.parametrize(("name", "value"), [("num_rows", 2800), ("lanes", 1 << 30), ("taken", -5), ("epoch", 1 << 63)])
def test_a_damaged_state_is_refused_and_changes_nothing(numbers, name, value):
    dataset = StreamingDataset(numbers, columns=["id"])
    state = dataset.state_dict()
    with pytest.raises(UsageError):
        dataset.load_state_dict({**state, name: value})
    assert dataset.state_dict() == state


def test_a_state_fixes_seed_and_order(numbers):
    one = StreamingDataset(numbers, columns=["id"], seed=5, lanes=2, window=3)
    one.set_epoch(3)
    expected = ids(one)
    iterator = iter(one)
    first = [next(iterator)["id"] for _ in range(100)]
    other = StreamingDataset(numbers, columns=["id"], seed=6)
    other.load_state_dict(one.state_dict())
    assert first + ids(other) == expected
    assert other.epoch == 3


def test_a_resumed_epoch_is_followed_by_whole_ones(numbers):
    one = StreamingDataset(numbers, columns=["id"])
    iterator = iter(one)
    for _ in range(1000):
        next(iterator)
    other = StreamingDataset(numbers, columns=["id"])
    other.load_state_dict(one.state_dict())
    assert [len(ids(other)), len(ids(other))] == [400, 1400]
    other.set_epoch(1)
    one.set_epoch(1)
    assert ids(other) == ids(one)


def test_mixtures_resume_and_report(numbers, tmp_path):
    parts = [
        Component(path=str(numbers), weight=3),
        Component(path=str(pack_numbers(tmp_path / "b", [[100, 100]], prefix="b")), weight=1),
    ]
    whole = ids(StreamingDataset(parts, columns=["id"], stop=4000))
    assert sum(id_.startswith("b") for id_ in whole) == 1000
    one, other = (StreamingDataset(parts, columns=["id"], stop=4000) for _ in range(2))
    iterator = iter(one)
    first = [next(iterator)["id"] for _ in range(1234)]
    other.load_state_dict(one.state_dict())
    assert first + ids(other) == whole
    assert [(line["weight"], line["drawn"], line["realised"]) for line in one.proportions()] == [
        (3, 3000, 0.75),
        (1, 1000, 0.25),
    ]


def test_proportions_are_those_of_a_mixture(numbers):
    with pytest.raises(UsageError, match="pass Components"):
        StreamingDataset(numbers).proportions()


def test_a_bad_picture_names_its_row(tmp_path):
    folder = write_packed(tmp_path / "bad", {"llava_cot": [[numbered(["lc-1"], "llava_cot", b"<html>")]]})
    with pytest.raises(ImageError, match=r"llava_cot: row 'lc-1': images\[0\]: an HTML page"):
        list(StreamingDataset(folder))
    with pytest.raises(
        ImageError, match=r"train-00000-of-00001.parquet: row group 0, row 0: images\[0\]: an HTML page"
    ):
        list(StreamingDataset(folder, columns=["images"]))


def test_rows_with_bad_pictures_are_skipped_and_counted(tmp_path):
    good = truth()["llava_cot"][0].images[0].bytes
    tables = [numbered([f"lc-{number}"], "llava_cot", good if number % 2 else b"<html>") for number in range(6)]
    folder = write_packed(tmp_path / "bad", {"llava_cot": [[pa.concat_tables(tables)]]})
    dataset = StreamingDataset(folder, policy=DecodePolicy(on_bad="skip"))
    assert sorted(ids(dataset)) == ["lc-1", "lc-3", "lc-5"]
    assert dataset.bad_images == {"not_an_image": 3}
    with pytest.raises(UsageError, match="hangs training"):
        StreamingDataset(folder, policy=DecodePolicy(on_bad="skip"), rank=0, world_size=2)


def test_the_layout_as_published_is_to_be_packed_first(tmp_path):
    folder = replica(tmp_path / "published", "conversations", tasks=("image_editing",))
    with pytest.raises(UsageError, match=r"run: unifiedvisual pack .*published FOLDER"):
        StreamingDataset(folder)


def test_a_config_without_rows_lists_what_is_there(demo):
    with pytest.raises(
        UnifiedVisualError, match="no rows of config 'mm_internet'; it has: image_editing, llava_cot, cot_collection"
    ):
        StreamingDataset(demo, "mm_internet")


def test_unknown_names_are_refused(demo):
    with pytest.raises(UnknownName, match="unknown config 'pictures'"):
        StreamingDataset(demo, "pictures")
    with pytest.raises(UnknownName, match="unknown column 'image'"):
        StreamingDataset(demo, columns=["image"])
    with pytest.raises(UsageError, match="expected both or neither"):
        StreamingDataset(demo, rank=1)


def test_a_shard_that_is_not_that_of_the_manifest_is_refused(tmp_path):
    folder = pack_numbers(tmp_path / "a", [[5, 5]])
    manifest = json.loads((folder / "MANIFEST.json").read_bytes())
    manifest["shards"][0]["row_groups"] = [6, 4]
    write_manifest(folder, manifest)
    with pytest.raises(ShardError, match="row group 1: 5 rows; the manifest says 4 rows"):
        RowDataset(folder)[7]


def test_row_dataset_reads_rows_by_number(numbers):
    dataset = RowDataset(numbers, columns=["id"])
    assert len(dataset) == 1400
    assert [dataset[number]["id"] for number in (0, 299, 300, 1399, -1)] == [
        "n-0",
        "n-299",
        "n-300",
        "n-1399",
        "n-1399",
    ]
    with pytest.raises(IndexError):
        dataset[1400]


def test_sampler_gives_the_order_of_the_stream(numbers):
    rows = RowDataset(numbers, columns=["id"])
    sampler = rows.sampler(seed=3, batch_size=8, rank=1, world_size=2)
    stream = StreamingDataset(numbers, columns=["id"], seed=3, batch_size=8, rank=1, world_size=2)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        stream.set_epoch(epoch)
        assert [rows[number]["id"] for number in sampler] == ids(stream)
        assert len(sampler) == len(stream)


def test_sampler_resumes_once(numbers):
    sampler = RowDataset(numbers).sampler(batch_size=8)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.resume(epoch=2, batches=5)
    assert list(sampler) == whole[40:]
    assert list(sampler) == whole


def test_row_dataset_needs_a_row_for_every_number(demo):
    with pytest.raises(UsageError, match="leaves numbers without rows"):
        RowDataset(demo, policy=DecodePolicy(on_bad="skip"))


def test_arguments_are_there_to_be_read_and_not_to_be_changed(numbers):
    dataset = StreamingDataset(numbers, decode=None, batch_size=3)
    assert (dataset.batch_size, dataset.seed, dataset.name) == (3, 0, "all")
    with pytest.raises(UsageError, match="seed of a StreamingDataset that is open cannot be changed"):
        dataset.seed = 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"policy": "skip"}, r"policy is 'skip'; expected a DecodePolicy, as DecodePolicy\(on_bad='skip'\)"),
        ({"threads": 0}, "threads is 0; expected a whole number of at least 1"),
        ({"threads": 1.5}, "threads is 1.5; expected a whole number"),
        ({"ahead": -1}, "ahead is -1; expected a whole number of at least 0"),
        ({"image_size": 1.5}, "image_size is 1.5; expected a number of pixels, or height and width"),
        ({"image_size": (8, 0.5)}, "image_size is"),
    ],
)
def test_what_is_no_such_argument_is_said_at_once(numbers, argument, message):
    with pytest.raises(UsageError, match=message):
        StreamingDataset(numbers, **argument)
