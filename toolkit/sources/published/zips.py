"""zip -> members."""

import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from toolkit.errors import ArchiveError, SourceError
from toolkit.sources.published.members import (
    MAX_MEMBER_BYTES,
    NAME_ONLY,
    Member,
    Watch,
    normalise_name,
    refuse_impostors,
    tell_link,
)

HEAD_BYTES = 512
PIECE_BYTES = 64  # compressed, of bzip2 and LZMA, which unpack to 90 MB at most
# What zipfile raises on bytes that are no whole zip, or one of a kind that it does not read.
ZIP_ERRORS = (
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def read_zip(file: BinaryIO, archive: str, watch: Watch = Watch()) -> Iterator[Member]:  # noqa: B008  # immutable
    """Members of a zip in the order in which they lie; `file` is seekable.

    Raises:
        ArchiveError: not a zip, cut off or damaged.
    """
    refuse_impostors(file.read(HEAD_BYTES), archive)
    try:
        with zipfile.ZipFile(file) as whole:
            for info in sorted(whole.infolist(), key=lambda info: info.header_offset):
                yield from _read_zipped(whole, info, archive, watch)
    except (SourceError, GeneratorExit):
        raise
    except (NotImplementedError, RuntimeError) as error:
        raise ArchiveError(f"{archive}: cannot be read ({error}); unpack it into a folder of the same name") from error
    except ZIP_ERRORS as error:
        raise ArchiveError(
            f"{archive}: damaged or cut off ({type(error).__name__}: {error}); download it again"
        ) from error


def _read_zipped(whole: zipfile.ZipFile, info: zipfile.ZipInfo, archive: str, watch: Watch) -> Iterator[Member]:
    given = info.filename
    if not info.flag_bits & 0x800:  # without it zipfile takes names for cp437, as few writers mean them
        given = given.encode("cp437", "replace").decode("utf-8", "surrogateescape")
    name = normalise_name(given)
    if ".." in name.split("/"):
        watch.on_refused("unsafe_name", given)
    elif info.flag_bits & 1:
        watch.on_refused("encrypted", given)
    elif info.file_size > MAX_MEMBER_BYTES:
        watch.on_refused("huge_member", given)
    elif stat.S_ISLNK(info.external_attr >> 16):
        tell_link(name, read_member(whole, info).decode("utf-8", "surrogateescape"), watch, is_symbolic=True)
    elif not given.endswith("/") and name and watch.wanted(name):  # is_dir() breaks on an empty name
        yield Member(name, NAME_ONLY if watch.names_only else read_member(whole, info))


def read_member(whole: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Of the size that the directory tells, and no more: `ZipFile.read` unpacks all that there is before it looks."""
    with cast(zipfile.ZipExtFile, whole.open(info)) as file:
        if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return file.read(info.file_size)
        file.MIN_READ_SIZE = PIECE_BYTES
        return b"".join(iter(lambda: file.read(PIECE_BYTES), b""))
