"""Datasets merged without downloading: shards stay on the Hub, and every reader finds them there."""

import json
from dataclasses import replace

import datasets
import huggingface_hub
import pytest

import unifiedvisual
from dataset_card import read_croissant, write_card
from tests.replicas import truth
from tests.test_pack import SMALL, content
from toolkit.cli.app import main
from toolkit.errors import SourceError, UsageError
from toolkit.packing.push import plan_push
from toolkit.packing.verify import verify_packed
from toolkit.sources.manifest import MANIFEST
from toolkit.sources.references import REFERENCES
from toolkit.sources.repository import LocalFolder, open_repository
from unifiedvisual import StreamingDataset, merge, pack_rows, select

EDITING, REASONING = truth()["image_editing"], truth()["cot_collection"]
NEW = [replace(row, id=f"new-{number}") for number, row in enumerate(EDITING)]
IDS = [row.id for row in (*EDITING, *NEW, *REASONING)]
SHARD = "data/image_editing/train-00001-of-00002.parquet"


@pytest.fixture
def fused(tmp_path, hub):
    """A dataset of this machine and one of the Hub, merged."""
    pack_rows([*EDITING, *REASONING], tmp_path / "a", SMALL)
    pack_rows(NEW, tmp_path / "b", SMALL)
    hub.add_folder("me/new", tmp_path / "b")
    merge([tmp_path / "a", "hf://datasets/me/new"], tmp_path / "fused", reference=True)
    return tmp_path / "fused"


@pytest.fixture
def whole(fused, tmp_path):
    """The same with all shards in the folder."""
    merge([tmp_path / "a", "hf://datasets/me/new"], tmp_path / "whole")
    return tmp_path / "whole"


def rows_of(folder):
    return [row["id"] for row in unifiedvisual.load_dataset(str(folder), split="train", streaming=True)]


def test_shards_of_the_hub_stay_there(fused):
    there = list((fused / "data").rglob("*.parquet"))
    references = json.loads((fused / REFERENCES).read_text())
    assert len(there) == 4
    assert sorted(references) == [f"data/image_editing/train-0000{number}-of-00006.parquet" for number in (3, 4, 5)]
    commit = huggingface_hub.HfApi().dataset_info("me/new").sha
    assert [each["url"] for _, each in sorted(references.items())] == [
        f"hf://datasets/me/new@{commit}/data/image_editing/train-0000{number}-of-00003.parquet" for number in (0, 1, 2)
    ]


def test_every_reader_finds_them(fused, whole, tmp_path):
    assert (fused / "MANIFEST.json").read_bytes() == (whole / "MANIFEST.json").read_bytes()
    assert verify_packed(open_repository(fused), deep=True).problems == ()
    assert rows_of(fused) == IDS
    assert unifiedvisual.load_dataset(str(fused), split="train")["id"][:] == IDS
    assert sorted(row["id"] for row in StreamingDataset(fused)) == sorted(IDS)
    by_hash = {"split": {"train": 0.5, "test": 0.5}}
    select(fused, tmp_path / "one", **by_hash)
    select(whole, tmp_path / "other", **by_hash)
    assert content(tmp_path / "one/data") == content(tmp_path / "other/data")
    assert content(tmp_path / "one/data")


def test_a_push_to_the_source_changes_nothing(fused, tmp_path, hub):
    pack_rows(REASONING, tmp_path / "c", SMALL)
    hub.add_folder("me/new", tmp_path / "c")
    assert rows_of(fused) == IDS


def test_the_token_is_that_of_the_call(fused, hub):
    hub.repositories["me/new"].private = True
    with pytest.raises(SourceError, match="me/new"):
        list(unifiedvisual.load_dataset(str(fused), split="train", streaming=True, token=False))
    loaded = unifiedvisual.load_dataset(str(fused), split="train", streaming=True, token=hub.token)
    assert [row["id"] for row in loaded] == IDS


def test_offline_they_are_read_from_the_cache_or_said_to_be_missing(fused, monkeypatch, hub):
    assert unifiedvisual.load_dataset(str(fused), "image_editing", split="train").num_rows == 2 * len(EDITING)
    hub.requests.clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert rows_of(fused) == IDS
    assert hub.requests == []


def test_offline_what_was_not_read_is_missing(fused, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"me/new@.*: offline, and not in the local cache; download it once"):
        rows_of(fused)


def test_a_merge_of_a_merge_refers_to_the_same_place(fused, tmp_path):
    pack_rows([replace(row, id=f"more-{row.id}") for row in REASONING], tmp_path / "c", SMALL)
    merge([fused, tmp_path / "c"], tmp_path / "again", reference=True)
    assert (tmp_path / "again" / REFERENCES).read_bytes() == (fused / REFERENCES).read_bytes()
    merge([fused, tmp_path / "c"], tmp_path / "brought")
    assert not (tmp_path / "brought" / REFERENCES).exists()
    assert rows_of(tmp_path / "again") == rows_of(tmp_path / "brought")


def test_ids_with_a_prefix_are_written_anew(fused, tmp_path):
    merge([tmp_path / "a", "hf://datasets/me/new"], tmp_path / "renamed", ids="prefix", reference=True)
    assert not (tmp_path / "renamed" / REFERENCES).exists()


def test_plain_datasets_reads_them_by_the_card(fused):
    write_card(fused)
    assert not (fused / "croissant.json").exists()
    assert datasets.load_dataset(str(fused), "all", split="train")["id"][:] == IDS
    streamed = datasets.load_dataset(str(fused), "image_editing", split="train", streaming=True)
    assert [row["id"] for row in streamed] == IDS[: 2 * len(EDITING)]


def test_shards_that_are_in_the_folder_become_links(fused, tmp_path):
    pack_rows([replace(row, id=f"more-{row.id}") for row in REASONING], tmp_path / "c", SMALL)
    merge([fused, tmp_path / "c"], tmp_path / "again")
    shard = "data/image_editing/train-00000-of-00006.parquet"
    assert (fused / shard).samefile(tmp_path / "again" / shard)


def test_croissant_tells_of_no_files_of_others(fused):
    with pytest.raises(UsageError, match="some of its shards are in other repositories"):
        read_croissant(str(fused))


def test_the_command_names_no_next_step_that_is_refused(fused, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["merge", str(tmp_path / "a"), "hf://datasets/me/new", str(fused), "--reference"])
    told = "".join(capsys.readouterr().out.split())
    assert f"unifiedvisualverify{fused}--deep" in told
    assert "push" not in told


def test_push_says_what_to_do(fused):
    with pytest.raises(UsageError, match="3 of 7 shards are in other datasets of the Hub"):
        plan_push(fused, "me/fused")


@pytest.mark.parametrize(
    ("path", "url", "message"),
    [
        (SHARD, "/etc/passwd.parquet", "expected hf://datasets/org/name@<40 hex"),
        (SHARD, "file:///etc/x.parquet", "expected hf://datasets/org/name@<40 hex"),
        (SHARD, "https://example.org/x.parquet", "expected hf://datasets/org/name@<40 hex"),
        (SHARD, "hf://datasets/me/new@main/x.parquet", "expected hf://datasets/org/name@<40 hex"),
        (SHARD, f"hf://datasets/me/new@{'0' * 40}/../x.parquet", "expected hf://datasets/org/name@<40 hex"),
        (SHARD, f"hf://datasets/me/new@{'0' * 40}/data/../x.parquet", "expected hf://datasets/org/name@<40 hex"),
        (SHARD, f"hf://models/me/new@{'0' * 40}/x.parquet", "expected hf://datasets/org/name@<40 hex"),
        ("data/../x.parquet", f"hf://datasets/me/new@{'0' * 40}/x.parquet", "is no data/<task>/<name>.parquet"),
        ("/data/a/x.parquet", f"hf://datasets/me/new@{'0' * 40}/x.parquet", "is no data/<task>/<name>.parquet"),
    ],
)
def test_nothing_else_is_referred_to(tmp_path, path, url, message):
    (tmp_path / MANIFEST).touch()
    (tmp_path / REFERENCES).write_text(json.dumps({path: {"url": url, "bytes": 1}}))
    with pytest.raises(SourceError, match=message):
        open_repository(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"data/a/x.parquet": 1}',
        '{"data/a/x.parquet": {"url": 1, "bytes": 1}}',
        f'{{"data/a/x.parquet": {{"url": "hf://datasets/a/b@{"0" * 40}/x.parquet", "bytes": {1 << 61}}}}}',
    ],
)
def test_a_damaged_list_is_an_error_of_a_packed_dataset(tmp_path, text):
    (tmp_path / REFERENCES).write_text(text)
    assert open_repository(tmp_path) == LocalFolder(tmp_path)  # a file of somebody else
    (tmp_path / MANIFEST).touch()
    with pytest.raises(SourceError, match="cannot be read"):
        open_repository(tmp_path)
