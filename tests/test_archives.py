"""Archives made here with the standard library, read by ours."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from toolkit.errors import ArchiveError, LayoutError
from toolkit.sources.published import members as member_rules
from toolkit.sources.published import tars
from toolkit.sources.published.archives import read_archive
from toolkit.sources.published.holdings import find_holdings
from toolkit.sources.published.mapping import Overrides
from toolkit.sources.published.members import Watch, decodings, normalise_name
from toolkit.sources.published.tars import read_tar
from toolkit.sources.published.zips import read_zip
from toolkit.sources.repository import LocalFolder


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


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(compressed: bytes, **watch: object) -> tuple[list[tuple[str, bytes]], list[tuple[str, str]]]:
    refused: list[tuple[str, str]] = []
    watched = Watch(on_refused=lambda kind, name: refused.append((kind, name)), **watch)  # type: ignore[arg-type]
    members = list(read_tar(io.BytesIO(compressed), "A.tar.gz", watched))
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
        special("up.png", tarfile.SYMTYPE, "../up.png"),
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
        ("unsafe_link", "up.png"),
        ("device", "pipe.png"),
        ("device", "device.png"),
    ]
    assert not outside.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_huge_member_is_passed_over_and_counted(monkeypatch):
    monkeypatch.setattr(member_rules, "MAX_MEMBER_BYTES", 1000)
    members, refused = read(gzip.compress(make_tar(("bomb.png", b"\0" * 1001), ("good.png", b"good"))))
    assert (members, refused) == ([("good.png", b"good")], [("huge_member", "bomb.png")])


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_huge_extended_header_is_refused_before_it_is_read(kind):
    header = special("x", kind)
    header.size = 3 << 20
    with pytest.raises(ArchiveError, match="extended header of 3145728 bytes; at most 1048576 are read"):
        read(gzip.compress(make_tar(header, ("good.png", b"good"))))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_extended_headers_one_after_another_without_end_are_refused(kind):
    with pytest.raises(ArchiveError, match="more than 16 headers for one member"):
        read(gzip.compress(make_tar(*[special("x", kind)] * 2_000, ("good.png", b"good"))))


def sparse(kind):
    """A member of 400 MB of which 512 bytes are there, as GNU tar writes it, or as pax headers say it."""
    header = special("bomb.png", tarfile.REGTYPE)
    header.size = 512
    if kind == "pax":
        header.pax_headers = {"GNU.sparse.size": "400000000", "GNU.sparse.map": "0,512"}
        return header.tobuf(tarfile.PAX_FORMAT) + bytes(1024 + 512)
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = tarfile.GNUTYPE_SPARSE
    block[386:410], block[482:495] = b"00000000000\x0000000001000\0", b"02765741000 \0"[:13]
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + bytes(1024 + 512)


@pytest.mark.parametrize("kind", ["gnu", "pax"])
def test_a_sparse_member_stops_before_it_is_read(kind):
    with pytest.raises(ArchiveError, match=r"'bomb\.png' is sparse, and such are not read"):
        read(gzip.compress(sparse(kind)))


def test_zeros_without_end_after_the_tar_are_refused(monkeypatch):
    monkeypatch.setattr(tars, "MAX_TRAILING_BYTES", 1 << 20)
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

    watch = Watch(wanted=lambda name: name == "19.png")
    names = [member.name for member in read_tar(OneWay(gzip.compress(GOOD)), "A.tar.gz", watch)]  # type: ignore[arg-type]
    assert names == ["19.png"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd])
def test_the_compression_is_told_by_the_first_bytes(compress):
    members, _ = read(compress(GOOD))
    assert [name for name, _ in members] == [f"{n}.png" for n in range(20)]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_archives_put_one_behind_the_other_are_read_to_the_end(compress):
    both = [make_tar(("a.png", b"1" * 700)), make_tar(("b.png", b"2")), make_tar(("c.png", b"3"))]
    members, refused = read(b"".join(map(compress, both)))
    assert (members, refused) == ([("a.png", b"1" * 700), ("b.png", b"2"), ("c.png", b"3")], [])


def test_what_follows_the_end_and_is_no_tar_is_counted():
    members, refused = read(gzip.compress(make_tar(("a.png", b"1")) + b"rubbish" * 100))
    assert [name for name, _ in members] == ["a.png"]
    assert [kind for kind, _ in refused] == ["trailing_bytes"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "a Git LFS pointer, not the file"),
        (b"\n<!DOCTYPE html>", "an HTML page in place of the file"),
        (b"<html>Not found</html>", "an HTML page in place of the file"),
    ],
)
def test_what_lies_in_place_of_an_archive_is_named(content, message):
    with pytest.raises(ArchiveError, match=rf"A\.tar\.gz: {message}"):
        read(content)


def test_links_are_handed_over_with_their_target_inside_the_archive():
    links = {}
    tar = make_tar(
        ("in/a.png", b"1"),
        special("out/hard.png", tarfile.LNKTYPE, "./in/a.png"),
        special("out/soft.png", tarfile.SYMTYPE, "../in/a.png"),
        special("folder", tarfile.SYMTYPE, "in"),
    )
    list(read_tar(io.BytesIO(tar), "A.tar", Watch(on_link=links.__setitem__)))
    assert links == {"out/hard.png": "in/a.png", "out/soft.png": "in/a.png", "folder": "in"}


def test_names_in_other_encodings_can_be_told_and_shown():
    raw = "\u7f16\u8f91/1.png".encode("gb18030").decode("utf-8", "surrogateescape")
    given = decodings(normalise_name(raw))
    assert given[0] == "\u7f16\u8f91/1.png"
    assert given[-1] == "%B1%E0%BC%AD/1.png"


def make_zip(*members: tuple[str, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read(compression):
    refused = []
    packed = make_zip(("./b.png", b"2" * 900), ("../x.png", b"0"), ("\u00fc/a.png", b"1"), compression=compression)
    watch = Watch(on_refused=lambda kind, name: refused.append((kind, name)))
    assert list(read_zip(io.BytesIO(packed), "A.zip", watch)) == [("b.png", b"2" * 900), ("\u00fc/a.png", b"1")]
    assert refused == [("unsafe_name", "../x.png")]


def test_a_member_of_a_zip_without_a_name_is_passed_over():
    packed = make_zip(("N.png", b"1"), ("b.png", b"2")).replace(b"N.png", b"\0.png")  # zipfile cuts a name at NUL
    assert list(read_zip(io.BytesIO(packed), "A.zip")) == [("b.png", b"2")]


@pytest.mark.parametrize("damaged", [lambda data: data[:-10], lambda data: data.replace(b"1" * 50, b"1" * 49 + b"0")])
def test_a_damaged_zip_raises(damaged):
    with pytest.raises(ArchiveError, match=r"A\.zip: damaged or cut off .*download it again"):
        list(read_zip(io.BytesIO(damaged(make_zip(("a.png", b"1" * 900)))), "A.zip"))


def in_folder(folder: Path, files: dict[str, bytes]) -> LocalFolder:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return LocalFolder(folder)


def names_read(folder: LocalFolder) -> dict[str, list[str]]:
    holdings = find_holdings("here", folder.list_files(), Overrides())
    return {each.name: [m.name for m in read_archive(folder, each, Watch())] for each in holdings.archives}


@pytest.mark.parametrize(
    "suffixes", [("-aa", "-ab", "-ac"), (".part00", ".part01", ".part02"), (".001", ".002", ".003")]
)
@pytest.mark.parametrize(
    ("whole", "data"), [("x.tar.gz", gzip.compress(GOOD)), ("x.ZIP", make_zip(("0.png", b"1" * 5000)))]
)
def test_parts_are_read_as_one_archive(tmp_path, suffixes, whole, data):
    third = len(data) // 3
    pieces = (data[:third], data[third : 2 * third], data[2 * third :])
    files = {f"images/{whole}{suffix}": piece for suffix, piece in zip(suffixes, pieces, strict=True)}
    folder = in_folder(tmp_path, {"data/a.parquet": b"", **files})
    [(name, found)] = names_read(folder).items()
    assert name == f"images/{whole}{suffixes[0]}"
    assert found[0] == "0.png"


def test_a_part_that_is_missing_is_named(tmp_path):
    folder = in_folder(tmp_path, {"d.parquet": b"", "x.tar.gz.part-aa": b"1", "x.tar.gz.part-ac": b"1"})
    with pytest.raises(LayoutError, match=r"x\.tar\.gz: part '1' is missing; there are 'x\.tar\.gz\.part-aa', "):
        find_holdings("here", folder.list_files(), Overrides())


def test_pictures_in_folders_are_read_like_an_archive_of_their_task(tmp_path):
    files = {"images/Image_Editing/s/1.png": b"1", "images/Image_Editing/2.jpe": b"2", "assets/logo.png": b"3"}
    folder = in_folder(tmp_path, {"data/a.parquet": b"", "notes.json": b"{}", "README.md": b"", **files})
    holdings = find_holdings("here", folder.list_files(), Overrides())
    assert [(each.name, each.task, each.kind) for each in holdings.archives] == [
        ("assets", "", "folder"),
        ("images/Image_Editing", "image_editing", "folder"),
    ]
    assert names_read(folder)["images/Image_Editing"] == ["images/Image_Editing/2.jpe", "images/Image_Editing/s/1.png"]
    assert holdings.unread == ("notes.json: not read; expected Parquet, an archive or a picture",)


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("images/Image_Editing.TAR.GZ", "image_editing"),
        ("images/Image_Correction.tgz", "image_correction"),
        ("Image_Editing/part-0001.tar", "image_editing"),
        ("images/MMReasoning_MM-00001-of-00003.zip", "mm_reasoning_mm"),
        ("images/pictures.tar", ""),
    ],
)
def test_archives_belong_to_the_task_they_or_their_folders_are_named_after(path, task):
    assert find_holdings("here", ["a.parquet", path], Overrides()).archives[0].task == task


def test_pieces_of_one_set_are_known_by_their_names():
    names = [
        "Image_Editing_part1.tar",
        "Image_Editing-00002-of-00003.tar",
        "Image_Editing.tar",
        "Image_Editing_old.tar",
    ]
    holdings = find_holdings("here", ["a.parquet", *names], Overrides())
    assert {each.name: each.series for each in holdings.archives} == {
        "Image_Editing_part1.tar": "Image_Editing",
        "Image_Editing-00002-of-00003.tar": "Image_Editing",
        "Image_Editing.tar": "Image_Editing",
        "Image_Editing_old.tar": "Image_Editing_old",
    }


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_of_a_zip_that_is_larger_than_it_says_is_damaged_and_takes_no_memory(how):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as whole:
        whole.writestr("bomb.png", bytes(128 << 20))
    data = bytearray(content.getvalue())
    place = data.index(b"PK\x01\x02") + 24  # the uncompressed size in the directory. Source: APPNOTE.TXT, 4.3.12
    data[place : place + 4] = (10).to_bytes(4, "little")
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="damaged or cut off"):
            list(read_zip(io.BytesIO(bytes(data)), "A.zip"))
        assert tracemalloc.get_traced_memory()[1] < 110 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_of_a_zip_are_whole_however_compressed(how):
    picture = random.Random(0).randbytes(70_000)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as whole:
        whole.writestr("a.png", picture)
    assert [member.data for member in read_zip(content, "A.zip")] == [picture]
