"""What lies in a repository: Parquet files, archives (also in parts), folders of pictures, and what is not read."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from toolkit.errors import LayoutError, shorten
from toolkit.sources.published.mapping import IGNORE, Overrides
from toolkit.sources.published.shapes.pictures import is_picture_name
from toolkit.sources.published.shapes.words import task_named_in

ARCHIVE = re.compile(
    r"(?P<stem>.+?)\.(?P<kind>tar\.gz|tgz|tar\.bz2|tbz2?|tar\.xz|txz|tar\.zst|tzst|tar|zip)"
    r"(?P<part>[._-]?(?:part|p)?[._-]?(?:\d{1,5}|[a-d][a-z]))?",
    re.IGNORECASE,
)
NOT_READ = re.compile(r".+\.(7z|rar|z\d\d|zipx|tar\.lz4?)(\.\w+)?|.+\.gz", re.IGNORECASE)
ABOUT = re.compile(
    r"(.*/)?(README|LICEN[CS]E|NOTICE|CITATION|CHANGELOG|\.git\w+|MANIFEST|dataset_infos?|croissant)[^/]*|.+\.(md|txt|rst|ya?ml|lock)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One archive, from one file or from parts in order; or a folder of picture files.

    Attributes:
        name: how messages call it: the path of the file, of the first part, or of the folder.
        files: in order. Of a folder: its pictures.
        task: whose pictures it holds; "" where nothing says.
        kind: "tar", "zip" or "folder".
        series: the same for archives that are numbered pieces of one set.
    """

    name: str
    files: tuple[str, ...]
    task: str
    kind: str
    series: str


@dataclass(frozen=True, kw_only=True)
class Holdings:
    texts: tuple[str, ...]
    archives: tuple[Archive, ...]
    unread: tuple[str, ...]  # a line for each file that is not read

    def of_task(self, task: str) -> list[Archive]:
        return [archive for archive in self.archives if archive.task == task]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks that archives are named after."""
        return tuple(dict.fromkeys(archive.task for archive in self.archives if archive.task))


def find_holdings(repository: str, files: Iterable[str], overrides: Overrides) -> Holdings:
    """Sort the files of a repository by what they are.

    Raises:
        LayoutError: no Parquet; or a part of an archive is missing between others.
    """
    files = list(files)
    texts = tuple(path for path in files if path.lower().endswith(".parquet"))
    if not texts:
        raise LayoutError(f"{repository}: no Parquet under data/; found {shorten(files) or 'no files at all'}")
    pictures: dict[str, list[str]] = {}
    unread: list[str] = []
    for path in files:
        if path in texts or ARCHIVE.fullmatch(path):
            continue
        if is_picture_name(path):
            pictures.setdefault(path.rpartition("/")[0], []).append(path)
        elif NOT_READ.fullmatch(path):
            unread.append(f"{path}: not read; expected tar, tar.gz, tar.bz2, tar.xz, tar.zst or zip")
        elif not ABOUT.fullmatch(path):
            unread.append(f"{path}: not read; expected Parquet, an archive or a picture")
    archives = [*find_archives(repository, files, overrides), *_folders(pictures, overrides)]
    ignored = [f"{archive.name}: not read, as the mapping says" for archive in archives if archive.task == IGNORE]
    kept = [archive for archive in archives if archive.task != IGNORE]
    return Holdings(texts=texts, archives=tuple(sorted(kept, key=lambda each: each.name)), unread=(*unread, *ignored))


def find_archives(repository: str, files: Iterable[str], overrides: Overrides) -> list[Archive]:
    """Archives among files, parts of one put together.

    Raises:
        LayoutError: a part is missing between others.
    """
    parts: dict[str, list[tuple[str, str]]] = {}
    for path in files:
        if match := ARCHIVE.fullmatch(path):
            whole = f"{match['stem']}.{match['kind']}"
            parts.setdefault(whole, []).append((_part_key(match["part"] or ""), path))
    return [_archive(repository, whole, sorted(found), overrides) for whole, found in parts.items()]


def _part_key(part: str) -> str:
    """Parts in order: numbers by size, letters as they are."""
    number = re.sub(r"\D", "", part)
    return f"{int(number):06d}" if number else part[-2:].lower()


def _archive(repository: str, whole: str, parts: list[tuple[str, str]], overrides: Overrides) -> Archive:
    paths = tuple(path for _, path in parts)
    keys = [key for key, _ in parts]
    if keys != [""] and "" in keys:
        raise LayoutError(f"{repository}: {whole} is there whole and in parts ({shorten(paths)}); remove one of them")
    missing = _gaps(keys)
    if missing:
        raise LayoutError(
            f"{repository}: {whole}: part {missing[0]!r} is missing; there are {shorten(paths)}; download it"
        )
    name = paths[0]
    kind = "zip" if whole.lower().endswith(".zip") else "tar"
    task = overrides.archive(name) or _task_of(whole)
    return Archive(name=name, files=paths, task=task, kind=kind, series=_series(whole))


def _gaps(keys: list[str]) -> list[str]:
    """Parts that are missing between others, or before the first (aa; 0 or 1)."""
    if keys == [""]:
        return []
    if keys[0].isdigit():
        numbers = [int(key) for key in keys]
        expected = range(min(numbers[0], 1), numbers[-1] + 1)
    else:
        numbers = [(ord(key[0]) - 97) * 26 + ord(key[1]) - 97 for key in keys]
        expected = range(numbers[-1] + 1)
    return [str(number) for number in expected if number not in set(numbers)]


def _task_of(path: str) -> str:
    """By the file's name, else by its folders, innermost first."""
    for piece in reversed(re.sub(r"\.\w+(\.\w+)?$", "", path).split("/")):
        if task := task_named_in(piece):
            return task
    return ""


def _series(whole: str) -> str:
    """The name without its numbers: "Image_Editing-00000-of-00003", "Image_Editing_part1"."""
    return re.sub(
        r"[._-]*(?:part|shard|chunk)?[._-]*\d+(?:[._-]?of[._-]?\d+)?", "", ARCHIVE.sub(r"\g<stem>", whole), flags=re.I
    )


def _folders(pictures: Mapping[str, list[str]], overrides: Overrides) -> list[Archive]:
    """Folders of pictures, those below one that is named after a task taken together."""
    found: dict[tuple[str, str], list[str]] = {}
    for folder, paths in pictures.items():
        pieces = folder.split("/")
        tops = ["/".join(pieces[: number + 1]) for number in range(len(pieces))]
        named = next((top for top in tops if overrides.archive(top)), "") or next(
            (top for top in tops if task_named_in(top.rpartition("/")[2])), ""
        )
        task = overrides.archive(named) or (task_named_in(named.rpartition("/")[2]) if named else "")
        found.setdefault((named or tops[0], task), []).extend(paths)
    return [
        Archive(name=name or ".", files=tuple(paths), task=task, kind="folder", series=name)
        for (name, task), paths in found.items()
    ]
