"""tar.gz -> members, one sequential pass, safely. Nothing is ever written to disk under a member's name.

Rules:
  names     compared after normalising: Unicode NFC, "\\" is "/", no "." or empty components, a leading "/" is dropped
            (as GNU tar does)
  ".."      refused: the member is counted and not read
  links, devices, pipes   refused: counted, never followed
  duplicates              the first member of a name counts; later ones are counted and ignored
  size      a member over `MAX_MEMBER_BYTES` is counted and not read; an extended header over `MAX_HEADER_BYTES` stops
            the archive
  end       an archive must end as tar says it does; a cut or damaged one raises, however much could be read
"""

import io
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from isal import igzip

from toolkit.errors import ArchiveError, SourceError

MAX_MEMBER_BYTES = 512 << 20
MAX_HEADER_BYTES = 1 << 20
MAX_TRAILING_BYTES = 64 << 20  # tar pads with zeros after its end mark; more than this is not padding


_EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Member(NamedTuple):
    name: str  # normalised
    data: bytes


def normalise_name(name: str) -> str:
    """One spelling for every way to write a path; ".." is kept, so that it can be refused."""
    pieces = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return "/".join(piece for piece in pieces if piece not in ("", "."))


def read_members(
    raw: BinaryIO,
    archive: str,
    *,
    wanted: Callable[[str], bool] = lambda name: True,
    on_refused: Callable[[str, str], None] = lambda kind, name: None,
) -> Iterator[Member]:
    """Regular members in archive order, as (normalised name, bytes).

    Args:
        raw: the compressed file, read once from front to back.
        archive: how messages call it.
        wanted: asked per normalised name; bytes of others are passed over.
        on_refused: told (kind, name) of every member that is not read for a reason: "unsafe_name", "link", "device",
            "huge_member".

    Raises:
        ArchiveError: not gzip, not tar, cut off or damaged.
    """
    try:
        with (
            igzip.IGzipFile(fileobj=_OneWay(raw), mode="rb") as inflated,
            tarfile.open(fileobj=inflated, mode="r:", tarinfo=_StrictTarInfo) as tar,
        ):
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or it would keep every header
                name = normalise_name(info.name)
                if kind := _refusal(info, name):
                    on_refused(kind, info.name)
                elif info.isreg() and wanted(name):
                    yield Member(name, _read(tar, info))
            _read_to_end(inflated, archive)
    except (SourceError, GeneratorExit):
        raise
    except (EOFError, OSError, zlib.error, tarfile.TarError, ValueError) as error:
        raise ArchiveError(
            f"{archive}: damaged or cut off ({type(error).__name__}: {error}); download it again"
        ) from error


class _OneWay(io.RawIOBase):
    """A file that is only ever read forward; igzip and tarfile ask whether it can seek, and then do not."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._raw.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a broken header in mid-archive for the end, and reads extended headers of any size; not here."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tar.offset}") from error

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictTarInfo":
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENDED_HEADERS and info.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"extended header of {info.size} bytes; at most {MAX_HEADER_BYTES} are read")
        return info


def _refusal(info: tarfile.TarInfo, name: str) -> str:
    if ".." in name.split("/"):
        return "unsafe_name"
    if info.issym() or info.islnk():
        return "link"
    if not (info.isreg() or info.isdir()):
        return "device"
    return "huge_member" if info.size > MAX_MEMBER_BYTES else ""


def _read(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    assert file is not None  # regular members always have one
    data = file.read()
    if len(data) != info.size:
        raise EOFError(f"member {info.name!r} has {len(data)} of {info.size} bytes")
    return data


def _read_to_end(inflated: BinaryIO, archive: str) -> None:
    """Past tar's end mark, so that gzip can compare its checksum."""
    left = MAX_TRAILING_BYTES
    while piece := inflated.read(1 << 20):
        left -= len(piece)
        if left < 0:
            raise ArchiveError(f"{archive}: over {MAX_TRAILING_BYTES >> 20} MiB follow the end of the tar; refused")
