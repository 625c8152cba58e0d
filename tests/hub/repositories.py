"""What the loopback Hub holds: blobs, immutable commits, and repositories whose branches and tags name commits. Knows
nothing of HTTP.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path, PurePosixPath

CHUNK_BYTES = 1 << 18
LARGE_BYTES = 10 << 20  # as on the Hub: above this a file goes to LFS whatever its name; here it also stays on disk
# Source: the .gitattributes every new dataset repository gets (huggingface.co/docs/hub/repositories-getting-started),
# shortened
LARGE_SUFFIXES = (
    ".arrow",
    ".bin",
    ".gif",
    ".gz",
    ".jpeg",
    ".jpg",
    ".npy",
    ".parquet",
    ".png",
    ".tar",
    ".tgz",
    ".webp",
    ".zip",
    ".zst",
)
GITATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE_SUFFIXES).encode()
FIRST_COMMIT = datetime(2025, 1, 1, tzinfo=timezone.utc)


class HubError(Exception):
    """An answer other than success; `code` is what the clients choose their exception class by."""

    def __init__(self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, dict(headers or {})


@dataclass(frozen=True, kw_only=True)
class Blob:
    content: bytes | Path  # bytes up to LARGE_BYTES; a larger file is read where it lies, so it must not change
    size: int
    oid: str  # git's name of the blob; for LFS, of the pointer file
    sha256: str = ""  # LFS's name, "" when the file is not in LFS
    pointer_size: int = 0

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid

    def read(self, start: int, end: int) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content[start:end]
            return
        with self.content.open("rb") as file:
            file.seek(start)
            while start < end and (chunk := file.read(min(CHUNK_BYTES, end - start))):
                start += len(chunk)
                yield chunk


@dataclass(frozen=True, kw_only=True)
class Commit:
    id: str
    title: str
    date: str
    parent: str
    files: Mapping[str, Blob]

    def entries(self, folder: str = "", *, recursive: bool = True, expand: bool = False) -> list[dict[str, object]]:
        """Files and folders below `folder` as the tree API describes them, sorted by path.

        Raises:
            HubError: neither a file nor a folder has this path.
        """
        if folder in self.files:
            return [self.entry(folder, expand=expand)]
        prefix = folder + "/" if folder else ""
        below = [path for path in self.files if path.startswith(prefix)]
        if folder and not below:
            raise HubError(404, f"{folder} does not exist on {self.id!r}", code="EntryNotFound")
        parents = {
            str(parent)
            for path in below
            for parent in PurePosixPath(path).parents
            if str(parent).startswith(prefix) and str(parent) != "."
        }
        paths = sorted({*below, *parents})
        return [self.entry(path, expand=expand) for path in paths if recursive or "/" not in path[len(prefix) :]]

    def entry(self, path: str, *, expand: bool = False) -> dict[str, object]:
        # Simplified: every entry names this commit as its last, not the commit that last changed it.
        last = {"lastCommit": {"id": self.id, "title": self.title, "date": self.date}} if expand else {}
        blob = self.files.get(path)
        if blob is None:
            return {
                "type": "directory",
                "oid": hashlib.sha1(f"{self.id}/{path}".encode()).hexdigest(),
                "size": 0,
                "path": path,
                **last,
            }
        lfs = {"lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": blob.pointer_size}} if blob.sha256 else {}
        return {"type": "file", "oid": blob.oid, "size": blob.size, "path": path, **lfs, **last}


@dataclass(kw_only=True)
class Repository:
    id: str
    private: bool = False
    gated: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)  # by id, oldest first
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit:
        """The commit a branch, a tag or a full commit id names."""
        commit = self.commits.get(self.branches.get(revision) or self.tags.get(revision) or revision)
        if commit is None:
            raise HubError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")
        return commit

    def commit(self, files: Mapping[str, Blob], *, branch: str = "main", title: str = "Add files") -> Commit:
        """A new commit holding exactly `files`, at the head of `branch`, which is made when it is new."""
        parent = self.branches.get(branch, "")
        named = json.dumps(
            [self.id, len(self.commits), parent, title, sorted((path, blob.etag) for path, blob in files.items())]
        )
        date = (FIRST_COMMIT + timedelta(minutes=len(self.commits))).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        made = Commit(
            id=hashlib.sha1(named.encode()).hexdigest(), title=title, date=date, parent=parent, files=dict(files)
        )
        self.commits[made.id] = made
        self.branches[branch] = made.id
        return made

    def history(self, revision: str) -> Iterator[Commit]:
        commit: Commit | None = self.at(revision)
        while commit is not None:
            yield commit
            commit = self.commits.get(commit.parent)


def goes_to_lfs(path: str, size: int) -> bool:
    return size > LARGE_BYTES or (size > 0 and PurePosixPath(path).suffix.lower() in LARGE_SUFFIXES)


def blob_at(path: str, source: bytes | Path) -> Blob:
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if goes_to_lfs(path, size):
        return lfs_blob(source)
    content = source if isinstance(source, bytes) else source.read_bytes()
    return Blob(content=content, size=size, oid=git_oid(content))


def lfs_blob(source: bytes | Path) -> Blob:
    if isinstance(source, Path) and source.stat().st_size <= LARGE_BYTES:
        source = source.read_bytes()
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    digest = hashlib.sha256()
    for chunk in Blob(content=source, size=size, oid="").read(0, size):
        digest.update(chunk)
    # Source: git-lfs, docs/spec.md, "The Pointer"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest.hexdigest()}\nsize {size}\n".encode()
    return Blob(content=source, size=size, oid=git_oid(pointer), sha256=digest.hexdigest(), pointer_size=len(pointer))


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
