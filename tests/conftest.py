"""What every test gets: no network but loopback, a Hub of its own there, no shared caches, no token of the person who
runs them.
"""

import gc
import itertools
import multiprocessing
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import SimpleNamespace

import pytest

import toolkit.demo.rows
from tests.hub import LoopbackHub

gc.disable()  # until everything is imported: it would go through all of it, again and again

# Files of tests lie in memory where there is room: an ext4 takes three times the CPU for them. TMPDIR=... puts them
# elsewhere.
MEMORY, ROOM = "/dev/shm", 4 << 30
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK):
    memory = os.statvfs(MEMORY)
    if memory.f_bavail * memory.f_frsize > ROOM and not memory.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = MEMORY

# Photographs of the demo rows have a sixteenth of their pixels: to encode, hash and decode them took a fifth of the
# time. Some test files make rows as they are imported, so not in a fixture.
toolkit.demo.rows.LONG_SIDE_PX = 96

# Read by huggingface_hub and datasets at import, so set before any test module imports them. One Hub per process; `hub`
# empties it for each test.
HUB = LoopbackHub()
HOME = tempfile.TemporaryDirectory(prefix="hf-home-")
TESTS = itertools.count()
os.environ.update(
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
)
os.environ.update(HF_ENDPOINT=HUB.url, HF_HOME=HOME.name, no_proxy="127.0.0.1,localhost")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # what is forked cannot use a GPU
os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"  # trio's is imported with it, and seeds what nobody here uses
os.environ.setdefault("OMP_NUM_THREADS", "1")  # models are tiny; and threads of a torch would be missing in its forks
for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ.pop(name, None)

# A shell starts what it runs in the background with Ctrl-C ignored, and so would every process of the tests that press
# it.
signal.signal(signal.SIGINT, signal.default_int_handler)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Any connection that leaves this machine fails the test that makes it."""
    connect = socket.socket.connect

    def loopback_only(self: socket.socket, address: object) -> None:
        if (
            self.family in (socket.AF_INET, socket.AF_INET6)
            and isinstance(address, tuple)
            and address[0] not in LOOPBACK
        ):
            raise OSError(f"tests may only reach loopback, not {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", loopback_only)
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_is_synced() -> Iterator[None]:
    """What is written is not brought to the disk, which takes as long as others on the machine write: what is killed
    here are processes, which leave what they wrote to the system. tests/test_staging_files.py looks at what is synced.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        patch.setattr(os, "sync", lambda: None)
        patch.setattr("toolkit.generation.journal.files.SYNCHRONOUS", "OFF")
        yield


@pytest.fixture(scope="session", autouse=True)
def workers_are_forks() -> Iterator[None]:
    """Processes of the local executor are forks of this one, given what a spawned one would be: torch and transformers
    take a new interpreter seconds. With `workers_are_spawned` a test gets them as users do.
    """
    context = multiprocessing.get_context("fork")

    def process(*, target: Callable[..., None], args: tuple[object, Connection], daemon: bool) -> BaseProcess:
        work = ForkingPickler.loads(ForkingPickler.dumps(args[0]))
        return context.Process(target=target, args=(work, *args[1:]), daemon=daemon)

    forks = SimpleNamespace(Pipe=context.Pipe, Process=process)
    ways = SimpleNamespace(get_context=lambda _: forks, parent_process=multiprocessing.parent_process)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.executors.local.multiprocessing", ways)
        yield


@pytest.fixture
def workers_are_spawned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.executors.local.multiprocessing", multiprocessing)


@pytest.fixture(autouse=True)
def own_caches(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of this test's caches, which is made by what keeps something there."""
    import datasets.config
    import huggingface_hub.constants

    folder = Path(HOME.name, f"test-{next(TESTS)}")
    monkeypatch.setenv("HF_HOME", str(folder / "hf-home"))  # for the processes a test starts
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hf-home" / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "hf-datasets")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", str(folder / "hf-datasets" / "downloads"))
    yield folder
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)  # a process that outlives the test may still write there


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """The Hub that huggingface_hub and datasets reach in this process and its children; nothing is left of earlier
    tests.
    """
    from huggingface_hub import HfFileSystem

    HUB.reset()
    HfFileSystem.clear_instance_cache()  # its listings would outlive the repositories
    yield HUB
    HUB.reset()


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_for_workers() -> Iterator[None]:
    """A duckdb database that is garbage in this process would be freed in a forked worker of a later module, where its
    threads are not, and crash it.
    """
    yield
    if (
        multiprocessing.active_children()
    ):  # of a loader that is collected with its queues they would be waited for, five seconds each
        for each in gc.get_objects():
            if type(each).__name__.endswith("MultiProcessingDataLoaderIter"):
                each._shutdown_workers()
    gc.collect()
    gc.freeze()  # what a module has imported stays, and Trainer collects garbage at each start


# Files that take seconds, or import torch, which does too. `make test-fast` does not even import them.
_SLOW = """
align benchmarks browse_browser browse_index browse_server card cli_spread cli_tokenize collate_chameleon
collate_common collate_contract collate_decoding collate_emu3 collate_families collate_janus collate_lengths
collate_packing collate_registry collate_template collate_thoughts collate_tokens collate_training
collate_understanding conversion_energon conversion_resume conversion_stored conversion_trainers conversion_trl
croissant curation_memory damaged_files deduplicate docs evaluation evaluation_ask examples executors fuzzing
generate_batch generate_clip generate_diffusers generate_duplicates generate_engine generate_executors
generate_full_disk generate_http generate_interrupts generate_kill generate_limits generate_plan generate_safety
generate_serve guest hub import_foreign judges layouts layouts_random load lying_data manifest merge microworld pack
packed_lies packed_lying plain_datasets plots preview preview_browser pushed_layouts repository sampling scene
scene_diversity scene_kinds scene_tasks scene_verify select streaming_checksums streaming_dataset streaming_decode
streaming_end_to_end streaming_features streaming_guidance streaming_loaders streaming_process streaming_selection
streaming_tokens training training_freezing training_ranks training_trainer typing verify_push
"""
SLOW = frozenset(_SLOW.split())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.option.markexpr == "not slow" and _is_slow(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that fork most come first, for a fork takes the longer the more its process has in memory; then what is
    slow, so that of two workers neither waits long for the other at the end.
    """
    for item in items:
        if _is_slow(item.path):
            item.add_marker("slow")
    items.sort(key=lambda item: (not item.path.stem.startswith("test_streaming"), not _is_slow(item.path)))


def _is_slow(path: Path) -> bool:
    return path.stem.removeprefix("test_") in SLOW


def pytest_collection_finish() -> None:
    """What is imported stays: forks need not look through it, nor copy it by that."""
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    HUB.close()
    HOME.cleanup()
