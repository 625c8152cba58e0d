"""Packing: the same rows in the same order, the same bytes on every run, nothing half-written under a final name."""

import json
import random
import shutil
import signal
import time
from dataclasses import asdict, replace

import datasets
import pyarrow.parquet as pq
import pytest

import unifiedvisual
from tests.packed import split, write_packed
from tests.processes import FORKS, Command
from tests.replicas import ROWS_PER_TASK, essence, replica, truth
from tests.small_disk import SmallDisk
from toolkit.demo.replica import file_name, write_archive, write_replica
from toolkit.demo.rows import demo_rows
from toolkit.errors import DiskFull, PartDone, RowError, UsageError
from toolkit.packing import pack as pack_module
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.schema import ARROW_SCHEMA, table_to_rows
from toolkit.sources.hub import RANDOM_ACCESS_BLOCK_BYTES
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.staging.jobs import STAGING
from toolkit.tasks import CONFIGS, TASKS

SMALL = PackOptions(shard_bytes=20_000, row_group_bytes=6_000)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return replica(tmp_path_factory.mktemp("source") / "r", "columns")


@pytest.fixture(scope="module")
def packed(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "p"
    pack(open_source(source), out, TASKS, SMALL)
    return out


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_rows_keep_the_order_and_the_content_of_the_source(packed):
    for task, expected in truth().items():
        paths = sorted((packed / "data" / task).glob("*.parquet"))
        rows = [row for path in paths for row in table_to_rows(pq.read_table(path))]
        assert [essence(row) for row in rows] == [essence(row) for row in expected]
        assert [path.name for path in paths] == [
            f"train-{n:05d}-of-{len(paths):05d}.parquet" for n in range(len(paths))
        ]


def test_the_manifest_says_what_is_there(packed):
    manifest = read_manifest(LocalFolder(packed))
    assert {shard.path for shard in manifest.shards} == {path for path in content(packed) if path.endswith(".parquet")}
    assert len(manifest.tasks["image_editing"]) > 1
    for shard in manifest.shards:
        parquet = pq.ParquetFile(packed / shard.path)
        assert tuple(parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups)) == shard.row_groups
        assert shard.bytes == (packed / shard.path).stat().st_size
    assert manifest.total("rows") == ROWS_PER_TASK * len(TASKS)
    assert manifest.quadrants("image_editing") == {"mm-mm": ROWS_PER_TASK}
    assert not (packed / STAGING).exists()


def test_parquet_has_image_features_page_index_and_statistics_only_where_they_help(packed):
    parquet = pq.ParquetFile(next((packed / "data/image_editing").glob("*.parquet")))
    assert parquet.schema_arrow.equals(ARROW_SCHEMA)
    assert json.loads(parquet.schema_arrow.metadata[b"huggingface"])["info"]["features"]["images"] == [
        {"_type": "Image"}
    ]
    columns = {
        (column := parquet.metadata.row_group(0).column(n)).path_in_schema: column
        for n in range(parquet.metadata.num_columns)
    }
    assert {name for name, column in columns.items() if column.is_stats_set} == {"id", "task", "quadrant"}
    assert {name for name, column in columns.items() if column.compression == "UNCOMPRESSED"} == {
        "images.list.element.bytes",
        "images.list.element.path",
    }
    assert all(column.has_offset_index for column in columns.values())


@pytest.mark.parametrize("workers", [1, 2])
def test_bytes_are_the_same_on_every_run_and_for_any_number_of_workers(source, packed, tmp_path, workers):
    pack(open_source(source), tmp_path / "again", TASKS, SMALL, workers=workers)
    assert content(tmp_path / "again") == content(packed)


def test_packing_what_is_packed_keeps_rows(packed, tmp_path):
    pack(open_source(packed), tmp_path / "again", ["mm_internet"], SMALL)
    assert content(tmp_path / "again" / "data") == {
        path.removeprefix("data/"): data for path, data in content(packed).items() if "mm_internet" in path
    }


def test_a_source_on_a_hub_is_packed_to_the_same_shards(source, packed, hub, tmp_path):
    commit = hub.add_folder("org/uv", source)
    manifest = pack(open_source("org/uv"), tmp_path / "out", TASKS, SMALL)
    assert manifest.source == {"repository": "org/uv", "revision": commit}
    assert content(tmp_path / "out" / "data") == content(packed / "data")


def test_a_finished_folder_is_left_alone_and_another_work_refused(source, packed):
    before = content(packed)
    pack(open_source(source), packed, TASKS, SMALL)
    assert content(packed) == before
    with pytest.raises(UsageError, match="holds a dataset packed from"):
        pack(open_source(source), packed, TASKS, PackOptions(limit=1))


def test_a_finished_folder_is_refused_when_its_source_changed(tmp_path):
    source, out = tmp_path / "source", tmp_path / "packed"
    write_replica(source, {"cot_collection": list(demo_rows("cot_collection", 3))})
    pack(open_source(source), out, TASKS)
    write_replica(source, {"cot_collection": list(demo_rows("cot_collection", 5))})
    with pytest.raises(UsageError, match="files that changed since; choose another folder"):
        pack(open_source(source), out, TASKS)


def test_an_unfinished_folder_of_other_options_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "publish", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        pack(open_source(source), tmp_path / "out", ["llava_cot"], SMALL)
    with pytest.raises(UsageError, match="unfinished work of another command: shard_bytes is 20000 there, and 5"):
        pack(open_source(source), tmp_path / "out", ["llava_cot"], PackOptions())


def test_a_second_pack_into_the_folder_says_so_and_does_no_harm(source, packed, tmp_path, monkeypatch):
    out, told = tmp_path / "out", []
    real = pack_module.publish

    def meanwhile(job, folders, split):
        with pytest.raises(UsageError) as refused:
            pack(open_source(source), out, TASKS, SMALL)
        told.append(str(refused.value))
        return real(job, folders, split)

    monkeypatch.setattr(pack_module, "publish", meanwhile)
    pack(open_source(source), out, TASKS, SMALL)
    assert told == [f"{out}: another process is at work here; wait for it, or choose another folder"]
    assert content(out) == content(packed)


def test_parts_packed_by_several_processes_make_the_same_bytes(source, packed, tmp_path):
    for part in ((0, 2), (1, 2)):
        with pytest.raises(PartDone, match=r"part \d of 2 is done"):
            pack(open_source(source), tmp_path / "out", TASKS, SMALL, part=part)
    assert len(list((tmp_path / "out" / STAGING).glob("*.done"))) == len(TASKS)
    pack(open_source(source), tmp_path / "out", TASKS, SMALL)
    assert content(tmp_path / "out") == content(packed)


def test_an_output_that_is_the_input_or_inside_of_it_is_refused(source):
    with pytest.raises(UsageError, match="is what is read; choose another folder"):
        pack(open_source(source), source / "../r", TASKS, SMALL)
    with pytest.raises(UsageError, match=r"lies inside .*, which is read; choose a folder beside it"):
        pack(open_source(source), source / "packed", TASKS, SMALL)
    assert not (source / "packed").exists()


def test_a_disk_that_fills_up_is_one_error_and_then_the_same_bytes(source, packed, tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "_check_disk", lambda *arguments: None)  # which another process makes untrue
    size = sum(map(len, content(packed).values()))
    disk, told = SmallDisk(tmp_path / "disk", size // 6), []
    try:
        for sixth in range(2, 12):
            try:
                pack(open_source(source), disk.path / "out", TASKS, SMALL)
                break
            except DiskFull as error:
                told.append(str(error))
                disk.grow(sixth * size // 6)
        assert len(told) > 2
        assert all(f"{disk.path}/out: the disk is full: " in text and "kB in all are needed" in text for text in told)
        assert content(disk.path / "out") == content(packed)
    finally:
        disk.close()


def test_limit_takes_the_first_rows_of_each_task(source, tmp_path):
    manifest = pack(open_source(source), tmp_path / "out", TASKS, PackOptions(limit=2))
    assert {task: manifest.total("rows", [task]) for task in TASKS} == dict.fromkeys(TASKS, 2)


def pack_small(source, out, workers):
    pack(open_source(source), out, TASKS, SMALL, workers=workers)


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(source, packed, tmp_path):
    out, chance = tmp_path / "out", random.Random(0)
    for workers in (1, 2, 1, 2):
        process = FORKS.Process(target=pack_small, args=(source, out, workers))
        process.start()
        time.sleep(chance.uniform(0.05, 1.0))
        process.kill()
        process.join()
        if out.exists():
            assert all(
                pq.ParquetFile(path) for path in (out / "data").rglob("*.parquet")
            )  # whatever has its name is whole
    process = FORKS.Process(target=pack_small, args=(source, out, 2))
    process.start()
    process.join()
    assert content(out) == content(packed)


def test_finished_shards_are_not_written_again(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(pack_module, "publish", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        pack(open_source(source), out, ["image_editing"], SMALL)
    monkeypatch.undo()
    staged = out / STAGING / "00000"
    staged.with_suffix(".done").unlink()
    last = max(staged.glob("*.parquet"))
    last.with_suffix(".done").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in staged.glob("*.parquet")}
    written: list[str] = []
    real = pack_module.publish

    def watch(job, folders, split):
        written.extend(path.name for path in staged.glob("*.parquet") if path.stat().st_mtime_ns != times[path.name])
        return real(job, folders, split)

    monkeypatch.setattr(pack_module, "publish", watch)
    pack(open_source(source), out, ["image_editing"], SMALL)
    assert written == [last.name]


def test_a_full_disk_is_told_before_anything_is_written(source, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(DiskFull, match=r"the disk is full: 0\.0 kB are free, about .* kB are needed; free space"):
        pack(open_source(source), tmp_path / "out", TASKS, SMALL)


def edit_archive(source, change):
    rows = truth()["image_editing"]
    members = [
        (f"Image_Editing/pictures/{file_name(row, n, image)}", image.bytes)
        for row in rows
        for n, image in enumerate(row.images)
    ]
    write_archive(source / "images/Image_Editing.tar.gz", change(members))


def test_missing_and_bad_pictures_stop_or_are_counted_in_the_manifest(tmp_path):
    source = replica(tmp_path / "source", "columns", tasks=("image_editing", "cot_collection"))
    edit_archive(
        source, lambda members: [(name, b"<html>" if "0003_1" in name else data) for name, data in members[1:]]
    )
    with pytest.raises(RowError, match=r"is not in 'images/Image_Editing.tar.gz'.*on_missing"):
        pack(open_source(source), tmp_path / "out", TASKS, SMALL)
    options = {**asdict(SMALL), "on_missing": "skip"}
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(RowError, match=r"row 'ie-0003': images\[1\]: an HTML page.*on_bad_image"):
        pack(open_source(source), tmp_path / "out", TASKS, PackOptions(**options))
    shutil.rmtree(tmp_path / "out")
    manifest = pack(open_source(source), tmp_path / "out", TASKS, PackOptions(**options | {"on_bad_image": "skip"}))
    assert manifest.skipped == {"image_editing": {"missing_image": 1, "bad_image": 1}}
    assert manifest.total("rows", ["image_editing"]) == ROWS_PER_TASK - 2


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_of_the_packed_layout_loads_as_it_does_from_the_replica(packed, config):
    features = datasets.Features(unifiedvisual.row_features() | {"images": datasets.List(datasets.Image(decode=False))})
    expected = {row.id: essence(row) for task in CONFIGS[config] for row in truth()[task]}
    for streaming in (True, False):
        rows = unifiedvisual.load_dataset(str(packed), config, split="train", streaming=streaming, features=features)
        assert {row["id"]: essence(row) for row in rows} == expected


def test_reading_one_config_from_a_hub_asks_for_no_other_configs_bytes(packed, hub):
    hub.add_folder("org/packed", packed)
    rows = unifiedvisual.load_dataset("org/packed", "image_editing", split="train", streaming=True)
    next(iter(rows))
    asked = {request.path.split("/data/")[1] for request in hub.requests if request.path.endswith(".parquet")}
    assert {path.split("/")[0] for path in asked} == {"image_editing"}
    assert len({path.rpartition("/")[2] for path in asked}) == 1  # the first row comes from the first shard alone


def test_the_first_row_from_a_hub_comes_after_at_most_one_row_group(hub, tmp_path):
    rows = truth()["image_editing"]
    padding = bytes(100_000)  # which decoders leave alone
    many = [
        replace(
            rows[n % len(rows)],
            id=f"ie-{n:05d}",
            images=tuple(image._replace(bytes=image.bytes + padding) for image in rows[n % len(rows)].images),
        )
        for n in range(40)
    ]
    write_replica(tmp_path / "source", {"image_editing": many}, shape="columns")
    pack(
        open_source(tmp_path / "source"), tmp_path / "out", ["image_editing"], PackOptions(row_group_bytes=1)
    )  # a row group a row, all in one shard
    hub.add_folder("org/packed", tmp_path / "out")
    shard = next((tmp_path / "out/data").rglob("*.parquet"))
    largest = max(pq.ParquetFile(shard).metadata.row_group(n).total_byte_size for n in range(len(many)))
    most = largest + 3 * RANDOM_ACCESS_BLOCK_BYTES
    assert shard.stat().st_size > 1.5 * most
    next(iter(unifiedvisual.load_dataset("org/packed", "image_editing", split="train", streaming=True)))
    assert (
        sum(
            request.sent
            for request in hub.requests
            if request.path.endswith(shard.name) and request.status in (200, 206)
        )
        <= most
    )


def test_ctrl_c_stops_soon_says_so_and_leaves_what_goes_on(tmp_path):
    """Also where no row is whole until the archive's end: then packing waits for its first row all the while."""
    source = tmp_path / "source"
    rows = truth()["image_editing"]
    many = [replace(rows[n % len(rows)], id=f"ie-{n:05d}") for n in range(4000)]
    write_replica(source, {"image_editing": many}, shape="columns", archive_order="reversed")
    process = Command("pack", source, tmp_path / "out")
    while not (tmp_path / "out" / STAGING / "00000").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "interrupted; run the same command again to resume\n"
    assert not (tmp_path / "out/MANIFEST.json").exists()


@pytest.mark.parametrize("identifier", ["../../outside", "/etc/passwd", "a.b", "A", ""])
def test_a_packed_source_of_others_with_unsafe_ids_is_not_packed_on(tmp_path, identifier):
    rows = [replace(truth()["llava_cot"][0], id=identifier), truth()["llava_cot"][1]]
    source = write_packed(tmp_path / "source", {"llava_cot": split(rows, 2, 1)})
    with pytest.raises(RowError, match=rf"train-00000.*: id must match \[a-z0-9_-\]\+, found {identifier!r}"):
        pack(open_source(source), tmp_path / "out", ["llava_cot"], SMALL)
    manifest = pack(open_source(source), tmp_path / "out", ["llava_cot"], replace(SMALL, on_bad_row="skip"))
    assert (manifest.total("rows"), manifest.skipped) == (1, {"llava_cot": {"bad_id": 1}})
