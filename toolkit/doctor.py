"""What works on this machine, and what each missing thing costs.

packages, extras, decoders, folders, limits, Hub -> a `Check` each, as text for an issue or JSON
"""

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from threading import Thread
from typing import Literal

from toolkit import __version__
from toolkit.images import READERS
from toolkit.sizes import show_bytes

State = Literal["ok", "note", "wrong"]

CORE = ("datasets", "huggingface_hub", "pyarrow", "pillow", "numpy", "isal")
HUB_S = 5.0  # seconds the Hub has to answer
SHARED_BYTES = 1_000_000_000  # a batch of 32 rows with a megapixel each, times prefetch 2 and a few workers
OPEN_FILES = 1024
# Extra -> what does not work without it.
EXTRAS = {
    "train": "no StreamingDataset, collators, losses, `tokenize`",
    "report": "no `preview`, `browse`, `stats --plots`, `evaluate --report`, `align`, `deduplicate`",
    "curate": "no `deduplicate`; without duckdb no `merge` and `select`, without matplotlib no plot of `align`",
    "generate": "no `generate` with models behind a server; the scene engine works",
    "local": "no `generate` with models in this process",
    "webdataset": "shards that `convert webdataset` writes cannot be read with the library of that name",
    "ray": "no `--executor ray`",
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """
    Attributes:
        state: "ok", "note" (something optional is missing) or "wrong" (what every command needs does not work).
        found: what there is.
        costs: what does not work, and what to do; "" where nothing is missing.
    """

    name: str
    state: State
    found: str
    costs: str = ""


def examine(*, hub: bool = True) -> Iterator[Check]:
    """Look at one thing after the other; nothing is changed, and nothing heavy is imported.

    Args:
        hub: also ask whether the Hub answers.
    """
    yield Check(name="unifiedvisual", state="ok", found=__version__)
    yield Check(name="python", state="ok", found=f"{platform.python_version()} on {platform.platform()}")
    yield from map(_package, CORE)
    yield from map(_extra, EXTRAS)
    yield _decoders()
    yield _folder("cache", _cache(), "nothing is kept between runs; set HF_HOME to a folder that can be written")
    yield _folder("temporary files", Path(tempfile.gettempdir()), "reading archives may fail; set TMPDIR")
    yield _shared_memory()
    yield _open_files()
    if hub:
        yield _hub()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _package(name: str) -> Check:
    found = _version(name)
    costs = "" if found else "the core does not work; install the package again"
    return Check(name=name, state="ok" if found else "wrong", found=found or "not installed", costs=costs)


def packages_of(extra: str) -> list[str]:
    """Packages that an extra installs, as the metadata of this package has them."""
    listed = requires("unifiedvisual") or []
    return [re.split(r"[^\w.-]", line)[0] for line in listed if re.search(rf"extra == ['\"]{extra}['\"]", line)]


def _extra(extra: str) -> Check:
    found = {name: _version(name) for name in packages_of(extra)}
    missing = [name for name, there in found.items() if not there]
    there = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    if not missing:
        return Check(name=f"extra {extra}", state="ok", found=there)
    costs = f"{EXTRAS[extra]}; pip install -c constraints.txt -e '.[{extra}]' in the clone"
    return Check(name=f"extra {extra}", state="note", found=f"without {', '.join(missing)}", costs=costs)


def _decoders() -> Check:
    from PIL import Image, features

    Image.init()
    needs = {"JPEG": "jpg", "WebP": "webp", "AVIF": "avif", "PNG": "zlib"}
    missing = [name for name in READERS if name in needs and not features.check(needs[name])]
    found = ", ".join(name for name in READERS if name not in missing)
    if not missing:
        return Check(name="image decoders", state="ok", found=found)
    state: State = "wrong" if {"JPEG", "PNG"} & set(missing) else "note"
    costs = f"rows with {', '.join(missing)} are bad rows; install a newer Pillow wheel"
    return Check(name="image decoders", state=state, found=found, costs=costs)


def _cache() -> Path:
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME)


def _folder(name: str, folder: Path, costs: str) -> Check:
    """Whether a folder, or the nearest of its parents that is there, can be written; asked by writing."""
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            free = show_bytes(shutil.disk_usage(nearest).free)
    except OSError as error:
        return Check(name=name, state="wrong", found=f"{folder}: {error.strerror}", costs=costs)
    return Check(name=name, state="ok", found=f"{folder}, {free} free")


def _shared_memory(folder: Path = Path("/dev/shm")) -> Check:
    if not folder.is_dir():
        return Check(name="shared memory", state="ok", found="no /dev/shm on this system")
    usage = shutil.disk_usage(folder)
    found = f"{show_bytes(usage.free)} of {show_bytes(usage.total)} free"
    if usage.free >= SHARED_BYTES:
        return Check(name="shared memory", state="ok", found=found)
    costs = "workers of a DataLoader may die with SIGBUS; docker run --shm-size=8g, or fewer workers"
    return Check(name="shared memory", state="note", found=found, costs=costs)


def _open_files() -> Check:
    if sys.platform == "win32":
        return Check(name="open files", state="ok", found="no limit on this system")
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    costs = "" if soft < 0 or soft >= OPEN_FILES else "many workers may run out of files; ulimit -n 4096"
    return Check(
        name="open files", state="note" if costs else "ok", found="unlimited" if soft < 0 else f"{soft:,}", costs=costs
    )


def _hub() -> Check:
    """Asked in a thread, because a name server that does not answer has no timeout."""
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return Check(name="hub", state="note", found="HF_HUB_OFFLINE is set", costs="only what is in the cache loads")
    heard: list[str] = []
    thread = Thread(target=lambda: heard.append(_ask(ENDPOINT)), daemon=True)
    thread.start()
    thread.join(HUB_S + 1)
    answer = heard[0] if heard else f"no answer in {HUB_S:g} s"
    if not answer:
        return Check(name="hub", state="ok", found=f"{ENDPOINT} answers{_login()}")
    costs = "only folders and what is in the cache load; check the network, a proxy, or HF_ENDPOINT"
    return Check(name="hub", state="note", found=f"{ENDPOINT}: {answer}", costs=costs)


def _ask(endpoint: str) -> str:
    """ "" where a server answers, whatever it says; else why not."""
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().get(f"{endpoint}/api/whoami-v2", timeout=HUB_S)
    except Exception as error:  # of whichever HTTP library huggingface_hub has
        return f"{type(error).__name__}: {str(error)[:120]}"
    return ""


def _login() -> str:
    from huggingface_hub import get_token

    return ", a token is stored" if os.environ.get("HF_TOKEN") or get_token() else ", no token"
