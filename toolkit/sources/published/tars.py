"""tar, plain or compressed, also several put together -> members, one sequential pass.

Extended headers over `MAX_HEADER_BYTES`, headers over `MAX_HEADERS` for one member, or a sparse member stop the
archive. It must end as tar and its compression say; a cut or damaged one raises, however much could be read.
"""

import bz2
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

import pyarrow as pa
from isal import igzip
from isal.igzip_lib import IsalError

from toolkit.errors import ArchiveError, SourceError
from toolkit.sources.published import members
from toolkit.sources.published.members import NAME_ONLY, Member, Watch, normalise_name, refuse_impostors, tell_link

MAX_HEADER_BYTES = 1 << 20
MAX_HEADERS = 16  # usual are up to 5: pax headers of all and of this member, long name, long link, its own
MAX_TRAILING_BYTES = 64 << 20  # tar pads with zeros after its end mark; more than this is not padding
BLOCK = 512

_EXTENDED_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_DAMAGE: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    zlib.error,
    cast("type[Exception]", IsalError),
    lzma.LZMAError,
    tarfile.TarError,
    ValueError,
    pa.ArrowException,
)


def read_tar(raw: BinaryIO, archive: str, watch: Watch = Watch()) -> Iterator[Member]:  # noqa: B008  # immutable
    """Regular members of a tar in archive order.

    Args:
        raw: the file, read once from front to back.
        archive: how messages call it.

    Raises:
        ArchiveError: not a tar, cut off or damaged; or something else in its place.
    """
    head = b""
    while len(head) < BLOCK and (piece := raw.read(BLOCK - len(head))):
        head += piece
    refuse_impostors(head, archive)
    try:
        with ExitStack() as stack:
            inflated = stack.enter_context(_inflated(_OneWay(head, raw), head))
            rest: BinaryIO | None = inflated
            while rest is not None:
                yield from _read_tar(rest, watch)
                rest = _next_tar(inflated, archive, watch)
    except SparseMember as error:
        raise ArchiveError(f"{archive}: {error}") from error
    except (SourceError, GeneratorExit):
        raise
    except _DAMAGE as error:
        raise ArchiveError(
            f"{archive}: damaged or cut off ({type(error).__name__}: {error}); download it again"
        ) from error


def _inflated(raw: "_OneWay", head: bytes) -> Any:
    if head.startswith(b"BZh"):
        return bz2.BZ2File(cast(BinaryIO, raw))
    if head.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(cast(BinaryIO, raw))
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return io.BufferedReader(_OneWay(b"", pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")), 1 << 20)
    if head[257:262] == b"ustar" or (head and _is_header(head)):
        return io.BufferedReader(raw, 1 << 20)
    return io.BufferedReader(cast(Any, igzip.IGzipFile(fileobj=raw, mode="rb")), 1 << 20)


class _OneWay(io.RawIOBase):
    """A file that is only read forward, its first bytes given back; readers ask whether it can seek, and do not."""

    def __init__(self, head: bytes, raw: BinaryIO) -> None:
        self._head, self._raw, self._place = head, raw, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Forward, by reading."""
        if whence != io.SEEK_SET or offset < self._place:
            raise OSError(f"cannot go back to byte {offset}")
        while self._place < offset and self.read(min(offset - self._place, 1 << 20)):
            pass
        return self._place

    def read(self, size: int = -1) -> bytes:
        """All of `size` bytes, but at the end."""
        pieces, left = [], size
        while left and (piece := super().read(left)):
            pieces.append(piece)
            left -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        if self._head:
            count = min(len(buffer), len(self._head))
            buffer[:count], self._head = self._head[:count], self._head[count:]
        else:
            count = self._raw.readinto(buffer)  # type: ignore[attr-defined]  # every file here has it
        self._place += count
        return count


class SparseMember(ArchiveError):
    """A few bytes that stand for gigabytes of zeros; nothing packs images so."""

    def __init__(self, name: str) -> None:
        super().__init__(f"member {name!r} is sparse, and such are not read; pack it again without tar --sparse")


class StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a broken header in mid-archive for the end, and reads extended headers of any size and number; not
    here.
    """

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "StrictTarInfo":
        tar.depth = getattr(tar, "depth", 0) + 1  # type: ignore[attr-defined]  # each is read within the one before
        if tar.depth > MAX_HEADERS:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"more than {MAX_HEADERS} headers for one member")
        try:
            info = super().fromtarfile(tar)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {tar.offset}") from error
        finally:
            tar.depth -= 1  # type: ignore[attr-defined]
        if info.sparse is not None:  # as pax says it
            raise SparseMember(info.name)
        return info

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "StrictTarInfo":
        info = super().frombuf(buf, encoding, errors)
        if info.type == tarfile.GNUTYPE_SPARSE:  # before its map of holes is read
            raise SparseMember(info.name)
        if info.type in _EXTENDED_HEADERS and info.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"extended header of {info.size} bytes; at most {MAX_HEADER_BYTES} are read")
        return info


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _read_tar(file: BinaryIO, watch: Watch) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:", tarinfo=StrictTarInfo, encoding="utf-8") as tar:
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # or it would keep every header
            name = normalise_name(info.name)
            if kind := _refusal(info, name):
                watch.on_refused(kind, info.name)
            elif info.issym() or info.islnk():
                tell_link(name, info.linkname, watch, is_symbolic=info.issym())
            elif info.isreg() and watch.wanted(name):
                yield Member(name, NAME_ONLY if watch.names_only else _read(tar, info))


def _refusal(info: tarfile.TarInfo, name: str) -> str:
    if ".." in name and ".." in name.split("/"):
        return "unsafe_name"
    if not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
        return "device"
    return "huge_member" if info.size > members.MAX_MEMBER_BYTES else ""


def _read(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.fileobj  # extractfile copies twice
    assert file is not None
    file.seek(info.offset_data)
    data = file.read(info.size)
    if len(data) != info.size:
        raise EOFError(f"member {info.name!r} has {len(data)} of {info.size} bytes")
    return data


def _next_tar(inflated: BinaryIO, archive: str, watch: Watch) -> BinaryIO | None:
    """Past tar's end mark: another tar appended to it, or None. Reading on to the end lets gzip compare its
    checksum.
    """
    left = MAX_TRAILING_BYTES
    while block := _whole_block(inflated):
        left -= len(block)
        if left < 0:
            raise ArchiveError(f"{archive}: over {MAX_TRAILING_BYTES >> 20} MiB follow the end of the tar; refused")
        if block.count(0) != len(block):
            if len(block) == BLOCK and _is_header(block):
                return cast(BinaryIO, _OneWay(block, inflated))
            watch.on_refused("trailing_bytes", f"{block[:16]!r} after the end of the tar")
            while piece := inflated.read(1 << 20):
                left -= len(piece)
                if left < 0:
                    raise ArchiveError(
                        f"{archive}: over {MAX_TRAILING_BYTES >> 20} MiB follow the end of the tar; refused"
                    )
            return None
    return None


def _whole_block(file: BinaryIO) -> bytes:
    block = file.read(BLOCK)
    while 0 < len(block) < BLOCK and (more := file.read(BLOCK - len(block))):
        block += more
    return block
