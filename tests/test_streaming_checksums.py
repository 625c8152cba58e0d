"""Flipped bytes are told where they are asked after, and a fork in the middle of an iteration is an error."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import unifiedvisual
from tests.packed import pack_demo, write_manifest
from tests.replicas import replica, truth
from toolkit.curation.select import select
from toolkit.demo.rows import demo_rows
from toolkit.errors import ShardError, SourceError, UsageError
from toolkit.packing.pack import pack
from toolkit.packing.rows import pack_rows
from toolkit.packing.stage import PackOptions
from toolkit.sources import ahead
from toolkit.sources.ahead import read_ahead
from toolkit.sources.footer import footer_crc32
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import MANIFEST, read_manifest
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import LocalFolder, open_repository
from toolkit.streaming.dataset import StreamingDataset
from toolkit.streaming.indexed import RowDataset
from toolkit.streaming.slices import OpenFile

ROWS = truth()["image_editing"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return replica(tmp_path_factory.mktemp("source") / "columns", "columns", tasks=("image_editing",))


@pytest.fixture
def packed(source, tmp_path) -> Path:
    pack(open_source(source), tmp_path / "packed", ["image_editing"], PackOptions(row_group_bytes=6_000))
    return tmp_path / "packed"


def shard_of(packed: Path) -> Path:
    (shard,) = packed.rglob("*.parquet")
    return shard


def flip(packed: Path, found: bytes) -> None:
    """A bit of the file, in the middle of some bytes in it."""
    shard = shard_of(packed)
    content = bytearray(shard.read_bytes())
    content[content.index(found) + len(found) // 2] ^= 1
    shard.write_bytes(content)


def by_arrow(packed: Path) -> None:
    """An independent reader that compares checksums."""
    with pq.ParquetFile(shard_of(packed), page_checksum_verification=True) as parquet:
        parquet.read()


def test_packed_pages_have_checksums_that_others_can_compare(packed):
    by_arrow(packed)
    assert all(shard.page_checksums for shard in read_manifest(LocalFolder(packed)).shards)
    flip(packed, ROWS[3].images[1].bytes)
    with pytest.raises(OSError, match="CRC"):
        by_arrow(packed)


@pytest.mark.parametrize("number", range(len(ROWS)))
@pytest.mark.parametrize("image", [0, 1])
def test_a_flipped_byte_of_any_picture_is_told(packed, number, image):
    flip(packed, ROWS[number].images[image].bytes)
    whole = {row["id"] for row in StreamingDataset(packed, decode=None)}
    assert whole == {row.id for row in ROWS}  # without a word
    with pytest.raises(ShardError, match="does not have the checksum that was written; download it again"):
        list(StreamingDataset(packed, decode=None, verify=True))
    with pytest.raises(ShardError, match="checksum"):
        [RowDataset(packed, decode=None, verify=True)[row] for row in range(len(ROWS))]
    with pytest.raises(ShardError, match="CRC"):
        list(unifiedvisual.load_dataset(str(packed), "image_editing", split="train", streaming=True))


def test_a_whole_dataset_passes_and_gives_the_same_rows(packed):
    assert list(StreamingDataset(packed, decode=None, verify=True)) == list(StreamingDataset(packed, decode=None))


def test_a_flipped_byte_of_a_text_is_told(packed):
    with pq.ParquetFile(shard_of(packed)) as parquet:
        column = parquet.metadata.row_group(0).column(0)
        assert column.path_in_schema == "id"
        end = column.data_page_offset + column.total_compressed_size - (column.data_page_offset - column.file_offset)
    content = bytearray(shard_of(packed).read_bytes())
    content[end - 1] ^= 1
    shard_of(packed).write_bytes(content)
    with pytest.raises(ShardError):
        list(StreamingDataset(packed, columns=["id"], verify=True))


def test_a_flipped_bit_of_a_footer_is_told(tmp_path):
    pack_rows(demo_rows("image_editing", 1), tmp_path / "packed")
    shard, whole = shard_of(tmp_path), shard_of(tmp_path).read_bytes()
    rows = list(StreamingDataset(tmp_path / "packed", decode=None, verify=True))
    begin = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    is_text = whole.index(b"\x1c", whole.index(b"\x02id", begin))  # the logical type of the column `id`
    for at in (is_text, *range(begin, len(whole), 61)):
        shard.write_bytes(whole[:at] + bytes([whole[at] ^ 8]) + whole[at + 1 :])
        for read in (
            lambda: list(StreamingDataset(tmp_path / "packed", decode=None, verify=True)),
            lambda: list(open_source(tmp_path / "packed").read("image_editing")),
        ):
            with pytest.raises(ShardError, match="its footer does not have the checksum that was written"):
                read()
        with pytest.raises(SourceError):
            select(tmp_path / "packed", tmp_path / "selected", where="true")
    shard.write_bytes(whole)
    assert list(StreamingDataset(tmp_path / "packed", decode=None, verify=True)) == rows


@pytest.mark.parametrize("left", [0, 5, 40])
def test_a_file_without_room_for_a_footer_has_another_one(packed, hub, left):
    name = f"org/short-{left}"
    hub.add_folder(name, packed)
    shard = shard_of(packed).relative_to(packed).as_posix()
    with LocalFolder(packed).open(shard) as file:
        crc32 = footer_crc32(file)
    shard_of(packed).write_bytes(shard_of(packed).read_bytes()[-left:] if left else b"")
    hub.add_folder(name, packed)
    for repository in (LocalFolder(packed), open_repository(name)):
        with (
            pytest.raises(ShardError, match="its footer does not have the checksum that was written"),
            open_parquet(repository, shard, footer=crc32),
        ):
            pass


def test_footers_without_a_checksum_in_the_manifest_are_read(packed):
    says = json.loads((packed / MANIFEST).read_bytes())
    assert all(isinstance(each.pop("footer_crc32"), int) for each in says["shards"])
    write_manifest(packed, says)
    assert len(list(StreamingDataset(packed, decode=None, verify=True))) == len(ROWS)
    assert "footer_crc32" not in read_manifest(LocalFolder(packed)).to_json()


def test_a_hub_dataset_is_verified_too(hub, packed):
    flip(packed, ROWS[3].images[1].bytes)
    hub.add_folder("org/packed", packed)
    assert len(list(StreamingDataset("org/packed", decode=None))) == len(ROWS)
    with pytest.raises(ShardError, match="CRC"):
        list(StreamingDataset("org/packed", decode=None, verify=True))


def test_a_dataset_without_checksums_cannot_be_verified_and_says_so(tmp_path):
    folder = pack_demo(tmp_path / "old", ["image_editing"])
    for make in (StreamingDataset, RowDataset):
        with pytest.raises(UsageError, match=r"2 of 2 shards have no page checksums, data/.* pack again, or leave"):
            make(folder, verify=True)


def test_a_page_is_compared_once(packed, monkeypatch):
    reads = []
    read = OpenFile.read

    def counted(file, offset, size):
        reads.append((offset, size))
        return read(file, offset, size)

    monkeypatch.setattr(OpenFile, "read", counted)
    list(StreamingDataset(packed, decode=None, verify=True))
    pictures = sum(len(row.images) for row in ROWS)
    assert len(set(reads)) == len(reads)
    assert pictures < len(reads) <= 2 * pictures


def test_a_shard_that_shrinks_while_it_is_read_is_told(packed):
    rows = iter(StreamingDataset(packed, decode=None, shuffle=False, ahead=1))
    next(rows)
    os.truncate(shard_of(packed), 7_000)
    with pytest.raises(ShardError, match=r"ends at byte 7,000|not a whole Parquet file"):
        list(rows)


# Processes that are forked


def in_a_fork(act) -> str:
    """What a forked process says of an act."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = f"made {act()}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


FORKED = "UsageError: the process was forked in the middle of an iteration; begin another iteration in the new process"


@pytest.mark.parametrize(
    "begin",
    [
        lambda packed: StreamingDataset(packed, threads=2),
        lambda packed: StreamingDataset(packed),
        lambda packed: unifiedvisual.load_dataset(str(packed), split="train", streaming=True),
    ],
    ids=["threads", "one thread", "load_dataset"],
)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_an_iteration_is_an_error_there_and_none_here(packed, begin):
    rows = iter(begin(packed))
    next(rows)
    assert in_a_fork(lambda: list(rows)) == FORKED
    assert len(list(rows)) == len(ROWS) - 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_a_thread_reads_ahead_is_an_error_there():
    numbers = read_ahead(iter(range(100)), size_of=lambda number: 1, max_bytes=2)
    assert next(numbers) == 0
    assert in_a_fork(lambda: next(numbers)) == FORKED
    assert list(numbers) == list(range(1, 100))


def test_what_threads_open_while_the_interpreter_ends_disturbs_nothing():
    is_ended = threading.Event()

    def opens():
        while not is_ended.is_set():
            opened = [ahead.closed_at_exit(lambda: (number for number in range(3)))() for _ in range(500)]
            assert len(opened) == 500

    threads = [threading.Thread(target=opens) for _ in range(2)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(50):
            ahead._close_open()
    finally:
        is_ended.set()
        sys.setswitchinterval(before)
        for thread in threads:
            thread.join()


def test_an_interpreter_ends_silently_that_left_loops_early_and_has_open_iterations(source, packed):
    script = f"""
import sys
import threading
from torch.utils.data import DataLoader
from unifiedvisual import StreamingDataset, load_dataset
left = iter(DataLoader(StreamingDataset({str(packed)!r}), batch_size=1, collate_fn=list))
next(left)
rows = [
    iter(StreamingDataset({str(packed)!r}, threads=2)),
    iter(load_dataset({str(packed)!r}, split="train", streaming=True)),
    iter(load_dataset({str(source)!r}, split="train", streaming=True)),
]
for each in rows:
    next(each)
for row in StreamingDataset({str(packed)!r}):
    break
for row in StreamingDataset({str(packed)!r}, threads=2):
    print("end")
    sys.exit()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
