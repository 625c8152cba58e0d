"""Rows chosen from a packed dataset: which, in which split, and with the bytes that packing them would give."""

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import chain

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from dataset_card import write_card
from tests.replicas import truth
from tests.test_pack import content
from toolkit.cli.select import parse_split
from toolkit.curation.components import components
from toolkit.errors import PartDone, UnifiedVisualError, UsageError
from toolkit.packing.stage import PackOptions
from toolkit.packing.verify import verify_packed
from toolkit.sources.repository import LocalFolder
from unifiedvisual import RowDataset, StreamingDataset, load_dataset, merge, pack_rows, select

EDITING, REASONING, LLAVA = (truth()[task] for task in ("image_editing", "cot_collection", "llava_cot"))
SMALL = PackOptions(shard_bytes=30_000, row_group_bytes=10_000)
SIZES = {"shard_bytes": SMALL.shard_bytes, "row_group_bytes": SMALL.row_group_bytes}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("select") / "packed"
    pack_rows([*EDITING, *REASONING, *LLAVA], folder, SMALL)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """400 rows of text; 40 of which show one of ten pictures, and four rows each."""
    folder = tmp_path_factory.mktemp("select") / "many"
    texts = [replace(REASONING[n % 7], id=f"t-{n:03d}") for n in range(360)]
    shown = []
    for n in range(40):
        row = LLAVA[0]
        image = row.images[0]._replace(bytes=row.images[0].bytes + bytes([n % 10]))
        shown.append(replace(row, id=f"p-{n:03d}", images=(image,)))
    pack_rows([*shown, *texts], folder, PackOptions(row_group_bytes=20_000, shard_bytes=60_000))
    return folder


def ids(folder, split=""):
    paths = sorted((folder / "data").rglob(f"{split}*.parquet"))
    return [id for path in paths for id in pq.read_table(path, columns=["id"])["id"].to_pylist()]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("id LIKE '%-0003'", ["cc-0003", "ie-0003", "lc-0003"]),
        ("task = 'llava_cot' AND num_images = 1 AND id < 'lc-0002'", ["lc-0000", "lc-0001"]),
        ("length(instruction) = (SELECT max(length(instruction)) FROM rows)", ["cc-0002"]),
        ("image_roles[1] = 'input' AND messages[1].content[1].type = 'image' AND id = 'ie-0001'", ["ie-0001"]),
        ("list_max(image_widths) < 300 and id < 'l'", ["ie-0000", "ie-0006"]),
    ],
)
def test_where_is_sql_over_all_rows_and_facts_of_pictures(packed, tmp_path, where, kept):
    from PIL import Image  # an independent reader, for what is expected

    manifest = select(packed, tmp_path / "out", where=where, **SIZES)
    rows = [*EDITING, *REASONING, *LLAVA]
    if "max(length" in where:
        kept = sorted(r.id for r in rows if len(r.instruction) == max(len(r.instruction) for r in rows))
    if "widths" in where:
        import io

        kept = [r.id for r in EDITING if max(Image.open(io.BytesIO(i.bytes)).width for i in r.images) < 300]
    assert sorted(ids(tmp_path / "out")) == kept
    assert sum(count for reasons in manifest.skipped.values() for count in reasons.values()) == 21 - len(kept)


def test_what_stays_has_the_bytes_that_packing_it_gives(packed, tmp_path):
    select(packed, tmp_path / "out", where="id NOT LIKE '%-0003'", **SIZES)
    pack_rows(
        (row for row in [*EDITING, *REASONING, *LLAVA] if not row.id.endswith("-0003")), tmp_path / "again", SMALL
    )
    assert content(tmp_path / "out/data") == content(tmp_path / "again/data")
    assert verify_packed(LocalFolder(tmp_path / "out"), deep=True).problems == ()


def test_shards_of_which_all_rows_stay_are_links(packed, tmp_path):
    manifest = select(packed, tmp_path / "out", where="id <> 'ie-0006'", **SIZES)
    linked = [shard.path for shard in manifest.shards if (packed / shard.path).exists()]
    assert any((packed / path).samefile(tmp_path / "out" / path) for path in linked)
    assert manifest.skipped == {"image_editing": {"where": 1}}
    assert len(ids(tmp_path / "out")) == 20


def test_tasks_samples_and_rows_of_each_task(many, packed, tmp_path):
    assert len(ids_of(select, packed, tmp_path / "a", tasks=["understanding"])) == 14
    some = ids_of(select, many, tmp_path / "b", sample=50)
    assert len(some) == 50
    assert some == sorted(some, key=lambda id: (id[0] == "p", id))  # in the order of the source; tasks by name
    assert ids_of(select, many, tmp_path / "c", sample=50, seed=1) != some
    assert len(ids_of(select, many, tmp_path / "d", per_task=30)) == 60
    share = {id for id in ids(many) if int(hashlib.md5(f"0 sample {id}".encode()).hexdigest(), 16) < 0.25 * 2**128}
    assert set(ids_of(select, many, tmp_path / "e", sample=0.25)) == share


def ids_of(call, source, out, **options):
    call(source, out, **options)
    return ids(out)


def test_rows_with_large_pictures_are_left_out(packed, tmp_path):
    sizes = {row.id: max(len(image.bytes) for image in row.images) for row in (*EDITING, *LLAVA)}
    most = sorted(sizes.values())[6]
    manifest = select(packed, tmp_path / "out", max_image_bytes=most, **SIZES)
    assert set(ids(tmp_path / "out")) == {id for id, size in sizes.items() if size <= most} | {r.id for r in REASONING}
    assert sum(reasons["picture_too_large"] for reasons in manifest.skipped.values()) == sum(
        size > most for size in sizes.values()
    )


def test_splits_go_by_the_id_and_stay_as_the_dataset_grows(many, tmp_path):
    shares = {"train": 0.7, "validation": 0.2, "test": 0.1}
    manifest = select(many, tmp_path / "out", split=shares, where="id < 'u'")
    split_of = {id: split for split in shares for id in ids(tmp_path / "out", split)}
    assert len(split_of) == 400
    counts = Counter(split for id, split in split_of.items() if id.startswith("t"))
    assert {split: round(count / 360, 1) for split, count in counts.items()} == shares
    for id, split in split_of.items():  # an independent hash
        if id.startswith("t"):
            chance = int(hashlib.md5(f"0 split {id}".encode()).hexdigest(), 16) / 2**128
            assert split == ("train" if chance < 0.7 else "validation" if chance < 0.9 else "test")
    select(many, tmp_path / "fewer", split=shares, where="id >= 't-100'")
    assert {id: split for split in shares for id in ids(tmp_path / "fewer", split)} == {
        id: split for id, split in split_of.items() if id >= "t-100"
    }
    assert set(manifest.splits) == set(shares)
    assert verify_packed(LocalFolder(tmp_path / "out")).problems == ()


def test_rows_that_share_a_picture_stay_in_one_split(many, tmp_path):
    select(many, tmp_path / "out", split={"train": 0.5, "validation": 0.5})
    split_of = {id: split for split in ("train", "validation") for id in ids(tmp_path / "out", split)}
    groups = [{split_of[f"p-{n:03d}"] for n in range(first, 40, 10)} for first in range(10)]
    assert all(len(group) == 1 for group in groups)
    assert len(set(chain(*groups))) == 2


def test_every_reader_knows_the_splits(many, tmp_path):
    select(many, tmp_path / "out", split={"train": 0.8, "validation": 0.2})
    write_card(tmp_path / "out")
    counts = {split: len(ids(tmp_path / "out", split)) for split in ("train", "validation")}
    plain = datasets.load_dataset(str(tmp_path / "out"), "all")
    assert {split: len(rows) for split, rows in plain.items()} == counts
    ours = load_dataset(str(tmp_path / "out"), split="validation", streaming=True)
    assert len(list(ours)) == counts["validation"]
    streamed = StreamingDataset(tmp_path / "out", decode=None)
    assert sorted(row["id"] for row in streamed) == sorted(ids(tmp_path / "out", "train"))
    assert len(RowDataset(tmp_path / "out", split="validation", decode=None)) == counts["validation"]
    with pytest.raises(UsageError, match="has no split 'test'; it has: train, validation"):
        RowDataset(tmp_path / "out", split="test")


def test_splits_stay_where_none_are_asked_for(many, tmp_path):
    select(many, tmp_path / "split", split={"train": 0.8, "test": 0.2})
    select(tmp_path / "split", tmp_path / "out", where="id < 't-100'")
    for split in ("train", "test"):
        assert ids(tmp_path / "out", split) == [id for id in ids(tmp_path / "split", split) if id < "t-100"]
    merged = merge([tmp_path / "split", tmp_path / "split"], tmp_path / "merged", ids="prefix")
    assert {split: sum(shard.rows for shard in shards) for split, shards in merged.splits.items()} == {
        split: 2 * len(ids(tmp_path / "split", split)) for split in ("train", "test")
    }


def test_workers_and_parts_give_the_same_bytes(packed, tmp_path):
    choice = {"where": "id <> 'ie-0003'", "split": {"train": 0.6, "validation": 0.4}, **SIZES}
    select(packed, tmp_path / "one", **choice)
    for _ in range(3):
        for part in ((0, 2), (1, 2)):
            with pytest.raises(PartDone):
                select(packed, tmp_path / "parts", part=part, **choice)
    select(packed, tmp_path / "parts", **choice)
    assert content(tmp_path / "parts") == content(tmp_path / "one")


def test_a_finished_selection_is_left_alone_and_another_is_refused(packed, tmp_path):
    done = select(packed, tmp_path / "out", sample=5)
    assert select(packed, tmp_path / "out", sample=5) == done
    with pytest.raises(UsageError, match="made from other files or with other options"):
        select(packed, tmp_path / "out", sample=6)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"where": "no_column = 1"}, r"where='no_column = 1': .*no_column.*; columns: id, task, .*num_images"),
        ({"where": "id ="}, "where='id ='"),
        ({"sample": 0}, "sample is 0; expected a positive number"),
        ({"sample": float("inf")}, "sample is inf; expected a positive number"),
        ({"sample": float("nan")}, "sample is nan; expected a positive number"),
        ({"sample": 1e300}, "sample is 1e.300; expected a positive number"),
        ({"max_image_bytes": 10**20}, "max_image_bytes is 10+; expected a positive number"),
        ({"split": {"train": float("nan"), "test": float("nan")}}, "expected shares above 0 that come to 1"),
        ({"sample": 2.5}, "expected a whole number of rows, or a share below 1"),
        ({"per_task": -1}, "per_task is -1"),
        ({"per_task": 10**23}, "per_task is 10+; expected a positive number"),
        ({"split": {"train": 0.5}}, "expected shares above 0 that come to 1"),
        ({"split": {"dev": 1.0}}, "split has 'dev'; known: train, validation, test"),
        ({"tasks": ["mm_internet"]}, "has none of these tasks"),
        ({"scores": ["nowhere"]}, "nowhere holds no alignment.parquet"),
    ],
)
def test_a_wrong_choice_is_told(packed, tmp_path, choice, message):
    with pytest.raises(UsageError, match=message):
        select(packed, tmp_path / "out", **choice)


def test_no_row_left_is_an_error_that_leaves_nothing(packed, tmp_path):
    with pytest.raises(UnifiedVisualError, match="no row is left"):
        select(packed, tmp_path / "out", where="false")
    assert not (tmp_path / "out/.staging").exists()


def test_splits_as_they_are_typed():
    assert parse_split("train=0.98,validation=0.02") == {"train": 0.98, "validation": 0.02}
    assert parse_split("") is None
    with pytest.raises(UsageError, match="train"):
        parse_split("train")


def test_components_are_told_by_their_least_number():
    nodes = np.array([4, 7, 9, 20, 30, 31])
    batches = [np.array([[30, 31]]), np.array([[9, 4], [20, 30]]), np.array([[7, 9], [31, 30]])]
    assert components(nodes, batches).tolist() == [4, 4, 4, 20, 20, 20]
    assert components(nodes, []).tolist() == nodes.tolist()
    assert components(np.empty(0, np.int64), [np.empty((0, 2), np.int64)]).tolist() == []


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_a_walk_over_the_pairs(seed):
    dice = np.random.default_rng(seed)
    nodes = np.unique(dice.integers(0, 10**12, 300))
    pairs = nodes[dice.integers(0, len(nodes), (200, 2))]
    beside = {node: {node} for node in nodes.tolist()}
    for one, other in pairs.tolist():
        beside[one].add(other)
        beside[other].add(one)
    reached = {}
    for node in nodes.tolist():
        waiting, found = [node], set()
        while waiting:
            found.add(each := waiting.pop())
            waiting += beside[each] - found
        reached[node] = min(found)
    batches = [pairs[start : start + 7] for start in range(0, len(pairs), 7)]
    assert components(nodes, batches).tolist() == list(reached.values())
