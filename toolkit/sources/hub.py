"""Dataset repositories on the Hugging Face Hub: the files of one commit, over the wire, downloaded, or as they were
downloaded before.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar, cast
from urllib.parse import quote

from toolkit.errors import SourceError
from toolkit.sources.hub_waits import asked_wait_s, hub_errors
from toolkit.sources.references import Reference
from toolkit.staging.files import write_whole

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

RANDOM_ACCESS_BLOCK_BYTES = 1 << 20
TRUE = ("1", "ON", "YES", "TRUE")  # of environment variables, as huggingface_hub and datasets read them

T = TypeVar("T")


@dataclass(frozen=True)
class HubRepository:
    """A dataset repository pinned to one commit, so that a push in between mixes nothing.

    Attributes:
        block_bytes: read ahead of what is asked for in a file that is read from several places.
        revision: that was asked for.
        reading: "wire"; "download", whole files, when they are first opened, into the Hub client's own cache, where
            what was cut off resumes; "cache", what was downloaded before, and nothing else.
    """

    repo_id: str
    commit: str
    folder: str = ""
    token: str | bool | None = field(default=None, repr=False)
    block_bytes: int = RANDOM_ACCESS_BLOCK_BYTES
    revision: str = "main"
    reading: Literal["wire", "download", "cache"] = "wire"

    @property
    def name(self) -> str:
        return f"{self.repo_id}@{self.commit[:8]}" + (f"/{self.folder}" if self.folder else "")

    def list_files(self) -> dict[str, int]:
        return dict(self._sizes)

    def open(self, path: str) -> BinaryIO:
        return self._open(path, self.block_bytes)

    def stream(self, path: str) -> BinaryIO:
        return self._open(path, 0)  # 0: one GET, read as it comes

    def fingerprint(self, paths: Iterable[str]) -> str:
        return hashlib.sha256("\n".join([self.repo_id, self.commit, self.folder, *sorted(paths)]).encode()).hexdigest()

    def reference(self, path: str, size: int) -> Reference:
        return Reference(repo_id=self.repo_id, commit=self.commit, path=self._inside(path), bytes=size)

    def downloaded(self) -> "HubRepository":
        """The same files, read from this machine. What there is stays known, for when the network is off."""
        if self.reading != "wire":
            return self
        content = json.dumps({"commit": self.commit, "files": self._sizes})
        with suppress(OSError, SourceError):  # a cache that cannot be written to is no reason to stop
            write_whole(_memory(self.repo_id, self.revision, self.folder), content)
        return replace(self, reading="download")

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return _remembered(self) if self.reading == "cache" else _listed(self)

    @cached_property
    def _files(self) -> "HfFileSystem":
        from huggingface_hub import HfFileSystem

        return HfFileSystem(token=self.token)

    def _inside(self, path: str) -> str:
        return "/".join(filter(None, (self.folder, path)))

    def _open(self, path: str, block_size: int) -> BinaryIO:
        where = f"{self.name}: {path}"
        with hub_errors(where):
            if self.reading != "wire":
                return Path(self._local(path)).open("rb")
            url = f"datasets/{self.repo_id}@{self.commit}/{self._inside(path)}"
            file = self._files.open(url, "rb", block_size=block_size)
            _checked_size(where, getattr(file, "size", None))
            return cast(BinaryIO, _TranslatingFile(file, where))

    def _local(self, path: str) -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(
            self.repo_id,
            self._inside(path),
            repo_type="dataset",
            revision=self.commit,
            token=self.token,
            local_files_only=self.reading == "cache",
        )

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


def open_hub(repo_id: str, folder: str, revision: str | None, token: str | bool | None) -> HubRepository:
    """A folder of a dataset repository ("" = all of it), at the commit that a branch, tag or commit means now; offline,
    at the one it meant when it was last downloaded.

    Raises:
        SourceError: there is no such repository or revision, or it may not be read.
    """
    from huggingface_hub import HfApi, constants

    if is_offline():
        return _open_cached(repo_id, folder, revision)
    with hub_errors(repo_id + (f"@{revision}" if revision else "")):
        info = _patiently(
            lambda: HfApi(token=token).dataset_info(repo_id, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        )
    return HubRepository(repo_id, str(info.sha), folder, token, revision=revision or "main")


def pinned_repository(repo_id: str, commit: str, *, token: str | bool | None) -> HubRepository:
    """A repository at a commit that is known to be there, so that nothing is asked; offline, what is cached of it."""
    return HubRepository(repo_id, commit, token=token, revision=commit, reading="cache" if is_offline() else "wire")


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or HF_DATASETS_OFFLINE is set."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_DATASETS_OFFLINE", "").upper() in TRUE


def _listed(repository: HubRepository) -> dict[str, int]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    folder, commit = repository.folder, repository.commit
    with hub_errors(repository.name):
        tree = HfApi(token=repository.token).list_repo_tree(
            repository.repo_id, folder or None, recursive=True, revision=commit, repo_type="dataset"
        )
        files = [entry for entry in tree if isinstance(entry, RepoFile)]
    if odd := [entry.path for entry in files if not isinstance(entry.path, str)]:
        raise SourceError(f"{repository.name}: the Hub lists a file {odd[0]!r:.40}; try again later")
    start = len(folder) + 1 if folder else 0
    return dict(sorted((entry.path[start:], _checked_size(entry.path, entry.size) or 0) for entry in files))


def _checked_size(where: str, size: Any) -> int | None:
    """Raises SourceError for what is no size; None: it is not told."""
    if size is None or (isinstance(size, int) and 0 <= size < 1 << 63):
        return size
    raise SourceError(f"{where}: the Hub says that it has {size!r:.40} bytes; try again later")


def _open_cached(repo_id: str, folder: str, revision: str | None) -> HubRepository:
    """What we downloaded, else a snapshot that someone else did."""
    from huggingface_hub import snapshot_download

    revision = revision or "main"
    if content := _recall(_memory(repo_id, revision, folder)):
        return HubRepository(repo_id, content["commit"], folder, revision=revision, reading="cache")
    with hub_errors(repo_id):
        snapshot = snapshot_download(repo_id, repo_type="dataset", revision=revision, local_files_only=True)
    return HubRepository(repo_id, Path(snapshot).name, folder, revision=revision, reading="cache")


def _remembered(repository: HubRepository) -> dict[str, int]:
    content = _recall(_memory(repository.repo_id, repository.revision, repository.folder))
    if content and content["commit"] == repository.commit:
        return {str(path): int(size) for path, size in content["files"].items()}
    root = _cache_folder(repository.repo_id) / "snapshots" / repository.commit / repository.folder
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in files}


def _recall(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("commit"), str):
        return None
    files = content.get("files")
    is_whole = isinstance(files, dict) and all(isinstance(size, int) and size >= 0 for size in files.values())
    return content if is_whole else None


def _memory(repo_id: str, revision: str, folder: str) -> Path:
    """Where the listing of a download is kept: beside the files, so that it goes when they go."""
    return _cache_folder(repo_id) / "unifiedvisual" / f"{quote(f'{revision}:{folder}', safe='')}.json"


def _cache_folder(repo_id: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"datasets--{repo_id.replace('/', '--')}"


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
            time.sleep(asked_wait_s(response.headers) or wait_s)
    return call()
