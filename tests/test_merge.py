"""Packed datasets joined into one: order, ids, bytes, and what is refused."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import unifiedvisual
from dataset_card import write_card
from tests.packed import write_manifest
from tests.replicas import replica, truth
from tests.test_pack import SMALL, content
from toolkit.errors import PartDone, SourceError, UnifiedVisualError, UsageError
from toolkit.packing.pack import PACKED_FROM, pack
from toolkit.packing.verify import verify_packed
from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.layout import open_source
from toolkit.sources.repository import LocalFolder
from toolkit.staging.jobs import open_job
from toolkit.tasks import TASKS, Task
from unifiedvisual import merge, pack_rows

EDITING, REASONING = truth()["image_editing"], truth()["cot_collection"]
NEW = [replace(row, id=f"new-{number}") for number, row in enumerate(EDITING)]


@pytest.fixture
def two(tmp_path):
    pack_rows([*EDITING, *REASONING], tmp_path / "a", SMALL)
    pack_rows(NEW, tmp_path / "b", SMALL)
    return [str(tmp_path / "a"), str(tmp_path / "b")]


def ids(folder, task):
    paths = sorted((folder / "data" / task).glob("*.parquet"))
    return [id for path in paths for id in pq.read_table(path, columns=["id"])["id"].to_pylist()]


def test_rows_of_a_task_stand_in_the_order_of_the_datasets(two, tmp_path):
    manifest = merge(two, tmp_path / "out")
    assert ids(tmp_path / "out", "image_editing") == [*(row.id for row in EDITING), *(row.id for row in NEW)]
    assert ids(tmp_path / "out", "cot_collection") == [row.id for row in REASONING]
    assert manifest.total("rows") == 21
    assert verify_packed(LocalFolder(tmp_path / "out"), deep=True).problems == ()
    assert not (tmp_path / "out/.staging").exists()
    loaded = unifiedvisual.load_dataset(str(tmp_path / "out"), split="train", streaming=True)
    assert len(list(loaded)) == 21


def test_shards_are_links_or_copies_of_the_same_bytes(two, tmp_path):
    merge(two, tmp_path / "linked")
    merge(two, tmp_path / "copied", copy=True)
    first = "data/cot_collection/train-00000-of-00001.parquet"
    assert (tmp_path / "a" / first).samefile(tmp_path / "linked" / first)
    assert not (tmp_path / "a" / first).samefile(tmp_path / "copied" / first)
    assert content(tmp_path / "linked") == content(tmp_path / "copied")


def test_packs_of_tasks_of_one_source_merge_into_the_bytes_of_one_pack(tmp_path):
    source = open_source(replica(tmp_path / "upstream", "columns"))
    pack(source, tmp_path / "whole", TASKS, SMALL)
    names = list(TASKS)
    pack(source, tmp_path / "one", names[::2], SMALL)
    pack(source, tmp_path / "two", names[1::2], SMALL, workers=1)
    merge([tmp_path / "two", tmp_path / "one"], tmp_path / "merged")
    for folder in ("whole", "merged"):  # what it was made from, for this machine alone
        (tmp_path / folder / PACKED_FROM).unlink()
    assert content(tmp_path / "merged") == content(tmp_path / "whole")


def test_ids_that_occur_twice_are_named_and_nothing_is_left(two, tmp_path):
    with pytest.raises(
        UnifiedVisualError, match=r"14 ids occur more than once: 'cc-0000' in .*/a and .*/a.*\(\+9 more\)"
    ):
        merge([two[0], two[0]], tmp_path / "out")
    assert not (tmp_path / "out/.staging").exists()


def test_a_prefix_renames_the_rows_of_all_datasets_but_the_first(two, tmp_path):
    manifest = merge([two[1], two[1], two[1]], tmp_path / "out", ids="prefix")
    assert ids(tmp_path / "out", "image_editing") == [f"{p}new-{n}" for p in ("", "2-", "3-") for n in range(7)]
    assert manifest.options["ids"] == "prefix"
    assert verify_packed(LocalFolder(tmp_path / "out"), deep=True).problems == ()
    before = [image for row in NEW for image in row.images]
    paths = sorted((tmp_path / "out/data/image_editing").glob("*.parquet"))
    images = [image for path in paths for row in pq.read_table(path)["images"].to_pylist() for image in row]
    assert [image["bytes"] for image in images] == 3 * [image.bytes for image in before]


def test_sources_and_licences_are_added_up_in_the_card(tmp_path):
    for name, license in (("a", "MIT"), ("b", "CC0")):
        rows = [replace(row, id=f"{name}-{row.id}", source=f"set {name}", license=license) for row in REASONING]
        pack_rows(rows[: 3 if name == "a" else 7], tmp_path / name, SMALL)
    manifest = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert manifest.drawn_from == {"cot_collection": [["set b", "CC0", 7], ["set a", "MIT", 3]]}
    write_card(tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert [line.split("|")[1:-1] for line in card.splitlines() if "| set " in line] == [
        [" `cot_collection` ", " set b ", " CC0 ", " 7 "],
        [" `cot_collection` ", " set a ", " MIT ", " 3 "],
    ]


def test_a_finished_merge_is_left_alone_and_another_is_refused(two, tmp_path):
    done = merge(two, tmp_path / "out")
    before = content(tmp_path / "out")
    assert merge(two, tmp_path / "out") == done
    with pytest.raises(UsageError, match="made from other files or with other options"):
        merge(two[::-1], tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_workers_and_parts_give_the_same_bytes(two, tmp_path):
    merge(two, tmp_path / "one", ids="prefix")
    for _ in range(3):  # ids, whether they are unique, shards
        for part in ((0, 2), (1, 2)):
            with pytest.raises(PartDone):
                merge(two, tmp_path / "parts", ids="prefix", part=part)
    merge(two, tmp_path / "parts", ids="prefix")
    assert content(tmp_path / "parts") == content(tmp_path / "one")


def test_datasets_on_the_hub_are_merged(two, tmp_path, hub):
    hub.add_folder("me/new", tmp_path / "b")
    manifest = merge([two[0], "hf://datasets/me/new"], tmp_path / "out")
    assert manifest.options["merged"][1]["source"]["repository"] == "me/new"
    merge(two, tmp_path / "local")
    assert content(tmp_path / "out/data") == content(tmp_path / "local/data")


def test_versions_of_the_layout_do_not_mix(two, tmp_path):
    (tmp_path / "b/MANIFEST.json").write_text(
        (tmp_path / "b/MANIFEST.json").read_text().replace('"format": 2', '"format": 3')
    )
    fewer = pq.read_table(tmp_path / "a/data/cot_collection/train-00000-of-00001.parquet").drop_columns(["regions"])
    old = write_old(tmp_path / "older", fewer)
    with pytest.raises(SourceError) as raised:
        merge([two[0], two[1], old], tmp_path / "out")
    assert len(str(raised.value).splitlines()) == 2
    assert "format 3; expected 1 or 2" in str(raised.value)
    assert "'regions' differ; pack it again" in str(raised.value)


def write_old(folder, table):
    """A dataset whose rows lack a column, with a manifest that fits."""
    pack_rows(REASONING, folder, SMALL)
    path = folder / "data/cot_collection/train-00000-of-00001.parquet"
    pq.write_table(table, path)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    manifest["shards"][0]["bytes"] = path.stat().st_size
    write_manifest(folder, manifest)
    return folder


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda a, b: ([a], "out"), "1 dataset to merge"),
        (lambda a, b: ([a, b], a), "is what is read"),
        (lambda a, b: ([a, b], a + "/inside"), "lies inside"),
        (lambda a, b: ([a, str(b) + "/data"], "out"), "holds no MANIFEST.json"),
    ],
)
def test_what_cannot_be_merged_is_refused(two, tmp_path, given, message):
    sources, out = given(*two)
    with pytest.raises(UsageError, match=message):
        merge(sources, tmp_path / out)


def test_a_second_process_on_the_same_folder_says_so(two, tmp_path):
    with open_job(tmp_path / "out", {}), pytest.raises(UsageError, match="another process is at work here"):
        merge(two, tmp_path / "out")


def test_a_task_that_two_datasets_define_differently_is_refused(tmp_path):
    for name, outputs in (("a", "all"), ("b", "last")):
        rows = [replace(row, id=f"{name}-{number}", task="mine") for number, row in enumerate(REASONING)]
        pack_rows(rows, tmp_path / name, SMALL, tasks=[Task(name="mine", outputs=outputs)])
    with pytest.raises(UsageError, match="task 'mine' is Task"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_damage_shows_when_a_shard_is_copied(two, tmp_path):
    path = next((tmp_path / "b/data/image_editing").glob("*.parquet"))
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(SourceError, match="its bytes are not those that its manifest tells of"):
        merge(two, tmp_path / "out", copy=True)


def test_the_schema_is_the_one_of_rows(two, tmp_path):
    merge(two, tmp_path / "out", ids="prefix")
    for path in (tmp_path / "out/data").rglob("*.parquet"):
        assert pq.read_schema(path).equals(ARROW_SCHEMA, check_metadata=False)
