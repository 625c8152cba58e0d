"""The loopback Hub against unmodified huggingface_hub and datasets clients."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import datasets
import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub import LoopbackHub

REPO = "org/name"
HF_PATH = f"hf://datasets/{REPO}"
LETTERS = bytes(range(256)) * 400  # 102,400 bytes that tell their own position
LETTERS_OID = "db15ba9928a4e1345de7b1a4ab7a23a3d6794720"  # what `git hash-object` says


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """README.md and data/letters.txt are plain git files, data/train-0.parquet (1,000 rows) goes to LFS."""
    (tmp_path / "repo" / "data").mkdir(parents=True)
    pq.write_table(
        pa.table({"x": list(range(1000))}), tmp_path / "repo" / "data" / "train-0.parquet", row_group_size=100
    )
    (tmp_path / "repo" / "data" / "letters.txt").write_bytes(LETTERS)
    (tmp_path / "repo" / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: data/*.parquet\n---\n# A card\n"
    )
    return tmp_path / "repo"


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    return HfApi(token=hub.token)


def download(filename: str, *, revision: str | None = None, token: str | None = None) -> bytes:
    return Path(hf_hub_download(REPO, filename, repo_type="dataset", revision=revision, token=token)).read_bytes()


def sent_for(hub: LoopbackHub, path: str) -> list[tuple[str, int, int]]:
    return [
        (request.range, request.status, request.sent)
        for request in hub.requests
        if request.method == "GET" and request.path.endswith(path)
    ]


def contents_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


# Reading


@pytest.mark.parametrize("redirects", [True, False])
def test_load_dataset_reads_a_parquet_repository(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, redirects: bool
) -> None:
    monkeypatch.setattr(hub, "redirects", redirects)
    hub.add_folder(REPO, folder)
    assert datasets.load_dataset(REPO, split="train")["x"][:] == list(range(1000))


def test_load_dataset_streams_a_parquet_repository_to_the_end(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    assert [row["x"] for row in datasets.load_dataset(REPO, split="train", streaming=True)] == list(range(1000))


@pytest.mark.slow
def test_load_dataset_streams_in_another_process(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    script = f"""
import datasets, os
print(next(iter(datasets.load_dataset({REPO!r}, split="train", streaming=True))), flush=True)
os._exit(0)  # a packaged Parquet stream left early aborts the interpreter at exit
"""
    without_torch = {**os.environ, "USE_TORCH": "0"}  # which datasets would import for a stream
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True, env=without_torch
    )
    assert done.stdout == "{'x': 0}\n"


def test_hf_file_system_reads_blocks(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    with HfFileSystem().open(f"{HF_PATH}/data/letters.txt", "rb", block_size=1000, cache_type="bytes") as file:
        file.seek(50_000)
        assert file.read(10) == LETTERS[50_000:50_010]
        assert file.read(10) == LETTERS[50_010:50_020]
    assert sent_for(hub, "letters.txt") == [("bytes=50000-51009", 206, 1010)]


def test_hf_file_system_streams_with_block_size_0(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    with HfFileSystem().open(f"{HF_PATH}/data/letters.txt", "rb", block_size=0) as file:
        assert file.read(300) == LETTERS[:300]
        assert file.read() == LETTERS[300:]
    assert sent_for(hub, "letters.txt") == [("", 200, len(LETTERS))]


def test_hf_file_system_lists_folders_and_files(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    fs = HfFileSystem()
    assert fs.ls(HF_PATH, detail=False) == [f"datasets/{REPO}/README.md", f"datasets/{REPO}/data"]
    assert fs.glob(f"{HF_PATH}/**/*.parquet") == [f"datasets/{REPO}/data/train-0.parquet"]
    assert fs.info(f"{HF_PATH}/data/letters.txt")["size"] == len(LETTERS)


def test_hf_hub_download_sends_no_body_again_when_cached(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    parquet = (folder / "data" / "train-0.parquet").read_bytes()
    assert [download("data/train-0.parquet") for _ in range(2)] == [parquet, parquet]
    assert [sent for _, status, sent in sent_for(hub, "train-0.parquet") if status == 200] == [len(parquet)]


def test_snapshot_download_sends_no_body_again_when_cached(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    first = snapshot_download(REPO, repo_type="dataset")
    assert contents_of(Path(first)) == contents_of(folder)
    hub.requests.clear()
    assert snapshot_download(REPO, repo_type="dataset") == first
    assert not [request for request in hub.requests if request.method == "GET" and "/resolve/" in request.path]


def test_a_file_is_read_at_a_branch_a_tag_and_a_commit(hub: LoopbackHub, api: HfApi) -> None:
    first = hub.add_files(REPO, {"a.txt": b"one"})
    api.create_tag(REPO, tag="v1.0", repo_type="dataset")
    second = hub.add_files(REPO, {"a.txt": b"two"})
    hub.add_files(REPO, {"a.txt": b"three"}, revision="pr/draft")
    revisions = ("main", "v1.0", "pr/draft", first, second)
    assert [download("a.txt", revision=revision) for revision in revisions] == [
        b"two",
        b"one",
        b"three",
        b"one",
        b"two",
    ]


def test_dataset_info_describes_plain_and_lfs_files(hub: LoopbackHub, folder: Path, api: HfApi) -> None:
    commit = hub.add_folder(REPO, folder)
    info = api.dataset_info(REPO, files_metadata=True)
    files = {sibling.rfilename: sibling for sibling in info.siblings or []}
    assert (info.sha, info.private, files["data/letters.txt"].blob_id) == (commit, False, LETTERS_OID)
    lfs = files["data/train-0.parquet"].lfs
    assert lfs is not None
    assert lfs.sha256 == hashlib.sha256((folder / "data" / "train-0.parquet").read_bytes()).hexdigest()


def test_listing_follows_pages(hub: LoopbackHub, api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "page_entries", 7)
    names = sorted(f"data/part {number:02} #?.txt" for number in range(20))
    hub.add_files(REPO, dict.fromkeys(names, b"x"))
    assert api.list_repo_files(REPO, repo_type="dataset") == names
    assert sorted(HfFileSystem().find(HF_PATH)) == [f"datasets/{REPO}/{name}" for name in names]
    assert [file.path for file in api.list_repo_tree(REPO, "data", repo_type="dataset", expand=True)] == names
    assert [request.status for request in hub.requests if request.path.endswith("/tree/main")] == [200] * 3 * 2


def test_a_large_file_is_served_from_disk(hub: LoopbackHub, tmp_path: Path) -> None:
    big = tmp_path / "big.txt"
    with big.open("wb") as file:
        file.truncate(11 << 20)
        file.seek(10 << 20)
        file.write(b"here")
    commit = hub.add_files(REPO, {"big.txt": big})
    assert hub.repositories[REPO].commits[commit].files["big.txt"].content == big
    with HfFileSystem().open(f"{HF_PATH}/big.txt", "rb", block_size=1024, cache_type="none") as remote:
        remote.seek(10 << 20)
        assert remote.read(4) == b"here"


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=2-5", 2, 6),
        ("bytes=102000-", 102_000, 102_400),
        ("bytes=-3", 102_397, 102_400),
        ("bytes=102399-999999", 102_399, 102_400),
    ],
)
def test_a_range_is_answered_with_its_bytes(hub: LoopbackHub, header: str, start: int, end: int) -> None:
    hub.add_files(REPO, {"letters.txt": LETTERS})
    answer = httpx2.get(f"{hub.url}/datasets/{REPO}/resolve/main/letters.txt", headers={"Range": header})
    assert (answer.status_code, answer.content) == (206, LETTERS[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/102400"
    assert sent_for(hub, "letters.txt") == [(header, 206, end - start)]


@pytest.mark.parametrize("header", ["bytes=102400-", "bytes=5-2", "rows=1-2"])
def test_a_range_outside_the_file_is_refused(hub: LoopbackHub, header: str) -> None:
    hub.add_files(REPO, {"letters.txt": LETTERS})
    answer = httpx2.get(f"{hub.url}/datasets/{REPO}/resolve/main/letters.txt", headers={"Range": header})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */102400")


# Not there, not allowed


def test_what_is_missing_raises_the_clients_own_error(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    with pytest.raises(EntryNotFoundError):
        download("nothing.txt")
    with pytest.raises(RevisionNotFoundError):
        download("README.md", revision="v9")
    for token in (False, hub.token):
        with pytest.raises(RepositoryNotFoundError):
            api.dataset_info("org/nothing", token=token)
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree(REPO, "nothing", repo_type="dataset"))
    with pytest.raises(FileNotFoundError):
        HfFileSystem().open(f"{HF_PATH}/nothing.txt", "rb")
    with pytest.raises(datasets.exceptions.DatasetNotFoundError):
        datasets.load_dataset("org/nothing")


def test_a_private_repository_needs_the_token(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder, private=True)
    with pytest.raises(RepositoryNotFoundError) as without:
        download("README.md")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as wrong:
        HfApi(token="hf_wrong").dataset_info(REPO)
    assert (without.value.response.status_code, wrong.value.response.status_code) == (401, 401)
    assert download("data/train-0.parquet", token=hub.token) == (folder / "data" / "train-0.parquet").read_bytes()


def test_a_gated_repository_is_listed_but_not_read_without_the_token(hub: LoopbackHub, folder: Path) -> None:
    hub.add_folder(REPO, folder, gated=True)
    assert HfApi().dataset_info(REPO).gated == "auto"
    with pytest.raises(GatedRepoError):
        download("README.md")
    assert download("README.md", token=hub.token) == (folder / "README.md").read_bytes()


def test_writing_needs_the_token(hub: LoopbackHub) -> None:
    hub.add_files(REPO, {"a.txt": b"a"})
    with pytest.raises(HfHubHTTPError, match="401"):
        HfApi().create_repo("org/new", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError, match="401"):
        HfApi().delete_file("a.txt", REPO, repo_type="dataset")


def test_whoami_knows_the_token(hub: LoopbackHub, api: HfApi) -> None:
    assert api.whoami()["name"] == "loopback"
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(token="hf_wrong").whoami()


# Writing


def test_create_repo_conflicts_unless_exist_ok(hub: LoopbackHub, api: HfApi) -> None:
    assert api.create_repo(REPO, repo_type="dataset", private=True).repo_id == REPO
    assert api.create_repo(REPO, repo_type="dataset", exist_ok=True).repo_id == REPO
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo(REPO, repo_type="dataset")
    assert api.dataset_info(REPO).private
    assert api.list_repo_files(REPO, repo_type="dataset") == [".gitattributes"]
    api.delete_repo(REPO, repo_type="dataset")
    assert not api.repo_exists(REPO, repo_type="dataset")


@pytest.mark.parametrize("part_bytes", [64 << 20, 3000])
def test_an_uploaded_folder_comes_back_byte_for_byte(
    hub: LoopbackHub, api: HfApi, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    monkeypatch.setattr(hub, "part_bytes", part_bytes)  # the Parquet file has about 7,000 bytes: one part, or three
    api.create_repo(REPO, repo_type="dataset")
    commit = api.upload_folder(repo_id=REPO, folder_path=folder, repo_type="dataset", commit_message="All of it")
    back = snapshot_download(REPO, repo_type="dataset", local_dir=tmp_path / "back", revision=commit.oid)
    assert contents_of(Path(back)) == contents_of(folder) | {
        ".gitattributes": hub.repositories[REPO].at("main").files[".gitattributes"].content
    }
    assert sum(request.method == "PUT" for request in hub.requests) == (1 if part_bytes > 10_000 else 3)
    assert [commit.title for commit in api.list_repo_commits(REPO, repo_type="dataset")] == [
        "All of it",
        "initial commit",
    ]


def test_an_unchanged_folder_is_not_uploaded_again(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    commit = hub.add_folder(REPO, folder)
    assert api.upload_folder(repo_id=REPO, folder_path=folder, repo_type="dataset").oid == commit
    assert not [request for request in hub.requests if request.method == "PUT" or "/commit/" in request.path]


def test_files_are_added_copied_and_deleted_on_a_branch(hub: LoopbackHub, api: HfApi, folder: Path) -> None:
    hub.add_folder(REPO, folder)
    api.create_branch(REPO, branch="draft", repo_type="dataset")
    changes = (
        CommitOperationAdd("b.txt", b"b"),
        CommitOperationCopy("data/train-0.parquet", "copy.parquet"),
        CommitOperationDelete("data/"),
    )
    api.create_commit(REPO, changes, commit_message="Move", repo_type="dataset", revision="draft")
    api.delete_file("README.md", REPO, repo_type="dataset", revision="draft")
    api.upload_file(path_or_fileobj=b"c", path_in_repo="c.txt", repo_id=REPO, repo_type="dataset", revision="draft")
    assert api.list_repo_files(REPO, repo_type="dataset", revision="draft") == ["b.txt", "c.txt", "copy.parquet"]
    assert api.list_repo_files(REPO, repo_type="dataset") == ["README.md", "data/letters.txt", "data/train-0.parquet"]
    with pytest.raises(EntryNotFoundError):
        api.delete_file("README.md", REPO, repo_type="dataset", revision="draft")


def test_a_branch_is_made_once_and_deleted_once(hub: LoopbackHub, api: HfApi) -> None:
    commit = hub.add_files(REPO, {"a.txt": b"a"})
    api.create_branch(REPO, branch="one/two", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_branch(REPO, branch="one/two", repo_type="dataset")
    branches = api.list_repo_refs(REPO, repo_type="dataset").branches
    assert [(branch.name, branch.target_commit) for branch in branches] == [("main", commit), ("one/two", commit)]
    api.delete_branch(REPO, branch="one/two", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.delete_branch(REPO, branch="one/two", repo_type="dataset")


def test_a_tag_is_made_once_and_deleted_once(hub: LoopbackHub, api: HfApi) -> None:
    commit = hub.add_files(REPO, {"a.txt": b"a"})
    api.create_tag(REPO, tag="v1.0", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(REPO, tag="v1.0", repo_type="dataset")
    assert [(tag.name, tag.target_commit) for tag in api.list_repo_refs(REPO, repo_type="dataset").tags] == [
        ("v1.0", commit)
    ]
    api.delete_tag(REPO, tag="v1.0", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(REPO, tag="v1.0", repo_type="dataset")


def test_a_commit_on_a_branch_that_moved_is_refused(hub: LoopbackHub, api: HfApi) -> None:
    first = hub.add_files(REPO, {"a.txt": b"one"})
    hub.add_files(REPO, {"a.txt": b"two"})
    with pytest.raises(HfHubHTTPError, match="412"):
        api.upload_file(
            path_or_fileobj=b"mine", path_in_repo="a.txt", repo_id=REPO, repo_type="dataset", parent_commit=first
        )
    assert download("a.txt") == b"two"


def test_an_lfs_upload_with_another_sha256_is_refused(hub: LoopbackHub, api: HfApi) -> None:
    answer = httpx2.put(f"{hub.url}/lfs/{'0' * 64}", content=b"x")
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        f"content has sha256 {hashlib.sha256(b'x').hexdigest()}, not {'0' * 64}",
    )
    assert hub.lfs == {}


# Faults: huggingface_hub waits a second before it tries again


@pytest.mark.parametrize("kind", ["429", "500", "503"])
def test_a_listing_recovers_from_a_passing_fault(hub: LoopbackHub, api: HfApi, kind: str) -> None:
    hub.add_files(REPO, {"a.txt": b"a"})
    hub.fail(kind, path="/tree/")
    assert api.list_repo_files(REPO, repo_type="dataset") == ["a.txt"]
    assert [request.status for request in hub.requests if "/tree/" in request.path] == [int(kind), 200]


def test_a_429_says_how_long_to_wait(hub: LoopbackHub) -> None:
    hub.fail("429", retry_after_s=7)
    assert httpx2.get(f"{hub.url}/api/whoami-v2").headers["Retry-After"] == "7"


@pytest.mark.parametrize("kind", ["401", "500"])
def test_a_call_without_retries_raises(hub: LoopbackHub, api: HfApi, kind: str) -> None:
    hub.add_files(REPO, {"a.txt": b"a"})
    hub.fail(kind, path="/api/datasets/")
    with pytest.raises(HfHubHTTPError, match=kind):
        api.dataset_info(REPO)
    assert api.dataset_info(REPO).id == REPO


def test_a_download_that_is_cut_goes_on_where_it_ended(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000
    )  # less than a whole chunk (10 MB) would be thrown away
    hub.add_files(REPO, {"a.bin": LETTERS})
    hub.fail("cut", path="a.bin", after_bytes=40_000)
    assert download("a.bin") == LETTERS
    assert sent_for(hub, "a.bin") == [("", 200, 40_000), ("bytes=40000-", 206, 62_400)]


def test_a_block_that_is_cut_is_read_again(hub: LoopbackHub) -> None:
    hub.add_files(REPO, {"a.txt": LETTERS})
    hub.fail("cut", path="a.txt", after_bytes=5)
    with HfFileSystem().open(f"{HF_PATH}/a.txt", "rb", block_size=100, cache_type="none") as file:
        file.seek(7)
        assert file.read(10) == LETTERS[7:17]
    assert sent_for(hub, "a.txt") == [("bytes=7-16", 206, 5), ("bytes=7-16", 206, 10)]


def test_a_stream_that_is_cut_every_time_raises(hub: LoopbackHub) -> None:
    hub.add_files(REPO, {"a.txt": LETTERS})
    hub.fail("cut", path="a.txt", times=9, after_bytes=5)
    with HfFileSystem().open(f"{HF_PATH}/a.txt", "rb", block_size=0) as file, pytest.raises(httpx2.RemoteProtocolError):
        file.read()


def test_a_slow_download_takes_its_time(hub: LoopbackHub) -> None:
    hub.add_files(REPO, {"a.txt": LETTERS})
    hub.fail("slow", path="a.txt", chunk_bytes=20_000, delay_s=0.05)
    started = time.monotonic()
    assert download("a.txt") == LETTERS
    assert time.monotonic() - started > 0.25  # six pieces


def test_a_download_that_hangs_is_tried_again_after_its_timeout(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    hub.add_files(REPO, {"a.txt": LETTERS})
    hub.fail("hang", method="GET", path="a.txt", delay_s=30)
    assert download("a.txt") == LETTERS
    assert [status for _, status, _ in sent_for(hub, "a.txt")] == [0, 200]


def test_an_upload_recovers_from_a_passing_fault(hub: LoopbackHub, api: HfApi) -> None:
    hub.add_files(REPO, {"a.txt": b"a"})
    hub.fail("503", method="PUT")
    api.upload_file(path_or_fileobj=LETTERS, path_in_repo="letters.bin", repo_id=REPO, repo_type="dataset")
    assert download("letters.bin") == LETTERS


# The Hub itself


def test_a_closed_hub_leaves_no_socket_and_no_thread() -> None:
    script = """
import threading, http.client
from tests.hub import LoopbackHub
with LoopbackHub() as hub:
    connection = http.client.HTTPConnection(hub.url.removeprefix("http://"))
    connection.request("GET", "/api/datasets/org/name")
    print(connection.getresponse().read())
print(hub._server.connections, threading.active_count())
connection.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ('b\'{"error": "Repository not found"}\'\nset() 1\n', "")


def test_an_unknown_fault_is_refused(hub: LoopbackHub) -> None:
    with pytest.raises(ValueError, match="unknown fault 'teapot'"):
        hub.fail("teapot")


def test_reset_forgets_everything(hub: LoopbackHub) -> None:
    hub.add_files(REPO, {"a.parquet": b"a"})
    hub.fail("500")
    hub.reset()
    assert httpx2.get(f"{hub.url}/api/datasets/{REPO}").status_code == 401
    assert [request.path for request in hub.requests] == [f"/api/datasets/{REPO}"]
    assert (hub.faults, hub.lfs) == ([], {})
