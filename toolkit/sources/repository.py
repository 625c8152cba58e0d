"""A local folder or a Hub dataset repository: one way to list, open and stream files.

Both kinds are small frozen values, so that they travel to worker processes. The Hub client retries 408, 429, 5xx and
broken connections itself, with backoff; what remains becomes one SourceError that says what to do.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, cast

from toolkit.errors import SourceError

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB_URL = re.compile(r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?:/(?P<folder>.*))?")
RANDOM_ACCESS_BLOCK_BYTES = 1 << 20

T = TypeVar("T")
OnRead = Callable[[str, int], None]  # path of an archive or a shard, bytes just read


class Repository(Protocol):
    """Files under one root. `name` is how messages call it; paths are relative, with "/"."""

    @property
    def name(self) -> str: ...
    def list_files(self) -> dict[str, int]:
        """Path -> size in bytes of every file, sorted by path."""

    def open(self, path: str) -> BinaryIO:
        """A seekable file, for formats read from several places (Parquet)."""

    def stream(self, path: str) -> BinaryIO:
        """A file to be read once from front to back, over one connection that is taken up again where it broke."""

    def fingerprint(self, paths: Iterable[str]) -> str:
        """Changes when the content of any of these files may have changed."""


@dataclass(frozen=True)
class LocalFolder:
    root: Path

    @property
    def name(self) -> str:
        return str(self.root)

    def list_files(self) -> dict[str, int]:
        found = {}
        for folder, subfolders, names in os.walk(self.root, followlinks=True):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for path in (Path(folder, name) for name in names if not name.startswith(".")):
                if path.exists():  # a link may lead nowhere
                    found[path.relative_to(self.root).as_posix()] = path.stat().st_size
        return dict(sorted(found.items()))

    def open(self, path: str) -> BinaryIO:
        try:
            return (self.root / path).open("rb")
        except OSError as error:
            raise SourceError(f"{self.root / path}: cannot be opened: {error.strerror}") from error

    stream = open

    def fingerprint(self, paths: Iterable[str]) -> str:
        digest = hashlib.sha256(str(self.root.resolve()).encode())
        for path in sorted(paths):
            stat = (self.root / path).stat()
            digest.update(f"\n{path}\t{stat.st_size}\t{stat.st_mtime_ns}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class HubRepository:
    """A dataset repository pinned to one commit, so that a push in between mixes nothing.

    Attributes:
        block_bytes: read ahead of what is asked for in a file that is read from several places.
    """

    repo_id: str
    commit: str
    folder: str = ""
    token: str | bool | None = field(default=None, repr=False)
    block_bytes: int = RANDOM_ACCESS_BLOCK_BYTES

    @property
    def name(self) -> str:
        return f"{self.repo_id}@{self.commit[:8]}" + (f"/{self.folder}" if self.folder else "")

    @cached_property
    def _files(self) -> "HfFileSystem":
        from huggingface_hub import HfFileSystem

        return HfFileSystem(token=self.token)

    def _url(self, path: str) -> str:
        return "/".join(piece for piece in (f"datasets/{self.repo_id}@{self.commit}", self.folder, path) if piece)

    def list_files(self) -> dict[str, int]:
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        with hub_errors(self.name):
            tree = list(
                HfApi(token=self.token).list_repo_tree(
                    self.repo_id, self.folder or None, recursive=True, revision=self.commit, repo_type="dataset"
                )
            )
        start = len(self.folder) + 1 if self.folder else 0
        return dict(sorted((entry.path[start:], entry.size) for entry in tree if isinstance(entry, RepoFile)))

    def open(self, path: str) -> BinaryIO:
        return self._open(path, self.block_bytes)

    def stream(self, path: str) -> BinaryIO:
        return self._open(path, 0)  # 0: one GET, read as it comes

    def _open(self, path: str, block_size: int) -> BinaryIO:
        where = f"{self.name}: {path}"
        with hub_errors(where):
            return cast(
                BinaryIO, _TranslatingFile(self._files.open(self._url(path), "rb", block_size=block_size), where)
            )

    def fingerprint(self, paths: Iterable[str]) -> str:
        return hashlib.sha256("\n".join([self.repo_id, self.commit, self.folder, *sorted(paths)]).encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: value for name, value in self.__dict__.items() if name != "_files"
        }  # connections stay in their process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class _TranslatingFile:
    """A remote file whose failures are SourceErrors."""

    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where = file, where

    def read(self, size: int = -1) -> bytes:
        with hub_errors(self._where):
            return cast(bytes, self._file.read(size))

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> "_TranslatingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def open_repository(
    source: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None
) -> Repository:
    """A repository from a folder, a Hub id (`org/name`) or a URL (`hf://datasets/org/name@revision/folder`).

    An existing folder wins over a Hub id of the same spelling, as in `datasets.load_dataset`.

    Raises:
        SourceError: there is no such folder or repository, or it may not be read.
    """
    text = os.fspath(source)
    if url := HUB_URL.fullmatch(text):
        return _open_hub(url["repo"], url["folder"] or "", revision or url["revision"], token)
    if Path(text).is_dir():
        return LocalFolder(Path(text).absolute())
    if REPO_ID.fullmatch(text) and not text.startswith("."):
        try:
            return _open_hub(text, "", revision, token)
        except SourceError as error:
            raise SourceError(f"{error}; nor is {text} a folder on this machine") from error
    raise SourceError(
        f"{text!r} is neither a folder on this machine nor a Hub dataset; expected a folder, 'org/name' or 'hf://datasets/org/name'"
    )


def _open_hub(repo_id: str, folder: str, revision: str | None, token: str | bool | None) -> Repository:
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return _open_cached(repo_id, folder, revision)
    with hub_errors(repo_id + (f"@{revision}" if revision else "")):
        info = _patiently(
            lambda: HfApi(token=token).dataset_info(repo_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        )
    return HubRepository(repo_id, str(info.sha), folder.rstrip("/"), token)


@dataclass(frozen=True)
class Downloaded:
    """A Hub repository whose files are downloaded whole, when they are first opened, into the Hub client's own cache;
    what was cut off resumes.
    """

    remote: HubRepository

    @property
    def name(self) -> str:
        return self.remote.name

    def list_files(self) -> dict[str, int]:
        return self.remote.list_files()

    def open(self, path: str) -> BinaryIO:
        from huggingface_hub import hf_hub_download

        with hub_errors(f"{self.name}: {path}"):
            inside = "/".join(filter(None, (self.remote.folder, path)))
            local = hf_hub_download(
                self.remote.repo_id, inside, repo_type="dataset", revision=self.remote.commit, token=self.remote.token
            )
        return Path(local).open("rb")

    stream = open

    def fingerprint(self, paths: Iterable[str]) -> str:
        return self.remote.fingerprint(paths)


def downloaded(repository: Repository) -> Repository:
    """The same files, read from this machine; a local folder is so already."""
    return Downloaded(repository) if isinstance(repository, HubRepository) else repository


def _patiently(call: Callable[[], T]) -> T:
    """`call()`, again where waiting helps. The Hub client does this itself for files and listings, but not for what is
    asked first of all.
    """
    for wait_s in (1, 2, 4, 8):
        try:
            return call()
        except Exception as error:
            response = getattr(error, "response", None)
            if response is None or response.status_code not in (408, 429, 500, 502, 503, 504):
                raise
            asked_s = response.headers.get("Retry-After", "")
            time.sleep(float(asked_s) if asked_s.isdigit() else wait_s)
    return call()


def _open_cached(repo_id: str, folder: str, revision: str | None) -> LocalFolder:
    from huggingface_hub import snapshot_download

    with hub_errors(repo_id):
        return LocalFolder(
            Path(snapshot_download(repo_id, repo_type="dataset", revision=revision, local_files_only=True), folder)
        )


ADVICE = {
    "OfflineModeIsEnabled": "offline mode is on (HF_HUB_OFFLINE); unset it, or pass a local folder",
    "LocalEntryNotFoundError": (
        "offline, and not in the local cache; download it once with the network on, or pass a local folder"
    ),
    "IncompleteSnapshotError": (
        "offline, and only part of it is in the local cache; download it once with the "
        "network on, or pass a local folder"
    ),
    "GatedRepoError": "access must be granted on the Hub; ask for it there, then log in with `hf auth login`",
    "RepositoryNotFoundError": (
        "no such dataset, or it is private; check the name, log in with `hf auth login` or pass token="
    ),
    "RevisionNotFoundError": "no such branch, tag or commit",
    "RemoteEntryNotFoundError": "no such file in the repository",
    "EntryNotFoundError": "no such file in the repository",
}
STATUS_ADVICE = {
    401: "not logged in, or the token is not valid; log in with `hf auth login` or pass token=",
    403: "the token may not read this; log in with another or ask for access",
    404: "not found",
    429: "the Hub asks to slow down, also after waiting; try again later or log in for a higher limit",
}


@contextmanager
def hub_errors(where: str) -> Iterator[None]:
    """Whatever the Hub client raises, as one SourceError that says where and what to do."""
    try:
        yield
    except SourceError:
        raise
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        advice = ADVICE.get(type(error).__name__) or STATUS_ADVICE.get(status or 0)
        if advice is None and status is not None and status >= 500:
            advice = f"the Hub answers {status}, also after waiting; try again later"
        if advice is None:
            advice = (
                f"cannot be read: {type(error).__name__}: "
                f"{str(error).splitlines()[0] if str(error) else 'no message'}; check the network and try "
                "again"
            )
        raise SourceError(f"{where}: {advice}") from error
