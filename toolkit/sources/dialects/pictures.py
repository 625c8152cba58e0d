"""What records name -> the bytes of pictures: files beside the records or in a folder, members of archives.

    exact    the name from the folder of the records, or from the top
    end      the one member of an archive whose name ends as the record's does, as far as the shorter goes; folders that
             only say in which archive a picture lies ("images/", the archive's own name) aside

A zip and a plain tar are read where a picture lies; a compressed tar is unpacked once, pictures over 64 MB of it to a
temporary file. Archives on the Hub are downloaded. From other addresses pictures are fetched only where that is asked
for, each once.
"""

import io
import re
import tarfile
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from toolkit.errors import ArchiveError, ImageError, shown
from toolkit.schema import EncodedImage
from toolkit.sources.downloads import Downloads
from toolkit.sources.published.archives import Joined, read_archive
from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.matching import spellings
from toolkit.sources.published.members import MAX_MEMBER_BYTES, Watch, normalise_name
from toolkit.sources.published.shapes.pictures import Reference, is_picture_name
from toolkit.sources.published.shapes.words import squash
from toolkit.sources.published.spool import Spool
from toolkit.sources.published.tars import SparseMember, StrictTarInfo
from toolkit.sources.published.zips import ZIP_ERRORS, read_member
from toolkit.sources.repository import Repository, downloaded

SPOOL_BYTES = 64 << 20
WRAPPERS = ("images", "image", "imgs", "img", "data", "pictures", "train")
AHEAD = 64  # records whose pictures are downloaded at the same time
REMOTE = re.compile(r"(?!file:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Member(NamedTuple):
    """A picture in an archive."""

    archive: str
    name: str
    read: Callable[[], bytes]


class Stock:
    """The pictures of a repository; travels to other processes, where archives are opened anew.

    Args:
        archives: in which pictures lie.
        image_folder: where relative names start; a folder of this machine, or one of the repository; "" = beside the
            records, or at the top.
        downloads: keeps what addresses lead to; None: nothing is fetched.

    Attributes:
        at_once: records whose pictures are brought together.
    """

    def __init__(
        self,
        repository: Repository,
        archives: Sequence[Archive] = (),
        image_folder: str = "",
        downloads: Downloads | None = None,
    ) -> None:
        self._repository, self._archives, self._image_folder = repository, tuple(archives), image_folder
        self._downloads, self.at_once = downloads, AHEAD if downloads else 1
        self._index: dict[str, list[Member]] | None = None
        self._files: dict[str, int] | None = None
        self._stack: ExitStack | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_index": None, "_files": None, "_stack": None}

    def bring(self, references: Iterable[Reference]) -> None:
        """Download those that are addresses."""
        if self._downloads:
            for _ in self._downloads.all(each.path for each in references if REMOTE.match(each.path)):
                pass

    def find(self, reference: Reference, beside: str, own: Mapping[str, bytes]) -> EncodedImage:
        """
        Args:
            beside: the file of the record.
            own: pictures of the same sample.

        Raises:
            ImageError: kinds "remote_image", "unsafe_path", "missing_image", "ambiguous_image", and those of
                `Downloads`.
        """
        name = reference.path
        if reference.bytes:
            return EncodedImage(reference.bytes, name)
        if name in own:
            return EncodedImage(own[name], name)
        if REMOTE.match(name) and self._downloads:
            fetched = self._downloads.get(name)
            if fetched.path is None:
                raise ImageError(f"image {shown(name)} was not downloaded: {fetched.problem}", kind=fetched.problem)
            return EncodedImage(fetched.path.read_bytes(), name)
        if REMOTE.match(name) and not self._image_folder:
            raise ImageError(
                f"image {shown(name)} is on the network; pass download= with a folder to keep such images in, or "
                "image_folder= with one that has files of these names; img2dataset writes tars that are read, too",
                kind="remote_image",
            )
        plain = normalise_name(name.rpartition("/")[2] if REMOTE.match(name) else name.removeprefix("file://"))
        if ".." in plain.split("/"):
            raise ImageError(
                f"image path {shown(name)} leads upwards; expected one below the records", kind="unsafe_path"
            )
        if not plain or "\0" in plain:
            raise ImageError(f"image path is {shown(name)}; expected the name of a file", kind="missing_image")
        for spelling in dict.fromkeys(spellings(plain)):
            if (data := self._loose(spelling, beside)) is not None:
                return EncodedImage(data, name)
        for spelling in dict.fromkeys(spellings(plain)):
            if (data := self._packed(spelling)) is not None:
                return EncodedImage(data, name)
        where = self._image_folder or self._repository.name
        inside = f", or in {len(self._archives)} archives" if self._archives else ""
        raise ImageError(f"image {shown(name)} is not in {where}{inside}; pass image_folder=", kind="missing_image")

    def _loose(self, name: str, beside: str) -> bytes | None:
        folder = self._image_folder
        if folder and (place := Path(folder).expanduser()).is_dir():
            path = place / name
            # a link may lead anywhere, a name only below the folder, which ".." was refused for
            return path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_MEMBER_BYTES else None
        if self._files is None:
            self._files = self._repository.list_files()
        tops = [folder.strip("/")] if folder else [beside.rpartition("/")[0], ""]
        for top in tops:
            path_inside = "/".join(filter(None, (top, name)))
            if self._files.get(path_inside, MAX_MEMBER_BYTES + 1) <= MAX_MEMBER_BYTES:
                with closing(self._repository.stream(path_inside)) as file:
                    return file.read()
        return None

    def _packed(self, name: str) -> bytes | None:
        """The strictest rule under which any member fits decides."""
        if self._index is None:
            self._index, self._stack = {}, ExitStack()
            weakref.finalize(self, self._stack.close)
            for archive in self._archives:
                for member in self._members(archive):
                    self._index.setdefault(member.name.rpartition("/")[2], []).append(member)
        alike = self._index.get(name.rpartition("/")[2], [])
        for rule in (_is_equal, _is_equal_inside, _ends_alike):
            found = [member for member in alike if rule(name, member)]
            if len(found) > 1:
                raise ImageError(
                    f"image {shown(name)} may be {len(found)} members of archives, of {found[0].archive!r} and "
                    f"{found[1].archive!r}; expected one",
                    kind="ambiguous_image",
                )
            if found:
                return found[0].read()
        return None

    def _members(self, archive: Archive) -> Iterator[Member]:
        assert self._stack is not None
        repository = downloaded(self._repository)
        files = [self._stack.enter_context(closing(repository.open(path))) for path in archive.files]
        whole = files[0] if len(files) == 1 else cast(BinaryIO, io.BufferedReader(Joined(files)))
        if archive.kind == "zip":
            yield from _zipped(whole, archive.name)
        elif is_plain_tar(whole):
            yield from _tarred(whole, archive.name)
        else:
            spool = self._stack.enter_context(Spool(SPOOL_BYTES))
            watch = Watch(wanted=is_picture_name)
            for name, data in read_archive(repository, archive, watch):
                ticket = spool.put(data)
                yield Member(archive.name, name, partial(spool.get, ticket))


def _is_equal(name: str, member: Member) -> bool:
    return name == member.name


def _is_equal_inside(name: str, member: Member) -> bool:
    return _inside(name, member.archive) == _inside(member.name, member.archive)


def _ends_alike(name: str, member: Member) -> bool:
    """Whether one ends as the other, with a folder at least: what shares a file name only may be another picture."""
    pieces = (_inside(each, member.archive).split("/") for each in (name, member.name))
    one, other = sorted(pieces, key=len)
    return len(one) > 1 and one == other[-len(one) :]


@lru_cache(maxsize=4096)
def _inside(name: str, archive: str) -> str:
    """A name without leading folders that only say in which archive it lies: the archive's own name, or what it begins
    with, and "images/".
    """
    pieces = name.split("/")
    stem = squash(archive.rpartition("/")[2].partition(".")[0])
    while len(pieces) > 1 and (
        pieces[0].lower() in WRAPPERS or (squash(pieces[0]) and stem.startswith(squash(pieces[0])))
    ):
        pieces = pieces[1:]
    return "/".join(pieces)


def is_plain_tar(file: BinaryIO) -> bool:
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    return head[257:262] == b"ustar"


def _tarred(file: BinaryIO, archive: str) -> Iterator[Member]:
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=StrictTarInfo, encoding="utf-8") as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or it would keep every header
                name = normalise_name(info.name)
                if info.isreg() and ".." not in name.split("/") and info.size <= MAX_MEMBER_BYTES:
                    yield Member(archive, name, _slice(file, info.offset_data, info.size))
    except SparseMember as error:
        raise ArchiveError(f"{archive}: {error}") from error
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ArchiveError(f"{archive}: damaged or cut off ({error}); download it again") from error


def _slice(file: BinaryIO, start: int, size: int) -> Callable[[], bytes]:
    def read() -> bytes:
        file.seek(start)
        data = file.read(size)
        if len(data) != size:
            raise ImageError(
                f"{len(data)} of {size} bytes of the image are there; the archive is cut off", kind="cut_off"
            )
        return data

    return read


def _zipped(file: BinaryIO, archive: str) -> Iterator[Member]:
    try:
        whole = zipfile.ZipFile(file)
    except ZIP_ERRORS as error:
        raise ArchiveError(f"{archive}: damaged or cut off ({error}); download it again") from error
    for info in whole.infolist():
        name = normalise_name(info.filename)
        if (
            name
            and not info.filename.endswith("/")
            and ".." not in name.split("/")
            and info.file_size <= MAX_MEMBER_BYTES
        ):
            yield Member(archive, name, _unzip(whole, info))


def _unzip(whole: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return read_member(whole, info)
        except ZIP_ERRORS as error:
            raise ImageError(f"image {info.filename!r} cannot be unpacked: {error}", kind="cut_off") from error

    return read
