"""What a manifest says is checked before it is used: its numbers, and that its paths stay inside."""

import json
import os

import pytest

from tests.packed import pack_numbers, write_manifest
from toolkit.errors import ShardError, SourceError
from toolkit.sources.manifest import read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.streaming.dataset import StreamingDataset


@pytest.fixture
def packed(tmp_path):
    return pack_numbers(tmp_path / "packed", [[3, 2], [4]])


def change(packed, **values):
    """The first shard of the manifest says something else."""
    content = json.loads((packed / "MANIFEST.json").read_text())
    content["shards"][0] |= values
    write_manifest(packed, content)


@pytest.mark.parametrize(
    "values",
    [
        {"rows": -1},
        {"rows": "5"},
        {"rows": 5.0},
        {"rows": True},
        {"rows": None},
        {"bytes": -1},
        {"bytes": 10**400},
        {"images": 1 << 61},
        {"images": -2},
        {"image_bytes": []},
        {"row_groups": [-3, 8]},
        {"row_groups": [2.5, 2.5]},
        {"row_groups": ["3", "2"]},
        {"row_groups": 5},
        {"row_groups": [3]},
        {"rows": 1 << 62, "row_groups": [1 << 62]},
        {"quadrants": {"mm-mm": -1}},
        {"quadrants": []},
        {"quadrants": {"mars": 5}},
        {"sha256": None},
        {"sha256": "0" * 63},
        {"page_checksums": "yes"},
        {"footer_crc32": -1},
        {"footer_crc32": "00ff"},
        {"size": 1},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_refused(packed, values):
    change(packed, **values)
    with pytest.raises(SourceError, match=r"MANIFEST\.json: cannot be read \((Value|Type|Attribute)Error: "):
        read_manifest(LocalFolder(packed))


OTHER = {"name": "other", "description": 7}


@pytest.mark.parametrize(
    "values",
    [
        {"source": ["a"]},
        {"source": {"revision": 3}},
        {"options": None},
        {"skipped": {"image_editing": 3}},
        {"skipped": {"image_editing": {"missing_image": "many"}}},
        {"drawn_from": {"image_editing": [["a", "b"]]}},
        {"drawn_from": {"image_editing": [["a", None, 3]]}},
        {"drawn_from": {"image_editing": "abc"}},
        {"vocabulary": {"other": OTHER}},
    ],
    ids=str,
)
def test_what_is_told_beside_the_shards_has_its_form(packed, values):
    content = json.loads((packed / "MANIFEST.json").read_text())
    write_manifest(packed, content | values)
    with pytest.raises(SourceError, match=r"MANIFEST\.json: cannot be read \(ValueError: "):
        read_manifest(LocalFolder(packed))


def test_a_pipe_in_its_place_is_an_error_and_no_wait(packed):
    (packed / "MANIFEST.json").unlink()
    os.mkfifo(packed / "MANIFEST.json")
    with pytest.raises(SourceError, match="no regular file"):
        read_manifest(LocalFolder(packed))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../outside.parquet",
        "data/cot_collection/../../../outside.parquet",
        "data/cot_collection/a/b.parquet",
        "data/cot_collection/..\\b.parquet",
        "data/llava_cot/train-00000-of-00001.parquet",
        "data/cot_collection/train.txt",
        "data/cot_collection/a\0.parquet",
        "",
        7,
    ],
)
def test_paths_that_lead_elsewhere_are_refused(packed, path):
    change(packed, path=path)
    with pytest.raises(SourceError, match=r"MANIFEST\.json: cannot be read"):
        StreamingDataset(packed)


def test_a_path_that_is_listed_twice_is_refused(packed):
    content = json.loads((packed / "MANIFEST.json").read_text())
    content["shards"].append(content["shards"][0])
    write_manifest(packed, content)
    with pytest.raises(SourceError, match="a path is listed twice"):
        read_manifest(LocalFolder(packed))


def test_half_a_surrogate_pair_in_a_manifest_is_refused_where_it_is_read(packed):
    content = json.loads((packed / "MANIFEST.json").read_text())
    write_manifest(packed, content | {"source": {"repository": "\ud800"}})
    with pytest.raises(SourceError, match=r"MANIFEST\.json: cannot be read \(UnicodeEncodeError: "):
        read_manifest(LocalFolder(packed))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('"rows": 5', '"rows":   5', None),
        ('"name": "test"', '"name": "text"', "it was damaged or edited"),
        ('"image_bytes": 0', '"image_bytes": 1', "it was damaged or edited"),
        ('"checksum": "sha256:', '"checksum": "sha256:0', "it was damaged or edited"),
        ('"checksum"', '"Checksum"', "cannot be read"),
        ('"rows": 5', '"rows": 4, "rows": 5', None),
    ],
)
def test_a_manifest_with_another_word_or_number_is_not_believed(packed, before, after, told):
    text = (packed / "MANIFEST.json").read_text()
    assert before in text
    (packed / "MANIFEST.json").write_text(text.replace(before, after, 1))
    if told is None:
        assert sum(shard.rows for shard in read_manifest(LocalFolder(packed)).shards) == 9
    else:
        with pytest.raises(SourceError, match=rf"{told}.*download it again, or pack again"):
            read_manifest(LocalFolder(packed))


def test_a_manifest_without_its_checksum_is_not_believed_unless_it_is_older(packed):
    content = json.loads((packed / "MANIFEST.json").read_text())
    checksum = content.pop("checksum")
    (packed / "MANIFEST.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match="its checksum is missing"):
        read_manifest(LocalFolder(packed))
    older = json.dumps(content | {"format": 1}, indent=1, sort_keys=True) + "\n"
    (packed / "MANIFEST.json").write_text(older)
    assert read_manifest(LocalFolder(packed)).to_json() == older
    assert len(list(StreamingDataset(packed, rank=0, world_size=1))) == 9
    (packed / "MANIFEST.json").write_text(json.dumps(content | {"format": 1, "checksum": checksum}))
    with pytest.raises(SourceError, match="it was damaged or edited"):
        read_manifest(LocalFolder(packed))


def test_a_manifest_without_one_of_its_shards_is_not_believed_from_the_hub_either(packed, hub):
    content = json.loads((packed / "MANIFEST.json").read_text())
    (packed / "MANIFEST.json").write_text(json.dumps(content | {"shards": content["shards"][:1]}))
    hub.add_folder("me/short", packed)
    with pytest.raises(SourceError, match="it was damaged or edited"):
        StreamingDataset("me/short")


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", "[" * 100_000, '{"format": 1}', '{"format": 2}', '{"format": 3}', "\xff"]
)
def test_a_manifest_that_is_none_is_a_source_error(packed, text):
    (packed / "MANIFEST.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=r"MANIFEST\.json: "):
        read_manifest(LocalFolder(packed))


def test_a_shard_of_another_size_than_the_manifest_says_is_told_when_the_dataset_is_opened(packed):
    shard = next(packed.rglob("train-00001*.parquet"))
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes() + b"more")
    with pytest.raises(ShardError, match=rf"has {size + 4:,} bytes; MANIFEST\.json says {size:,} bytes"):
        StreamingDataset(packed)
    shard.unlink()
    with pytest.raises(ShardError, match="is not there"):
        StreamingDataset(packed)
