"""Members of an archive: their names, and what is asked and told while they are read."""

import posixpath
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from toolkit.errors import ArchiveError
from toolkit.sources.impostors import impostor

MAX_MEMBER_BYTES = 256 << 20  # an uncompressed image of as many pixels as are decoded; more is a bomb of a few kB
# Of names that are not UTF-8, in the order in which they are tried.
ENCODINGS = ("gb18030", "shift_jis", "euc_kr", "big5", "cp1252")
NAME_ONLY = b"\0"


class Member(NamedTuple):
    name: str  # normalised
    data: bytes


class Watch(NamedTuple):
    """What is asked, and told, while an archive is read.

    Attributes:
        wanted: asked per normalised name; bytes of others are passed over.
        on_refused: told (kind, name) of every member that is not read for a reason: "unsafe_name", "device",
            "huge_member", "encrypted", "trailing_bytes".
        on_link: told (normalised name, normalised target) of every hard or symbolic link.
        names_only: members come with NAME_ONLY in place of their bytes.
    """

    wanted: Callable[[str], bool] = lambda name: True
    on_refused: Callable[[str, str], None] = lambda kind, name: None
    on_link: Callable[[str, str], None] = lambda name, target: None
    names_only: bool = False


def normalise_name(name: str) -> str:
    """One spelling for every way to write a path; ".." is kept, so that it can be refused."""
    if name.isascii():
        name = name.replace("\\", "/")
    elif is_utf8(name):  # in others a byte that looks like "\\" may be half a letter
        name = unicodedata.normalize("NFC", name).replace("\\", "/")
    if not ("//" in name or "." in (name[:1], name[-1:]) or "/" in (name[:1], name[-1:]) or "/." in name):
        return name  # nearly every one
    return "/".join([piece for piece in name.split("/") if piece not in ("", ".")])


def decodings(name: str) -> list[str]:
    """What a member's name may say whose bytes are not UTF-8; the last can always be shown."""
    raw = name.encode("utf-8", "surrogateescape")
    found = []
    for encoding in ENCODINGS:
        try:
            found.append(normalise_name(raw.decode(encoding)))
        except UnicodeDecodeError:
            continue
    return [*found, "".join(chr(byte) if 32 <= byte < 127 else f"%{byte:02X}" for byte in raw)]


def is_utf8(name: str) -> bool:
    return name.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in name)


def tell_link(name: str, target: str, watch: Watch, *, is_symbolic: bool) -> None:
    place = posixpath.join(posixpath.dirname(name), target) if is_symbolic else target
    place = posixpath.normpath(place.replace("\\", "/"))
    if place.startswith(".."):
        watch.on_refused("unsafe_link", name)
    else:
        watch.on_link(name, normalise_name(place))


def refuse_impostors(head: bytes, archive: str) -> None:
    if what := impostor(head):
        raise ArchiveError(f"{archive}: {what}")
