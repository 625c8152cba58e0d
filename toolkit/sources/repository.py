"""A local folder, a Hub dataset repository, or a folder that refers to such: one way to list, open and stream files.

All kinds are small frozen values, so that they travel to worker processes.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote

from toolkit.errors import SourceError, UsageError, reason_of
from toolkit.published import UPSTREAM_REPOSITORY
from toolkit.sources.hub import HubRepository, pinned_repository
from toolkit.sources.hub import open_hub as _open_hub
from toolkit.sources.references import REFERENCES, Reference, parse_references

MANIFEST = "MANIFEST.json"  # of a packed dataset; see manifest.py
REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB_URL = re.compile(
    r"hf://datasets/(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:convert|pr)/[^/]+|[^/]+))?(?:/(?P<folder>.*))?"
)
# What people write in place of an address.
NEAR_HUB_URL = re.compile(
    r"(?:https?://[^/]+/)?(?:datasets/)?(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>.+)|/tree/(?P<branch>[^/]+)(?P<folder>/.*)?)?"
)

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
        """Regular files, hidden ones aside, also behind links; a link to a folder that it lies in ends there."""
        found: dict[str, int] = {}
        waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [(str(self.root), ())]
        while waiting:
            folder, above = waiting.pop()
            try:
                status = Path(folder).stat()
                with os.scandir(folder) as entries:
                    listed = [entry for entry in entries if not entry.name.startswith(".")]
            except OSError as error:
                raise SourceError(f"{folder}: cannot be listed: {reason_of(error)}") from error
            if (here := (status.st_dev, status.st_ino)) in above:
                continue
            for entry in listed:
                with suppress(OSError):  # a link that leads nowhere, or to itself
                    if entry.is_dir():
                        waiting.append((entry.path, (*above, here)))
                    elif entry.is_file():
                        found[Path(entry.path).relative_to(self.root).as_posix()] = entry.stat().st_size
        return dict(sorted(found.items()))

    def open(self, path: str) -> BinaryIO:
        whole = self.root / path
        if whole.exists() and not whole.is_file():  # a pipe would wait for its writer, and a device has no end
            raise SourceError(f"{whole}: cannot be opened: no regular file")
        try:
            return whole.open("rb")
        except OSError as error:
            raise SourceError(f"{whole}: cannot be opened: {reason_of(error)}") from error

    stream = open

    def fingerprint(self, paths: Iterable[str]) -> str:
        digest = hashlib.sha256(os.fsencode(self.root.resolve()))
        for path in sorted(paths):
            stat = (self.root / path).stat()
            digest.update(b"\n%s\t%d\t%d" % (os.fsencode(path), stat.st_size, stat.st_mtime_ns))
        return digest.hexdigest()


@dataclass(frozen=True)
class ReferringFolder:
    """A folder with shards that lie on the Hub. A shard that is in the folder too is read from there.

    Attributes:
        elsewhere: path -> the repository that has the file, its path there, its size in bytes.
    """

    folder: LocalFolder
    elsewhere: Mapping[str, tuple[HubRepository, str, int]]

    @property
    def name(self) -> str:
        return self.folder.name

    def list_files(self) -> dict[str, int]:
        referred = {path: size for path, (_, _, size) in self.elsewhere.items()}
        return dict(sorted((referred | self.folder.list_files()).items()))

    def open(self, path: str) -> BinaryIO:
        repository, there = self.place(path)
        return repository.open(there)

    def stream(self, path: str) -> BinaryIO:
        repository, there = self.place(path)
        return repository.stream(there)

    def fingerprint(self, paths: Iterable[str]) -> str:
        places = [self.place(path) for path in sorted(paths)]
        told = [repository.fingerprint([there]) for repository, there in places]
        return hashlib.sha256("\n".join([str(self.folder.root.resolve()), *told]).encode()).hexdigest()

    def downloaded(self) -> "ReferringFolder":
        here = {each: each.downloaded() for each, _, _ in self.elsewhere.values()}
        moved = {path: (here[each], there, size) for path, (each, there, size) in self.elsewhere.items()}
        return replace(self, elsewhere=moved)

    def place(self, path: str) -> tuple[Repository, str]:
        if path not in self.elsewhere or (self.folder.root / path).exists():
            return self.folder, path
        repository, there, _ = self.elsewhere[path]
        return repository, there


def reference_to(repository: Repository, path: str, size: int) -> Reference | None:
    """Where a file lies on the Hub; None: it is on this machine."""
    repository, there = _place(repository, path)
    return repository.reference(there, size) if isinstance(repository, HubRepository) else None


def local_path(repository: Repository, path: str) -> Path | None:
    """Where a file lies on this machine."""
    repository, there = _place(repository, path)
    return repository.root / there if isinstance(repository, LocalFolder) else None


def _place(repository: Repository, path: str) -> tuple[Repository, str]:
    return repository.place(path) if isinstance(repository, ReferringFolder) else (repository, path)


def root_of(repository: Repository) -> Path | None:
    """Where it lies on this machine."""
    folder = repository.folder if isinstance(repository, ReferringFolder) else repository
    return folder.root if isinstance(folder, LocalFolder) else None


def _with_references(folder: LocalFolder, token: str | bool | None) -> Repository:
    if not (folder.root / REFERENCES).is_file():
        return folder
    with folder.open(REFERENCES) as file:
        text = file.read()
    try:
        references = parse_references(text, f"{folder.name}: {REFERENCES}")
    except SourceError:
        if (folder.root / MANIFEST).is_file():
            raise
        return folder  # a file of somebody else that happens to have this name
    pinned = {
        place: pinned_repository(*place, token=token)
        for place in {(each.repo_id, each.commit) for each in references.values()}
    }
    return ReferringFolder(
        folder,
        {path: (pinned[each.repo_id, each.commit], each.path, each.bytes) for path, each in references.items()},
    )


def open_repository(
    source: str | os.PathLike[str], *, revision: str | None = None, token: str | bool | None = None
) -> Repository:
    """A repository from a folder, a Hub id (`org/name`) or a URL (`hf://datasets/org/name@revision/folder`).

    An existing folder wins over a Hub id of the same spelling, as in `datasets.load_dataset`. A revision may hold
    slashes: `refs/pr/1` as it is, others with "%2F" for each.

    Raises:
        SourceError: there is no such folder or repository, or it may not be read.
        UsageError: no name, two revisions, or a folder that leads out of the repository.
    """
    text = os.fsdecode(source)
    if not text:
        raise UsageError("the source is empty; expected a folder, 'org/name' or 'hf://datasets/org/name'")
    if url := HUB_URL.fullmatch(text):
        named = unquote(url["revision"] or "")
        if revision and named and revision != named:
            raise UsageError(f"{text!r} names revision {named!r}, and revision= is {revision!r}; give one")
        folder = "/".join(piece for piece in (url["folder"] or "").split("/") if piece not in ("", "."))
        if ".." in folder.split("/"):
            raise UsageError(f"{text!r}: folder {folder!r} leads out of the repository; give one inside it")
        return _open_hub(url["repo"], folder, revision or named or None, token)
    if (path := Path(text).expanduser()).is_dir():
        return _with_references(LocalFolder(path.absolute()), token)
    if path.is_file():
        raise SourceError(f"{text!r} is a file; expected a folder, 'org/name' or 'hf://datasets/org/name'")
    repo_id = text.rstrip("/")
    if REPO_ID.fullmatch(repo_id) and not text.startswith((".", "datasets/")):
        try:
            return _open_hub(repo_id, "", revision, token)
        except SourceError as error:
            near = _published(repo_id) or _beside(path)
            raise SourceError(f"{error}; nor is {repo_id} a folder on this machine{near}") from error
    raise SourceError(
        f"{text!r} is neither a folder on this machine nor a Hub dataset; expected a folder, 'org/name' or "
        f"'hf://datasets/org/name[@revision][/folder]'{_near_miss(text) or _published(text) or _beside(path)}"
    )


def _published(text: str) -> str:
    """The paper's name for dataset and code, in place of that of the dataset on the Hub."""
    is_near = text.rpartition("/")[2].lower() in ("unifiedvisual", UPSTREAM_REPOSITORY.rpartition("/")[2].lower())
    return f"; did you mean {UPSTREAM_REPOSITORY}?" if is_near and text != UPSTREAM_REPOSITORY else ""


def _beside(path: Path) -> str:
    """A folder spelt almost like the missing one, if there is one beside it."""
    folders: list[str] = []
    with suppress(OSError):
        folders = [each.name for each in path.parent.iterdir() if each.is_dir()]
    near = difflib.get_close_matches(path.name, folders, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _near_miss(text: str) -> str:
    if not (found := NEAR_HUB_URL.fullmatch(text.rstrip("/"))):
        return ""
    revision = found["revision"] or found["branch"]
    return f"; did you mean 'hf://datasets/{found['repo']}{f'@{revision}' if revision else ''}{found['folder'] or ''}'?"


def address(repository: Repository) -> str:
    """What `open_repository` takes to open the same files again: a folder, or a URL with the commit."""
    if not isinstance(repository, HubRepository):
        return repository.name
    folder = f"/{repository.folder}" if repository.folder else ""
    return f"hf://datasets/{repository.repo_id}@{repository.commit}{folder}"


def folder_in(source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """The address of a folder inside a source, as `data_dir` of `datasets.load_dataset` means it."""
    text, inside = os.fsdecode(source), os.fsdecode(folder)
    if text.startswith("hf://"):
        return f"{text.rstrip('/')}/{inside.strip('/')}"
    path = Path(text).expanduser()
    if not path.is_dir() and REPO_ID.fullmatch(text.rstrip("/")):
        return f"hf://datasets/{text.rstrip('/')}/{inside.strip('/')}"
    return str(path / Path(inside).expanduser())


def downloaded(repository: Repository) -> Repository:
    """The same files, read from this machine; a local folder is so already."""
    return repository.downloaded() if isinstance(repository, HubRepository | ReferringFolder) else repository
