import shutil
import tempfile
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import conversion
from tests.replicas import ROWS_PER_TASK, replica, truth
from tests.small_disk import SmallDisk
from toolkit.errors import DiskFull, PartDone, SourceError, UsageError
from toolkit.packing import push as push_module
from toolkit.packing.pack import pack
from toolkit.packing.push import plan_push, push
from toolkit.packing.stage import PackOptions
from toolkit.packing.verify import verify_packed
from toolkit.schema import EncodedImage, parquet_schema, rows_to_table, table_to_rows
from toolkit.sources.layout import open_source
from toolkit.sources.repository import LocalFolder, open_repository
from toolkit.tasks import TASKS


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    source = replica(folder / "source", "columns", tasks=("image_editing", "cot_collection"))
    pack(open_source(source), folder / "packed", TASKS, PackOptions(shard_bytes=20_000, row_group_bytes=6_000))
    return folder / "packed"


@pytest.fixture
def packed(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "packed")


def kinds(folder, **options):
    return sorted({kind for kind, _ in verify_packed(LocalFolder(folder), **options).problems})


def shards(folder):
    return sorted(folder.glob("data/image_editing/*.parquet"))


def test_a_shard_that_streams_slowly_is_a_note_and_no_problem(packed):
    path = shards(packed)[0]
    with pq.ParquetFile(path) as parquet:
        groups = [parquet.read_row_group(number, use_threads=False) for number in range(parquet.num_row_groups)]
    with pq.ParquetWriter(path, groups[0].schema, compression="zstd") as writer:
        for group in groups:
            writer.write_table(group)
    found = verify_packed(LocalFolder(packed))
    assert [kind for kind, _ in found.problems] == ["wrong_hash"]  # it was written anew
    assert [kind for kind, _ in found.notes] == ["slow_reading"]
    assert f"{path.name}: {len(groups)} of {len(groups)} row groups store images compressed" in found.notes[0][1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_whole_dataset_has_no_problems(whole, workers):
    found = verify_packed(LocalFolder(whole), deep=True, workers=workers)
    assert found.problems == ()
    assert found.rows == {"image_editing": ROWS_PER_TASK, "cot_collection": ROWS_PER_TASK}
    assert found.images == {"image_editing": 2 * ROWS_PER_TASK, "cot_collection": 0}


@pytest.mark.parametrize("where", [0, 4, 5000, -5000, -200, -9, -1])
def test_a_flipped_byte_anywhere_is_found_and_named(packed, where):
    path = shards(packed)[0]
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)
    found = verify_packed(LocalFolder(packed))
    assert any(kind in ("wrong_hash", "unreadable_shard") and path.name in message for kind, message in found.problems)


def test_a_missing_and_an_extra_shard_are_found(packed):
    path = shards(packed)[0]
    path.rename(path.with_name("train-00099-of-00099.parquet"))
    assert kinds(packed) == ["extra_shard", "missing_shard"]


def rewrite(path, change):
    rows = change(list(table_to_rows(pq.read_table(path))))
    pq.write_table(rows_to_table(rows).cast(parquet_schema()), path)


def test_a_swapped_picture_is_found(packed):
    other = truth()["image_editing"][5].images
    rewrite(shards(packed)[0], lambda rows: [replace(rows[0], images=other), *rows[1:]])
    assert "wrong_hash" in kinds(packed)


def test_a_duplicated_id_a_broken_row_and_a_broken_picture_are_found_by_name(packed):
    def spoil(rows):
        html = (EncodedImage(b"<html>"), rows[0].images[1])
        return [replace(rows[0], id="ie-0000"), replace(rows[0], id="ie-x", images=html, quadrant="text-text")]

    rewrite(shards(packed)[1], spoil)
    messages = dict(verify_packed(LocalFolder(packed), deep=True).problems)
    assert "row 'ie-0000' is also in" in messages["duplicate_id"]
    assert "row 'ie-x'" in messages["bad_quadrant"]
    assert "row 'ie-x': images[0]: an HTML page" in messages["image_not_an_image"]


def test_without_a_manifest_it_is_not_finished(packed):
    (packed / "MANIFEST.json").unlink()
    assert kinds(packed) == ["no_manifest"]
    with pytest.raises(SourceError, match=r"MANIFEST\.json"):
        plan_push(packed, "org/packed")


def test_push_needs_a_whole_name(packed):
    with pytest.raises(UsageError, match="'my-org' is no name of a Hub dataset; expected org/name"):
        plan_push(packed, "my-org")


def test_push_uploads_verifies_and_can_be_repeated(whole, hub, tmp_path):
    assert push(whole, "loopback/packed", token=hub.token).problems == ()
    assert verify_packed(open_repository("loopback/packed"), deep=True).problems == ()
    sent = sum(request.sent for request in hub.requests)
    uploads = [request for request in hub.requests if request.method == "PUT"]
    assert push(whole, "loopback/packed", token=hub.token).problems == ()
    assert [request for request in hub.requests if request.method == "PUT"] == uploads
    assert sent


def test_push_never_uploads_a_module_or_anything_else(packed, hub):
    (packed / "packed.py").write_text("raise SystemExit")
    (packed / "unifiedvisual.py").write_text("raise SystemExit")
    (packed / "README.md").write_text("# card")
    push(packed, "loopback/packed", token=hub.token)
    files = set(open_repository("loopback/packed").list_files()) - {".gitattributes"}
    assert files == {path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file()} - {
        "packed.py",
        "unifiedvisual.py",
        ".packed-from.json",
    }


def test_push_to_a_branch_of_a_private_repository(whole, hub):
    assert push(whole, "loopback/secret", private=True, revision="v1", token=hub.token).problems == ()
    with pytest.raises(SourceError, match="no such dataset, or it is private"):
        open_repository("loopback/secret")
    assert "MANIFEST.json" in open_repository("loopback/secret", revision="v1", token=hub.token).list_files()


@pytest.mark.parametrize("kind", ["429", "500", "cut", "slow"])
def test_push_survives_faults_or_stops_with_one_error_and_resumes(whole, hub, monkeypatch, kind):
    monkeypatch.setattr(push_module.time, "sleep", lambda seconds: None)
    hub.fail(
        kind,
        method="PUT|POST",
        path=r"lfs|commit|preupload|/upload",
        times=2,
        **({"after_bytes": 10} if kind == "cut" else {}),
    )
    assert push(whole, "loopback/packed", token=hub.token).problems == ()
    hub.reset()
    hub.fail("500", method="POST", path="commit", times=1000)
    with pytest.raises(SourceError, match=r"loopback/packed: "):
        push(whole, "loopback/packed", token=hub.token)
    hub.faults.clear()
    assert push(whole, "loopback/packed", token=hub.token).problems == ()


def test_a_push_without_permission_is_told(whole, hub):
    with pytest.raises(SourceError, match=r"not logged in, or the token is not valid|no such dataset"):
        push(whole, "loopback/packed", token="hf_wrong")


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.fixture(params=["packed", "published", "converted"])
def broken(request, whole, packed, tmp_path):
    if request.param == "packed":
        cut(shards(packed)[0])
        return packed
    if request.param == "published":
        source = replica(tmp_path / "source", "columns", tasks=("image_editing", "cot_collection"))
        cut(source / "images/Image_Editing.tar.gz")
        return source
    conversion.convert(whole, "webdataset", tmp_path / "tars")
    cut(tmp_path / "tars/train-00000-000.tar")
    return tmp_path / "tars"


def test_a_check_in_parts_or_processes_finds_what_a_whole_one_finds(broken, tmp_path):
    whole = conversion.verify(broken, deep=True)
    assert whole.problems
    for part in ((0, 2), (1, 2)):
        with pytest.raises(PartDone):
            conversion.verify(broken, deep=True, part=part, findings=tmp_path / "found")
    assert conversion.verify(broken, deep=True, findings=tmp_path / "found") == whole
    assert not list((tmp_path / "found").iterdir())
    assert conversion.verify(broken, deep=True, workers=2) == whole


def test_a_full_temporary_disk_is_no_damaged_shard(whole, hub, tmp_path, monkeypatch):
    hub.add_folder("loopback/packed", whole)
    disk = SmallDisk(tmp_path / "disk", 16 << 10)
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    try:
        with pytest.raises(DiskFull, match=r"disk: the disk is full: .* are free, more than .* are needed"):
            conversion.verify("loopback/packed")
    finally:
        disk.close()


def test_a_part_of_a_check_needs_a_folder(packed):
    with pytest.raises(UsageError, match="a part of a check needs a folder"):
        conversion.verify(packed, part=(0, 2))
