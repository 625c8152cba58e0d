"""A packed dataset of which one row cannot be read: the others are, and it is named."""

import hashlib
import json
import zlib
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_card.files import first_rows
from tests.layouts import png
from tests.lying import raw
from tests.packed import write_manifest
from toolkit.curation.align import align
from toolkit.curation.deduplicate import deduplicate
from toolkit.curation.merge import merge
from toolkit.curation.select import select
from toolkit.demo.rows import demo_rows
from toolkit.errors import ImageError, RowError, ShardError, SourceError, UnifiedVisualError
from toolkit.packing.rows import pack_rows
from toolkit.packing.verify import verify_packed
from toolkit.report.sampling import sample
from toolkit.rules import check_row
from toolkit.schema import Row
from toolkit.sources.layout import open_source
from toolkit.sources.manifest import MANIFEST, read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.sources.skips import Skips
from toolkit.streaming.dataset import StreamingDataset
from unifiedvisual import load_dataset

LIES = {
    "bad_text": ("answer", raw([b"a", b"\xff", b"c"])),
    "bad_columns": ("messages", None),
}


@pytest.fixture(params=LIES)
def lying(request, tmp_path):
    """Three rows, the second of which is of the kind in `name`."""
    pack_rows(demo_rows("image_editing", 3), tmp_path)
    shard, manifest = min(tmp_path.rglob("*.parquet")), tmp_path / MANIFEST
    table = pq.read_table(shard)
    column, values = LIES[request.param]
    if values is None:
        values = pa.array([value if number != 1 else None for number, value in enumerate(table[column].to_pylist())])
    place = table.column_names.index(column)
    pq.write_table(
        table.set_column(place, table.schema.field(place), values.cast(table.schema.field(place).type)), shard
    )
    content = json.loads(manifest.read_bytes())
    data = shard.read_bytes()
    content["shards"][0] |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "footer_crc32": None}
    write_manifest(tmp_path, content)
    return request.param, tmp_path


def test_verify_names_it_and_reads_on(lying):
    kind, folder = lying
    findings = verify_packed(LocalFolder(folder))
    assert [found for found, _ in findings.problems] == [kind]
    assert findings.rows == {"image_editing": 3}


def test_it_is_a_bad_row_that_may_be_skipped(lying):
    kind, folder = lying
    source, skips = open_source(folder), Skips(on_bad_row="skip")
    assert [row.id for row in source.read("image_editing", skips)] == ["ie-0000", "ie-0002"]
    assert dict(skips.counts) == {kind: 1}
    with pytest.raises(RowError) as raised:
        list(source.read("image_editing"))
    assert raised.value.kind == kind


def test_a_stream_ends_with_one_of_our_errors_or_gives_what_is_there(lying):
    kind, folder = lying
    stream = StreamingDataset(str(folder), decode=None, shuffle=False, rank=0, world_size=1)
    if kind == "bad_text":
        with pytest.raises(RowError, match="utf-8"):
            list(stream)
    else:
        assert [row["messages"] is None for row in stream] == [False, True, False]


@pytest.mark.parametrize("decode", [None, "exact"])
def test_a_path_of_an_image_that_is_no_text_ends_in_one_of_our_errors(tmp_path, decode):
    pack_rows(demo_rows("image_editing", 1), tmp_path)
    path = min(tmp_path.rglob("*.parquet"))
    named = pq.read_table(path)["images"][0].as_py()[0]["path"].encode()
    data = path.read_bytes()
    assert named in data
    path.write_bytes(data.replace(named, b"\xff" + named[1:]))
    stream = StreamingDataset(str(tmp_path), decode=decode, image_size=8 if decode else None, rank=0, world_size=1)
    with pytest.raises(RowError, match=r"a row cannot be read: .*utf-8"):
        list(stream)


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [("images", [{"bytes": True, "path": ""}], "empty_image"), ("task", None, "bad_text"), ("id", None, "bad_text")],
)
def test_a_row_of_other_types_is_a_bad_row(column, value, kind):
    deep = []
    for _ in range(3_000):
        deep = [deep]
    columns = next(iter(demo_rows("mm_internet", 1))).to_dict()
    changed = {**columns, column: deep if value is None else value * len(columns[column])}
    with pytest.raises(RowError) as raised:
        check_row(Row.from_dict(changed))
    assert raised.value.kind == kind


NULLS = {
    "merge": lambda source, out: merge([source, source], out, ids="prefix"),
    "select": lambda source, out: select(source, out, sample=1),
    "deduplicate": deduplicate,
}


@pytest.fixture
def rewritten(tmp_path):
    """Writes three rows, a column of which is changed; the manifest is true but for what a test changes."""

    def write(column="answer", change=lambda value: value, *, has_checksums=True, **told):
        folder = tmp_path / "packed"
        pack_rows(demo_rows("image_editing", 3), folder)
        shard = min(folder.rglob("*.parquet"))
        table = pq.read_table(shard)
        place = table.column_names.index(column)
        values = pa.array(map(change, table[column].to_pylist()), table.schema.field(place).type)
        table = table.set_column(place, table.schema.field(place), values)
        pq.write_table(table, shard, compression="none", use_dictionary=False, write_page_checksum=has_checksums)
        tell(folder, shard, **told)
        return folder

    return write


def tell(folder, shard, **told):
    content, data = json.loads((folder / MANIFEST).read_bytes()), shard.read_bytes()
    true = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "footer_crc32": None}
    content["shards"][0] |= true | told
    write_manifest(folder, content)


@pytest.mark.parametrize("told", [{"bytes": 1 << 30}, {"image_bytes": 1}, {"quadrants": {"mm-mm": 2}}], ids=str)
def test_verify_compares_each_number_of_the_manifest(rewritten, told):
    [(kind, message)] = verify_packed(LocalFolder(rewritten(**told))).problems
    assert kind == "wrong_count"
    assert f"{MANIFEST} says {next(iter(told.values()))}" in message


def test_verify_reads_as_strictly_as_others_a_page_whose_bytes_are_not_those_of_its_checksum(rewritten):
    folder = rewritten()
    shard = min(folder.rglob("*.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 0x55
    shard.write_bytes(data)
    tell(folder, shard)
    assert [kind for kind, _ in verify_packed(LocalFolder(folder)).problems] == ["unreadable_shard"]


def test_verify_says_where_pages_lack_the_checksums_that_the_manifest_promises(rewritten):
    folder = rewritten(has_checksums=False, page_checksums=True)
    assert [kind for kind, _ in verify_packed(LocalFolder(folder)).problems] == ["no_checksum"]


def test_verify_compares_the_footers_checksum(rewritten):
    folder = rewritten(footer_crc32=1)
    [(kind, message)] = verify_packed(LocalFolder(folder)).problems
    assert kind == "wrong_hash"
    assert message.endswith("; MANIFEST.json says 1")
    with pytest.raises(ShardError, match="footer does not have the checksum"):
        list(StreamingDataset(rewritten(footer_crc32=1, page_checksums=True), verify=True))


@pytest.mark.parametrize("command", NULLS)
def test_null_for_a_text_stops_what_copies_rows_unread(rewritten, tmp_path, command):
    with pytest.raises(RowError, match="rows have null for 'license'"):
        NULLS[command](rewritten("license", lambda value: None), tmp_path / "out")


@pytest.mark.parametrize("command", [*NULLS, "load_dataset"])
def test_text_that_is_not_utf_8_stops_what_copies_rows_unread(tmp_path, command):
    pack_rows(demo_rows("image_editing", 3), tmp_path / "packed")
    shard = min(tmp_path.rglob("*.parquet"))
    table = pq.read_table(shard)
    lying = table.set_column(table.column_names.index("source"), "source", raw([b"a", b"\xff", b"c"]))
    pq.write_table(lying, shard)
    tell(tmp_path / "packed", shard)
    read = {**NULLS, "load_dataset": lambda source, out: list(load_dataset(str(source), split="train", streaming=True))}
    with pytest.raises(RowError, match="'source' has text that is not UTF-8"):
        read[command](tmp_path / "packed", tmp_path / "out")


@pytest.mark.parametrize("column", ["messages", "images"])
def test_null_for_a_list_stops_a_merge_that_renames(rewritten, tmp_path, column):
    folder = rewritten(column, lambda value: None)
    with pytest.raises(RowError, match=f"rows have null for '{column}'"):
        merge([folder, folder], tmp_path / "out", ids="prefix")


def test_null_for_an_image_stops_what_compares_images(rewritten, tmp_path):
    with pytest.raises(RowError, match="rows have null for 'images'"):
        select(rewritten("images", lambda value: [None] * len(value)), tmp_path / "out", split={"train": 1})


def test_null_deep_in_a_message_stops_what_copies_rows_unread(rewritten, tmp_path):
    turns = [{"role": "user", "content": [{"type": "text", "text": None}]}]
    with pytest.raises(RowError, match="rows have null for 'messages'"):
        select(rewritten("messages", lambda value: turns), tmp_path / "out", sample=1)


def test_the_card_shows_the_first_row_that_keeps_the_rules(rewritten):
    seen = iter(range(3))
    folder = rewritten("quadrant", lambda value: value if next(seen) else "text-text")
    assert first_rows(LocalFolder(folder), read_manifest(LocalFolder(folder)))["image_editing"].id == "ie-0001"


def test_a_column_that_is_there_twice_is_an_error(rewritten):
    folder = rewritten()
    shard = min(folder.rglob("*.parquet"))
    table = pq.read_table(shard)
    pq.write_table(table.append_column("id", table["id"]), shard)
    tell(folder, shard)
    with pytest.raises(ShardError, match="columns"):
        list(open_source(folder).read("image_editing"))
    with pytest.raises(SourceError, match="'id' differ"):
        deduplicate(folder, folder.parent / "out")


def test_null_for_a_text_stops_what_scores_rows(rewritten, tmp_path):
    with pytest.raises(RowError, match="instruction is None"):
        align(rewritten("instruction", lambda value: None), tmp_path / "out")


@pytest.mark.parametrize("change", [lambda value: None, lambda value: [None] * len(value)])
def test_null_for_an_image_is_a_bad_image_of_a_stream(rewritten, change):
    folder = rewritten("images", change)
    with pytest.raises(ImageError) as raised:
        list(StreamingDataset(str(folder), rank=0, world_size=1))
    assert raised.value.kind == "empty"


def test_columns_that_cannot_become_those_of_a_row_are_an_error(tmp_path):
    pack_rows(demo_rows("image_editing", 3), tmp_path)
    shard = min(tmp_path.rglob("*.parquet"))
    table = pq.read_table(shard)
    place = table.column_names.index("images")
    pq.write_table(table.set_column(place, "images", pa.array([["a.png"]] * 3)), shard)
    tell(tmp_path, shard)
    source = open_source(tmp_path)
    for read in (
        lambda: list(source.read("image_editing")),
        lambda: sample(source, ["image_editing"], rows=1, seed=0, skips=Skips()),
    ):
        with pytest.raises(ShardError, match="columns of other types"):
            read()
    with pytest.raises(ShardError, match="expected lists of bytes and path"):
        list(StreamingDataset(str(tmp_path), rank=0, world_size=1))


def test_a_page_leaves_out_rows_without_text_and_counts_them(rewritten):
    skips = Skips(on_bad_row="skip")
    source = open_source(rewritten("license", lambda value: None))
    assert sample(source, ["image_editing"], rows=3, seed=0, skips=skips)["image_editing"].rows == ()
    assert skips.counts == {"bad_text": 3}


def test_a_shard_without_one_of_the_columns_is_not_streamed(tmp_path):
    pack_rows(demo_rows("image_editing", 2), tmp_path)
    shard, manifest = min(tmp_path.rglob("*.parquet")), tmp_path / MANIFEST
    pq.write_table(pq.read_table(shard).drop_columns(["origin"]), shard, compression="none", use_dictionary=False)
    content = json.loads(manifest.read_bytes())
    content["shards"][0]["bytes"] = shard.stat().st_size
    write_manifest(tmp_path, content)
    with pytest.raises(ShardError, match=r"no columns .*origin"):
        list(StreamingDataset(str(tmp_path), decode=None, rank=0, world_size=1))


@pytest.mark.parametrize("size", ["12", -1, None, 1.5, 1 << 64])
def test_a_hub_that_tells_no_size_is_an_error(hub, tmp_path, size):
    pack_rows(demo_rows("image_editing", 2), tmp_path)
    hub.add_folder("org/set", tmp_path)

    def garble(answer):
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"application/json" not in head or not body.startswith(b"["):
            return answer
        body = json.dumps([{**entry, "size": size, "lfs": None} for entry in json.loads(body)]).encode()
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        return b"\r\n".join([*lines, b"Content-Length: %d" % len(body)]) + b"\r\n\r\n" + body

    hub.garble = garble
    try:
        with pytest.raises(UnifiedVisualError):
            list(StreamingDataset("org/set", decode=None, rank=0, world_size=1))
    finally:
        hub.garble = None


def test_verify_names_an_image_that_plain_datasets_does_not_read(tmp_path):
    row = next(iter(demo_rows("mm_internet", 1)))
    text = b"a\0\0" + zlib.compress(bytes(2 << 20))
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text + zlib.crc32(b"zTXt" + text).to_bytes(4, "big")
    good = png("a")
    bombs = [image._replace(bytes=good[:33] + chunk + good[33:]) for image in row.images]
    pack_rows([replace(row, images=tuple(bombs))], tmp_path)
    with pytest.raises(ValueError, match="Decompressed data too large"):
        list(load_dataset(str(tmp_path), split="train", streaming=True))
    findings = verify_packed(LocalFolder(tmp_path), deep=True)
    assert findings.problems == ()
    assert [kind for kind, _ in findings.notes] == ["refused_by_pillow"] * len(bombs)
    assert f"row '{row.id}': images[0]: read here, but not by Pillow alone" in findings.notes[0][1]
