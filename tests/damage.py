"""What becomes of files on a bad disk, or by somebody's hand."""

import os
from pathlib import Path


class Stopped(BaseException):
    """As by Ctrl-C, at a moment that the test chooses."""


def stop(*given: object) -> None:
    raise Stopped


def changed_to(path: Path, what: str) -> None:
    """Never in place: a file may be a link to another's."""
    content = path.read_bytes()
    path.unlink()
    if what in ("/dev/zero", "nowhere", "."):
        path.symlink_to(what)
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what != "removed":
        path.write_bytes(
            {
                "half": content[: len(content) // 2],
                "nothing": b"",
                "one bit": one_bit_off(content),
                "deep": b"[" * 100_000,
            }[what]
        )


def one_bit_off(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else b"x"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
