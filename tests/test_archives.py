"""Archives made here with the standard library, read by ours."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from toolkit.errors import ArchiveError
from toolkit.sources.published import archives
from toolkit.sources.published.archives import normalise_name, read_members


def make_tar(*members: tuple[str, bytes] | tarfile.TarInfo, **options: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for member in members:
            info, data = (
                (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            )
            info.size = info.size or len(data)
            tar.addfile(info, io.BytesIO(data.ljust(info.size, b"\0")))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(compressed: bytes, **options: object) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    refused: list[tuple[str, str]] = []
    members = list(
        read_members(
            io.BytesIO(compressed), "A.tar.gz", on_refused=lambda kind, name: refused.append((kind, name)), **options
        )
    )  # type: ignore[arg-type]
    return [tuple(member) for member in members], refused


@pytest.mark.parametrize("options", [{"format": tarfile.GNU_FORMAT}, {"format": tarfile.PAX_FORMAT}])
def test_members_come_in_archive_order_with_their_bytes(options):
    long_name = "/".join(["folder"] * 40) + "/übung.png"
    members, refused = read(
        gzip.compress(
            make_tar(("b.png", b"2"), ("a.png", b"1" * 5000), (long_name, b"3"), ("empty.png", b""), **options)
        )
    )
    assert members == [("b.png", b"2"), ("a.png", b"1" * 5000), (long_name, b"3"), ("empty.png", b"")]
    assert refused == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("./a/b.png", "a/b.png"),
        ("/a//b.png", "a/b.png"),
        ("a\\b.png", "a/b.png"),
        ("a/./b.png", "a/b.png"),
        ("u\u0308.png", "\u00fc.png"),
        ("../a.png", "../a.png"),
    ],
)
def test_names_have_one_spelling(written, expected):
    assert normalise_name(written) == expected


def test_members_that_could_do_harm_are_refused_by_name_and_write_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outside = tmp_path.parent / "outside.png"
    tar = make_tar(
        ("../outside.png", b"x"),
        ("a/../../outside.png", b"x"),
        (str(outside), b"absolute"),
        special("link.png", tarfile.SYMTYPE, str(outside)),
        special("hard.png", tarfile.LNKTYPE, str(outside)),
        special("pipe.png", tarfile.FIFOTYPE),
        special("device.png", tarfile.CHRTYPE),
        special("folder", tarfile.DIRTYPE),
        ("good.png", b"good"),
    )
    members, refused = read(gzip.compress(tar))
    assert members == [(str(outside).lstrip("/"), b"absolute"), ("good.png", b"good")]
    assert refused == [
        ("unsafe_name", "../outside.png"),
        ("unsafe_name", "a/../../outside.png"),
        ("link", "link.png"),
        ("link", "hard.png"),
        ("device", "pipe.png"),
        ("device", "device.png"),
    ]
    assert not outside.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_huge_member_is_passed_over_and_counted(monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1000)
    members, refused = read(gzip.compress(make_tar(("bomb.png", b"\0" * 1001), ("good.png", b"good"))))
    assert (members, refused) == ([("good.png", b"good")], [("huge_member", "bomb.png")])


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_extended_header_is_refused_before_it_is_read(kind):
    header = special("x", kind)
    header.size = 3 << 20
    with pytest.raises(ArchiveError, match="extended header of 3145728 bytes; at most 1048576 are read"):
        read(gzip.compress(make_tar(header, ("good.png", b"good"))))


def test_zeros_without_end_after_the_tar_are_refused(monkeypatch):
    monkeypatch.setattr(archives, "MAX_TRAILING_BYTES", 1 << 20)
    with pytest.raises(ArchiveError, match="follow the end of the tar"):
        read(gzip.compress(make_tar(("a.png", b"1")) + b"\0" * (4 << 20)))


GOOD = make_tar(*((f"{n}.png", bytes([n]) * 3000) for n in range(20)))


PACKED = gzip.compress(GOOD, mtime=0)
DAMAGED = {
    "no checksum": (PACKED[:-4], "EOFError"),
    "half": (PACKED[: len(PACKED) // 2], "EOFError"),
    "wrong checksum": (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "CRC|crc"),
    "tar cut in a member": (gzip.compress(GOOD[:3000]), ""),
    "tar cut between members": (gzip.compress(GOOD[: 512 * 7 * 3]), ""),
    "broken header inside": (gzip.compress(GOOD[:3584] + b"garbage!" * 64 + GOOD[4096:]), ""),
    "html": (b"<html>Not found</html>", ""),
    "empty": (b"", ""),
    "empty gzip": (gzip.compress(b""), ""),
    "not tar": (gzip.compress(b"not a tar" * 1000), ""),
}


@pytest.mark.parametrize(("damaged", "why"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_raises_however_much_was_read(damaged, why):
    with pytest.raises(ArchiveError, match=rf"A\.tar\.gz: damaged or cut off \(.*{why}.*download it again"):
        read(damaged)


def test_only_wanted_members_are_read():
    members, _ = read(gzip.compress(GOOD), wanted=lambda name: name in ("3.png", "7.png"))
    assert [name for name, _ in members] == ["3.png", "7.png"]


def test_a_file_can_be_read_that_cannot_seek(tmp_path: Path):
    class OneWay(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.data = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            return self.data.readinto(buffer)

    names = [
        member.name
        for member in read_members(OneWay(gzip.compress(GOOD)), "A.tar.gz", wanted=lambda name: name == "19.png")
    ]  # type: ignore[arg-type]
    assert names == ["19.png"]
