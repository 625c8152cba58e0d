"""Folders as they are found, addresses as people write them, and the Hub when it is slow, full or away."""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from huggingface_hub.hf_api import RepoFile

import unifiedvisual
from tests.hub import LoopbackHub
from tests.packed import pack_demo
from tests.replicas import ROWS_PER_TASK, replica
from toolkit.errors import SourceError, UsageError
from toolkit.packing.push import push
from toolkit.sources import hub as hub_module
from toolkit.sources import hub_waits
from toolkit.sources import repository as module
from toolkit.sources.hub import pinned_repository
from toolkit.sources.hub_waits import asked_wait_s
from toolkit.sources.manifest import read_manifest
from toolkit.sources.repository import LocalFolder, downloaded, folder_in, open_repository

# Folders


def test_links_to_a_folder_above_end_there(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.txt").write_text("abc")
    (tmp_path / "data/here").symlink_to(".")
    (tmp_path / "data/up").symlink_to("..")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "nowhere").symlink_to("missing")
    assert LocalFolder(tmp_path).list_files() == {"data/a.txt": 3}


def test_a_folder_behind_two_links_is_listed_under_both(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.txt").write_text("a")
    (tmp_path / "root").mkdir()
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "other")
    assert LocalFolder(tmp_path / "root").list_files() == {"one/a.txt": 1, "two/a.txt": 1}


def test_only_regular_files_that_are_not_hidden_are_listed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".hidden").write_text("a")
    (tmp_path / ".folder").mkdir()
    (tmp_path / ".folder/a").write_text("a")
    (tmp_path / "a").write_text("a")
    assert LocalFolder(tmp_path).list_files() == {"a": 1}


def test_names_of_files_need_not_be_utf_8(tmp_path):
    folder = tmp_path / os.fsdecode(b"f\xe9")
    folder.mkdir()
    (folder / os.fsdecode(b"\xe9.png")).write_bytes(b"abc")
    repository = open_repository(os.fsencode(folder))
    [(name, size)] = repository.list_files().items()
    assert (os.fsencode(name), size) == (b"\xe9.png", 3)
    first = repository.fingerprint([name])
    (repository.root / name).write_bytes(b"abcd")
    assert repository.fingerprint([name]) != first


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_an_error(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o000)
    with pytest.raises(SourceError, match="closed: cannot be listed: Permission denied"):
        LocalFolder(tmp_path).list_files()


def test_running_out_of_descriptors_says_which_setting_helps(tmp_path):
    (tmp_path / "a").write_text("a")
    script = f"""
import resource
from pathlib import Path
from toolkit.errors import SourceError
from toolkit.sources.repository import LocalFolder
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
try:
    files = [LocalFolder(Path({str(tmp_path)!r})).open("a") for _ in range(100)]
except SourceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "a: cannot be opened: too many open files; raise the limit (`ulimit -n`)" in done.stdout


# Addresses


@pytest.fixture
def asked(monkeypatch):
    """What would be opened on the Hub: repository, folder, revision."""
    seen = []

    def opened(repo_id, folder, revision, token):
        seen.append((repo_id, folder, revision))
        raise SourceError("not opened")

    monkeypatch.setattr(module, "_open_hub", opened)
    return seen


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("org/name", ("org/name", "", None)),
        ("org/name/", ("org/name", "", None)),
        ("hf://datasets/org/name", ("org/name", "", None)),
        ("hf://datasets/org/name/", ("org/name", "", None)),
        ("hf://datasets/org/name/sub/dir/", ("org/name", "sub/dir", None)),
        ("hf://datasets/org/name/./sub//dir/.", ("org/name", "sub/dir", None)),
        ("hf://datasets/org/name/.", ("org/name", "", None)),
        (b"org/name", ("org/name", "", None)),
        ("hf://datasets/org/name@v1.0/sub/dir", ("org/name", "sub/dir", "v1.0")),
        ("hf://datasets/org/name@main/", ("org/name", "", "main")),
        ("hf://datasets/org/name@refs/pr/1", ("org/name", "", "refs/pr/1")),
        ("hf://datasets/org/name@refs/pr/12/sub", ("org/name", "sub", "refs/pr/12")),
        ("hf://datasets/org/name@refs/convert/parquet/sub/dir", ("org/name", "sub/dir", "refs/convert/parquet")),
        ("hf://datasets/org/name@refs%2Fpr%2F1", ("org/name", "", "refs/pr/1")),
        ("hf://datasets/org/name@feature%2Fone/sub", ("org/name", "sub", "feature/one")),
    ],
)
def test_an_address_is_read_as_the_hub_client_does(asked, address, expected):
    with pytest.raises(SourceError):
        open_repository(address)
    assert asked == [expected]


def test_a_revision_is_given_once(asked):
    with pytest.raises(SourceError):
        open_repository("hf://datasets/org/name@v1", revision="v1")
    assert asked == [("org/name", "", "v1")]
    with pytest.raises(UsageError, match="names revision 'v1', and revision= is 'v2'; give one"):
        open_repository("hf://datasets/org/name@v1", revision="v2")


def test_a_folder_that_leads_out_of_a_repository_is_refused(asked):
    with pytest.raises(UsageError, match=r"folder 'a/\.\./\.\./b' leads out of the repository"):
        open_repository("hf://datasets/org/name/a/../../b")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("https://huggingface.co/datasets/org/name", "hf://datasets/org/name"),
        ("https://huggingface.co/datasets/org/name/", "hf://datasets/org/name"),
        ("https://huggingface.co/datasets/org/name/tree/main/sub", "hf://datasets/org/name@main/sub"),
        ("datasets/org/name", "hf://datasets/org/name"),
        ("org/name@v1", "hf://datasets/org/name@v1"),
    ],
)
def test_an_address_that_is_nearly_right_is_told_how(asked, address, meant):
    with pytest.raises(SourceError, match=f"did you mean '{meant}'"):
        open_repository(address)


def test_a_folder_that_is_nearly_right_is_told(tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(SourceError, match=re.escape(f"did you mean {tmp_path / 'packed'}?")):
        open_repository(tmp_path / "pakced")


@pytest.mark.parametrize("name", ["fnlp-vision/UnifiedVisual", "fnlp-vision/unifiedvisual-240k", "UnifiedVisual"])
def test_the_name_of_the_paper_leads_to_the_dataset(hub, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="did you mean fnlp-vision/UnifiedVisual-240K\\?"):
        open_repository(name)


def test_an_empty_source_is_no_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="the source is empty; expected a folder, 'org/name'"):
        unifiedvisual.load_dataset("")


def test_a_home_folder_and_paths_are_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rows").mkdir()
    for source in ("~/rows", Path("~/rows"), tmp_path / "rows", f"{tmp_path}/rows/"):
        assert open_repository(source) == LocalFolder(tmp_path / "rows")


def test_a_data_dir_is_inside_the_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org/name").mkdir(parents=True)
    assert folder_in("org/other", "sub/") == "hf://datasets/org/other/sub"
    assert folder_in("hf://datasets/org/other@v1/", "/sub") == "hf://datasets/org/other@v1/sub"
    assert folder_in("org/name", "sub") == "org/name/sub"  # a folder wins over a Hub id
    assert folder_in(tmp_path, Path("sub/dir")) == f"{tmp_path}/sub/dir"
    assert folder_in(tmp_path, "/elsewhere") == "/elsewhere"


def test_load_dataset_reads_a_data_dir_of_the_hub(hub: LoopbackHub, tmp_path):
    source = replica(tmp_path / "source", "columns", tasks=("cot_collection",))
    files = {
        f"inside/{path.relative_to(source)}": path.read_bytes() for path in source.rglob("*") if path.is_file()
    } | {"data/other.parquet": b"not one"}
    hub.add_files("org/uv", files)
    rows = unifiedvisual.load_dataset("org/uv", "cot_collection", data_dir="inside", split="train")
    assert len(rows) == ROWS_PER_TASK


# Offline


@pytest.fixture(params=["published", "packed"])
def on_hub(request, hub: LoopbackHub, tmp_path):
    tasks = ("llava_cot", "cot_collection")
    hub.add_folder(
        "org/uv",
        replica(tmp_path / "source", "columns", tasks=tasks)
        if request.param == "published"
        else pack_demo(tmp_path / "packed", tasks),
    )
    return hub


def load(config, **options):
    return unifiedvisual.load_dataset("org/uv", config, split="train", **options)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"])
def test_what_was_loaded_is_used_again_offline(on_hub, monkeypatch, variable):
    online = load("llava_cot")
    on_hub.requests.clear()
    if variable == "HF_HUB_OFFLINE":
        monkeypatch.setattr(huggingface_hub.constants, variable, True)
    else:
        monkeypatch.setenv(variable, "1")
    offline = load("llava_cot")
    assert (offline.cache_files, offline["id"]) == (online.cache_files, online["id"])
    assert on_hub.requests == []


def test_what_was_not_loaded_is_an_error_offline(on_hub, monkeypatch):
    load("cot_collection", revision="main")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match=r"llava_cot|LLaVA.*: offline, and not in the local cache; download it once"):
        load("llava_cot")
    with pytest.raises(SourceError, match="org/uv: offline, and not in the local cache"):
        load("cot_collection", revision="v2")
    assert len(list(load("cot_collection", streaming=True))) > 0


def test_a_cache_that_cannot_be_written_to_stops_nothing(on_hub, monkeypatch):
    monkeypatch.setattr(hub_module, "write_whole", lambda path, content: (_ for _ in ()).throw(PermissionError()))
    assert len(load("cot_collection")) > 0


@pytest.mark.parametrize(
    "content",
    [
        {"commit": "a" * 40, "files": ["x"]},
        {"commit": 7, "files": {}},
        {"commit": "a" * 40, "files": {"x": "1e9"}},
        {"commit": "a" * 40, "files": {"x": -1}},
    ],
)
def test_a_damaged_note_of_a_download_counts_for_nothing(on_hub, monkeypatch, content):
    load("cot_collection")
    for path in Path(huggingface_hub.constants.HF_HUB_CACHE).rglob("unifiedvisual/*.json"):
        path.write_text(json.dumps(content))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="org/uv: offline, and not in the local cache; download it once"):
        open_repository("org/uv").list_files()


@pytest.mark.parametrize(("path", "size"), [(1.5, 3), (["a"], 3), ("a", "3"), ("a", -1)])
def test_a_listing_of_what_cannot_be_is_an_error(hub, monkeypatch, path, size):
    entry = RepoFile(path="a", size=3, oid="0" * 40)
    entry.path, entry.size = path, size
    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", lambda *args, **options: [entry])
    with pytest.raises(SourceError, match=r"the Hub (lists a file|says that it has) .*; try again later"):
        pinned_repository("org/uv", "a" * 40, token=None).list_files()


# Waits that the Hub asks for


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "86400"}, 86_400),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api";r=489;t=189'}, 0),
        ({"RateLimit": '"api";r=0;t=55', "Retry-After": "60"}, 60),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers, seconds):
    assert asked_wait_s(headers) == seconds


CALLS = {
    "opening": (r"^/api/datasets/org/uv$|/revision/", lambda: open_repository("org/uv")),
    "listing": (r"/tree/", lambda: open_repository("org/uv").list_files()),
    "reading": (r"/resolve/", lambda: read_manifest(open_repository("org/uv"))),
    "downloading": (r"/resolve/", lambda: read_manifest(downloaded(open_repository("org/uv")))),
}


@pytest.fixture
def packed(hub, tmp_path):
    hub.add_folder("org/uv", pack_demo(tmp_path / "packed", ["cot_collection"]))
    return tmp_path / "packed"


@pytest.mark.parametrize("status", ["429", "503"])
@pytest.mark.parametrize("call", CALLS)
def test_a_wait_of_a_day_is_an_error_and_not_a_sleep(hub, packed, monkeypatch, call, status):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    path, act = CALLS[call]
    hub.fail(status, method="GET", path=path, retry_after_s=86_400, times=100)
    if status == "503":  # the loopback Hub says Retry-After with 429 alone
        for module in (hub_module, hub_waits):
            monkeypatch.setattr(module, "asked_wait_s", lambda headers: 86_400)
    with pytest.raises(SourceError, match=rf"the Hub asks to wait 86,400 s \(status {status}\); at most 300 s"):
        act()
    assert max(slept, default=0) < 10


def test_an_answer_without_end_is_an_error_and_a_file_may_be_large(hub, packed, monkeypatch):
    (packed / "large.bin").write_bytes(bytes(100_000))
    hub.add_folder("org/uv", packed)
    monkeypatch.setattr(hub_waits, "MAX_ANSWER_BYTES", 50_000)
    with open_repository("org/uv").stream("large.bin") as file:
        assert file.read() == bytes(100_000)
    monkeypatch.setattr(hub_waits, "MAX_ANSWER_BYTES", 50)
    with pytest.raises(SourceError, match=r"/api/datasets/org/uv.*: an answer of more than"):
        open_repository("org/uv")


def test_an_answer_that_takes_too_long_is_given_up(hub, packed, monkeypatch):
    hub.fail("slow", method="GET", path="^/api/", chunk_bytes=1, delay_s=0.01, times=100)
    monkeypatch.setattr(hub_waits, "LEAST_BYTES", 1)
    monkeypatch.setattr(hub_waits, "LONGEST_WAIT_S", 0.5)
    with pytest.raises(SourceError, match=r"an answer of more than 100 MiB or 0.5 s"):
        open_repository("org/uv")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", ["slow", "drip", "hang"])
def test_what_comes_in_drops_or_not_at_all_is_told_and_given_up(hub, packed, monkeypatch, caplog, fault, call):
    open_repository("org/uv").list_files()  # a connection that is there already is watched too
    path, act = CALLS[call]
    hub.fail(fault, path=path, chunk_bytes=1, delay_s=9 if fault == "hang" else 0.01, times=100)
    monkeypatch.setattr(hub_waits, "TOLD_WAIT_S", 0.05)
    monkeypatch.setattr(hub_waits, "LONGEST_WAIT_S", 0.3)
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(huggingface_hub.constants, name, 1)
    begun = time.monotonic()
    with pytest.raises(SourceError, match=r"127.0.0.1.*: (\d+ bytes came in|an answer of .*) 0.3 s[,;]"):
        act()
    assert "the Hub answers slowly; waiting" in caplog.text
    assert time.monotonic() - begun < 9


@pytest.mark.parametrize("call", CALLS)
def test_silence_is_told_while_it_lasts(hub, packed, monkeypatch, caplog, call):
    path, act = CALLS[call]
    hub.fail("hang", path=path, delay_s=9, times=100)
    monkeypatch.setattr(hub_waits, "READ_S", 0.05)
    monkeypatch.setattr(hub_waits, "TOLD_WAIT_S", 0.05)
    monkeypatch.setattr(hub_waits, "LONGEST_WAIT_S", 1.0)
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(huggingface_hub.constants, name, 1)
    with pytest.raises(SourceError, match=r"0 bytes came in 1.0 s"):
        act()
    [told] = [record for record in caplog.records if "the Hub answers slowly" in record.message]
    assert told.created < time.time() - 0.5


def test_a_connection_that_is_closed_by_another_thread_is_not_waited_for(hub, packed, monkeypatch):
    monkeypatch.setattr(hub_waits, "READ_S", 0.1)
    repository = open_repository("org/uv")
    hub.fail("hang", path="/tree/", delay_s=9)
    begun = time.monotonic()
    with ThreadPoolExecutor() as threads:
        listing = threads.submit(repository.list_files)
        while not any("/tree/" in request.path for request in hub.requests):
            time.sleep(0.01)
        time.sleep(0.2)  # the thread waits for the answer
        huggingface_hub.close_session()  # the client's own way when it cannot connect elsewhere
        assert "MANIFEST.json" in listing.result()
    assert time.monotonic() - begun < 6


def test_a_file_that_is_slow_but_comes_is_waited_for(hub, packed, monkeypatch):
    (packed / "large.bin").write_bytes(bytes(100_000))
    hub.add_folder("org/uv", packed)
    hub.fail("slow", path="large.bin", chunk_bytes=10_000, delay_s=0.1, times=100)
    monkeypatch.setattr(hub_waits, "LEAST_BYTES", 10_000)
    monkeypatch.setattr(hub_waits, "LONGEST_WAIT_S", 0.5)
    with open_repository("org/uv").stream("large.bin") as file:
        assert file.read() == bytes(100_000)


def test_uploads_heed_it_too(hub, packed, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.fail("429", method="POST", path="preupload|commit|lfs", retry_after_s=86_400, times=100)
    with pytest.raises(SourceError, match="the Hub asks to wait 86,400 s"):
        push(packed, "loopback/new", token=hub.token)


@pytest.mark.parametrize("call", CALLS)
def test_a_long_wait_is_told(hub, packed, monkeypatch, caplog, call):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    path, act = CALLS[call]
    hub.fail("429", method="GET", path=path, retry_after_s=11)
    act()
    assert "127.0.0.1: the Hub asks to wait 11 s; waiting" in caplog.text
    assert max(slept) >= 11


def test_other_users_of_the_hub_client_are_left_alone(hub, packed, monkeypatch):
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    open_repository("org/uv")
    hub.fail("429", path="/tree/", retry_after_s=86_400)
    assert huggingface_hub.HfApi().list_repo_files("org/uv", repo_type="dataset")
    assert max(slept) > 86_000


def test_datasets_decides_what_offline_means_alike(monkeypatch):
    for value, expected in (("1", True), ("on", True), ("TRUE", True), ("0", False), ("", False)):
        monkeypatch.setenv("HF_DATASETS_OFFLINE", value)
        assert hub_module.is_offline() is expected
        assert (value.upper() in datasets.config.ENV_VARS_TRUE_VALUES) is expected


def test_a_file_is_not_looked_for_on_the_hub(tmp_path, monkeypatch, hub):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/rows.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=r"'a/rows\.json' is a file; expected a folder"):
        open_repository("a/rows.json")
    assert hub.requests == []
