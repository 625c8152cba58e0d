"""Every config of replicas in every shape, streamed and not, from a folder and from a Hub: equal to the rows they were
made from.
"""

import json
import time

import datasets
import pytest

import unifiedvisual
from tests.replicas import ROWS_PER_TASK, essence, replica, truth
from toolkit.demo.replica import REPLICA_SHAPES, write_replica
from toolkit.demo.rows import demo_rows
from toolkit.errors import RowError, SourceError, UnifiedVisualError, UnknownName, UsageError
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.layout import open_source
from toolkit.tasks import CONFIGS, TASKS

UNDECODED = {"features": unifiedvisual.row_features() | {"images": datasets.List(datasets.Image(decode=False))}}


@pytest.fixture(scope="module")
def replicas_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("replicas")


@pytest.fixture(scope="module")
def replicas(replicas_folder):
    return lambda shape: replica(replicas_folder / shape, shape)


@pytest.fixture(autouse=True)
def surveys_are_kept(monkeypatch, replicas_folder):
    """The first test of a replica surveys it; the others find that, as a user's second call does."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(replicas_folder / "cache"))


def load(source, config, **options):
    return unifiedvisual.load_dataset(str(source), config, split="train", **UNDECODED, **options)


def assert_is_truth(rows, config):
    expected = {row.id: essence(row) for task in CONFIGS[config] for row in truth()[task]}
    found = [essence(row) for row in rows]
    assert len(found) == len(expected)
    assert {row["id"]: row for row in found} == expected


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", REPLICA_SHAPES)
def test_streamed_rows_equal_the_truth(replicas, shape, config):
    assert_is_truth(load(replicas(shape), config, streaming=True), config)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", REPLICA_SHAPES)
def test_downloaded_rows_equal_the_truth(replicas, shape, config):
    assert_is_truth(load(replicas(shape), config), config)


@pytest.fixture(scope="module")
def turns():
    """Task -> two rows of three turns each."""
    return {task: list(demo_rows(task, 2, turns=3)) for task in TASKS}


@pytest.mark.parametrize("shape", [shape for shape in REPLICA_SHAPES if shape != "columns"])
def test_rows_of_several_turns_equal_the_truth_and_pack(turns, tmp_path, shape):
    write_replica(tmp_path / "source", turns, shape=shape)
    expected = {row.id: essence(row) for task in TASKS for row in turns[task]}
    assert all(len(row["messages"]) == 6 for row in expected.values())
    assert {row["id"]: essence(row) for row in load(tmp_path / "source", "all", streaming=True)} == expected
    pack(open_source(tmp_path / "source"), tmp_path / "packed", TASKS)
    assert {row["id"]: essence(row) for row in load(tmp_path / "packed", "all", streaming=True)} == expected


def test_a_shape_of_one_turn_says_so(tmp_path):
    rows = {"llava_cot": list(demo_rows("llava_cot", 1, turns=2))}
    with pytest.raises(UsageError, match="row 'lc-0000' has 4 messages; columns hold one question and one answer"):
        write_replica(tmp_path, rows, shape="columns")


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("shape", REPLICA_SHAPES)
def test_rows_from_a_hub_equal_the_truth(replicas, hub, shape, streaming):
    hub.add_folder("org/uv", replicas(shape))
    for config in ("all", "visual_generation", "mm_internet"):  # all tasks, a family and a task
        assert_is_truth(load("org/uv", config, streaming=streaming), config)


def test_streaming_from_a_hub_reads_each_archive_once_in_one_request(replicas, hub):
    hub.add_folder("org/uv", replicas("conversations"))
    assert len(list(load("org/uv", "image_editing", streaming=True))) == ROWS_PER_TASK
    archives = [
        request
        for request in hub.requests
        if request.path.endswith(".tar.gz") and request.method == "GET" and request.status in (200, 206)
    ]
    assert len(archives) == 1
    assert archives[0].path.endswith("Image_Editing.tar.gz")


@pytest.fixture
def short_pauses(monkeypatch):
    """Between one try and the next."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda pause_s: sleep(min(pause_s, 0.1)))


@pytest.mark.parametrize("kind", ["429", "500", "503", "cut"])
def test_streaming_from_a_hub_survives_faults(replicas, hub, short_pauses, kind):
    hub.add_folder("org/uv", replicas("columns"))
    hub.fail(
        kind,
        method="GET",
        path=r"Image_Editing\.tar\.gz$",
        times=1,
        **({"after_bytes": 10_000} if kind == "cut" else {}),
    )
    hub.fail("500" if kind == "cut" else kind, path=r"^/api/datasets/org/uv", times=1)
    assert_is_truth(load("org/uv", "image_editing", streaming=True), "image_editing")


@pytest.mark.parametrize("kind", ["429", "500", "cut", "slow"])
def test_streaming_packed_shards_from_a_hub_survives_faults(replicas, hub, short_pauses, tmp_path, kind):
    pack(open_source(replicas("columns")), tmp_path / "packed", ["image_editing"], PackOptions(row_group_bytes=20_000))
    hub.add_folder("org/packed", tmp_path / "packed")
    hub.fail(kind, method="GET", path=r"\.parquet$", times=2, **({"after_bytes": 2_000} if kind == "cut" else {}))
    assert_is_truth(load("org/packed", "image_editing", streaming=True), "image_editing")


def test_a_revision_is_read_as_it_was(replicas, hub):
    first = hub.add_folder("org/uv", replicas("columns"))
    hub.add_files("org/uv", {"data/Image_Editing.parquet": b"broken"})
    assert_is_truth(load("org/uv", "image_editing", revision=first, streaming=True), "image_editing")
    assert_is_truth(load(f"hf://datasets/org/uv@{first}", "image_editing", streaming=True), "image_editing")


def test_decoded_pictures_are_those_of_datasets_itself(replicas):
    row = next(iter(unifiedvisual.load_dataset(str(replicas("columns")), "llava_cot", split="train", streaming=True)))
    expected = {each.id: each for each in truth()["llava_cot"]}[row["id"]]
    plain = datasets.Image().decode_example({"bytes": expected.images[0].bytes, "path": None})
    assert row["images"][0].tobytes() == plain.tobytes()


def test_the_texts_equal_what_datasets_reads_from_the_same_parquet(replicas):
    theirs = datasets.load_dataset(
        "parquet", data_files=str(replicas("conversations") / "data/cot_collection.parquet"), split="train"
    )
    ours = {row["id"]: row for row in load(replicas("conversations"), "cot_collection", streaming=True)}
    for row in theirs:
        turns = [(message["role"], message["content"][0]["text"]) for message in ours[f"cc-{row['id']}"]["messages"]]
        assert turns == [("user", row["conversations"][0]["value"]), ("assistant", row["conversations"][1]["value"])]


def test_rationale_and_answer_are_told_apart_where_columns_do(replicas):
    for task in TASKS:
        expected = {row.id: (row.rationale, row.answer) for row in truth()[task]}
        found = {
            row["id"]: (row["rationale"], row["answer"]) for row in load(replicas("columns"), task, streaming=True)
        }
        if task == "llava_cot":
            assert all(rationale and answer.startswith("The ") for rationale, answer in found.values())
        else:
            assert found == expected


def test_provenance_names_file_row_member_and_unread_columns(replicas):
    row = next(row for row in load(replicas("numbered"), "image_editing", streaming=True) if row["id"] == "ie-0002")
    assert json.loads(row["provenance"]) == {
        "file": "data/Image_Editing.parquet",
        "row": 2,
        "id": "0002",
        "images": [
            {"archive": "images/Image_Editing.tar.gz", "member": f"Image_Editing/ie-0002_{n}.webp"} for n in (0, 1)
        ],
    }


def test_num_proc_over_archives_gives_the_same_rows(replicas):
    assert_is_truth(load(replicas("conversations"), "visual_generation", num_proc=2), "visual_generation")


def test_all_is_the_default_config_and_split_none_gives_a_dict(replicas):
    loaded = unifiedvisual.load_dataset(str(replicas("json")))
    assert {name: len(split) for name, split in loaded.items()} == {"train": ROWS_PER_TASK * len(TASKS)}


def test_the_builder_works_by_itself(replicas, tmp_path):
    builder = unifiedvisual.UnifiedVisual(
        config_name="image_editing", data_dir=str(replicas("messages")), cache_dir=str(tmp_path)
    )
    assert len(list(builder.as_streaming_dataset(split="train"))) == ROWS_PER_TASK
    builder.download_and_prepare()
    assert builder.as_dataset(split="train").num_rows == ROWS_PER_TASK
    assert sorted(builder.builder_configs) == sorted(CONFIGS)


def test_changed_data_is_never_served_from_an_old_cache(tmp_path):
    source = replica(tmp_path / "source", "columns", tasks=("cot_collection",))
    assert len(load(source, "cot_collection")) == ROWS_PER_TASK
    write_replica(source, {"cot_collection": truth()["cot_collection"][:3]}, shape="columns")
    assert len(load(source, "cot_collection")) == 3


def test_a_data_dir_is_a_folder_inside_the_source(replicas):
    folder = replicas("columns")
    assert_is_truth(load(folder.parent, "image_editing", data_dir=folder.name, streaming=True), "image_editing")


def test_offline_the_cache_is_used(replicas, hub, monkeypatch):
    hub.add_folder("org/uv", replicas("columns"))
    import huggingface_hub

    huggingface_hub.snapshot_download("org/uv", repo_type="dataset")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert_is_truth(load("org/uv", "image_editing", streaming=True), "image_editing")
    with pytest.raises(SourceError, match=r"org/other: offline, and not in the local cache; download it once"):
        load("org/other", "all")


def test_wrong_calls_are_told_at_once(replicas, hub):
    with pytest.raises(UnknownName, match="unknown config 'edits'; known: all, "):
        load(replicas("columns"), "edits")
    with pytest.raises(UsageError, match="data_files is not supported"):
        load(replicas("columns"), "all", data_files="*.parquet")
    with pytest.raises(UsageError, match="on_missing is 'ignore'; expected 'raise' or 'skip'"):
        load(replicas("columns"), "all", on_missing="ignore")
    with pytest.raises(SourceError, match="neither a folder on this machine nor a Hub dataset"):
        load("./nowhere", "all")


def test_a_config_without_rows_says_what_there_is(tmp_path):
    source = replica(tmp_path / "source", "columns", tasks=("image_editing", "cot_collection"))
    with pytest.raises(
        UnifiedVisualError, match="has no rows of config 'llava_cot'; it has: image_editing, cot_collection"
    ):
        load(source, "llava_cot", streaming=True)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_missing_picture_stops_or_is_skipped_in_both_modes(tmp_path, streaming, caplog):
    source = replica(tmp_path / "source", "columns", tasks=("image_editing",))
    from toolkit.demo.replica import file_name, write_archive

    rows = truth()["image_editing"]
    members = [
        (f"Image_Editing/pictures/{file_name(row, n, image)}", image.bytes)
        for row in rows
        for n, image in enumerate(row.images)
    ]
    write_archive(source / "images/Image_Editing.tar.gz", members[:-1])
    with pytest.raises(
        RowError,
        match=r"image_editing: data/Image_Editing.parquet: row 6: picture 'ie-0006_1.jpg' is not in "
        r"'images/Image_Editing.tar.gz'.*on_missing",
    ):
        list(load(source, "image_editing", streaming=streaming))
    kept = list(load(source, "image_editing", streaming=streaming, on_missing="skip"))
    assert sorted(row["id"] for row in kept) == [row.id for row in rows[:-1]]
    assert "1 missing_image" in caplog.text


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("features", "why"),
    [
        ({"id": datasets.Value("string")}, "does not fit the rows, .*Couldn't cast"),
        (unifiedvisual.row_features() | {"id": datasets.Value("int32")}, "does not fit the rows, .*Failed to parse"),
        ("id", "is 'id'; expected row_features"),
    ],
)
def test_features_that_cannot_be_are_refused(replicas, tmp_path, features, why, streaming):
    source, options = str(replicas("columns")), {"cache_dir": str(tmp_path), "streaming": streaming}
    with pytest.raises(UsageError, match=rf"(?s)features= {why}"):
        next(iter(unifiedvisual.load_dataset(source, "cot_collection", split="train", features=features, **options)))
