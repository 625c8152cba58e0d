"""What is read off an encoded image before anything is decoded, and the limits on the work it may cause."""

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toolkit.errors import ImageError
from toolkit.images import MAX_SCANS, DecodePolicy, Decoder, decode_image, image_size
from toolkit.images.files import PATH_SUFFIXES, format_name, jpeg_scans, says_nothing_of_pixels, without_chunks
from toolkit.images.memory import FILE_TIMES, FREE_BYTES, MAX_PIXELS

RED = (255, 0, 0)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def failure(data: bytes, **policy: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        Decoder(DecodePolicy(**policy)).decode(data, "row 'a': images[0]")
    return caught.value


def test_the_default_limits() -> None:
    assert (FREE_BYTES, FILE_TIMES, MAX_PIXELS, MAX_SCANS) == (300_000_000, 10, 89_478_485, 100)
    assert DecodePolicy().max_pixels is None


# Formats


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x10\0\0\0WEBP", "WebP"),
        (b"RIFF\x10\0\0\0WAVE", ""),
        (b"GIF87a", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0\x08\0", "TIFF"),
        (b"MM\0+\0\x08", "big-endian BigTIFF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"BM" + bytes(25), "BMP"),
        (b"BM, the company", ""),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", ""),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
        (b"\xff\x0a\0", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\1\0\2\0", "ICO"),
        (b"P6\n640 480\n255\n", "Netpbm"),
        (b"P6 is a name", ""),
        (b"", ""),
    ],
)
def test_a_format_is_told_by_the_first_bytes(data: bytes, name: str) -> None:
    assert format_name(data) == name


def test_a_format_that_is_not_decoded_here_is_named() -> None:
    error = failure(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    assert error.kind == "unsupported"
    assert str(error) == (
        "row 'a': images[0]: HEIF, which is not decoded here; convert it to JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"
    )


def test_suffixes_of_images_that_are_not_decoded_are_known() -> None:
    assert {"jpg", "jpe", "mpo", "jp2", "heic", "jxl", "png", "tif"} <= set(PATH_SUFFIXES)


def test_bigtiff_is_read() -> None:
    assert decode_image(encoded(Image.new("RGB", (3, 2), RED), "TIFF", big_tiff=True), "").getpixel((2, 1)) == RED


def test_a_bigtiff_that_pillow_cannot_read_is_told_as_such() -> None:
    assert failure(b"MM\0+\0\x08\0\0" + bytes(100)).kind == "unsupported"
    assert "big-endian BigTIFF, which is not decoded here" in str(failure(b"MM\0+\0\x08\0\0" + bytes(100)))


def test_of_a_jpeg_of_several_pictures_the_first_counts() -> None:
    data = encoded(Image.new("RGB", (8, 8), RED), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert decode_image(data, "").size == (8, 8)
    assert decode_image(data, "").getpixel((0, 0))[0] > 250  # type: ignore[index]


# PNGs whose texts or profile readers refuse


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    return (
        struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body) if crc is None else crc)
    )


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", 1, 1, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + bytes(RED)))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND", b"")


LARGE = zlib.compress(b"a" * (3 << 20))
EXTRAS = {
    "large compressed text": chunk(b"zTXt", b"Comment\0\0" + LARGE),
    "large international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + LARGE),
    "large profile": chunk(b"iCCP", b"icc\0\0" + LARGE),
    "profile that is none": chunk(b"iCCP", b"icc\0\0no zlib"),
    "much text in all": b"".join(chunk(b"zTXt", b"c\0\0" + zlib.compress(b"b" * 1_000_000)) for _ in range(70)),
    "text of a wrong checksum": chunk(b"tEXt", b"Comment\0hello", crc=1),
    "gamma cut short": chunk(b"gAMA", b"1"),
    "empty colour space": chunk(b"sRGB", b""),
    "sizes cut short": chunk(b"pHYs", b"1"),
    "private chunk of a wrong checksum": chunk(b"prVt", b"abc", crc=1),
    "EXIF of a wrong checksum": chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0", crc=1),
    "EXIF of a wrong checksum and a bad text": chunk(b"eXIf", b"II", crc=1) + chunk(b"tEXt", b"a", crc=1),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", EXTRAS)
def test_texts_and_profiles_do_not_condemn_good_pixels(name: str, place: str) -> None:
    data = png(**{place: EXTRAS[name]})
    assert decode_image(data, "").getpixel((0, 0)) == RED
    assert image_size(data) == (1, 1)


def test_pixels_of_a_wrong_checksum_are_still_broken() -> None:
    data = png(EXTRAS["large profile"])
    at = data.index(b"IDAT")
    assert failure(data[: at + 4] + bytes([data[at + 4] ^ 1]) + data[at + 5 :]).kind == "broken"


def test_what_is_left_out_of_a_png() -> None:
    kept, text = chunk(b"tRNS", bytes(6)), chunk(b"tEXt", b"a\0b")
    assert without_chunks(png(text + kept, text), says_nothing_of_pixels) == png(kept)
    assert without_chunks(png()[:-6], says_nothing_of_pixels) == png()[:-6]


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_orientation_of_a_png_is_read_wherever_it_stands(place: str) -> None:
    exif = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", 2, 1, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" + bytes(6)))
    middle = exif + pixels if place == "before" else pixels + exif
    data = b"\x89PNG\r\n\x1a\n" + header + middle + chunk(b"IEND", b"")
    assert image_size(data) == decode_image(data, "").size == (1, 2)


# max_pixels and Pillow's own limit


def files_over_pillows_limit() -> dict[str, bytes]:
    picture = Image.new("RGB", (60, 50), RED)
    files = {kind: encoded(picture, kind) for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP")}
    gif = encoded(picture.convert("P"), "GIF")
    screen = (
        gif[:6] + struct.pack("<HH", 10, 10) + gif[10:]
    )  # a frame larger than its screen, which Pillow checks apart
    return {**files, "GIF beyond its screen": screen}


@pytest.mark.parametrize("factor", [1, 10], ids=["where Pillow warns", "where Pillow refuses"])
@pytest.mark.parametrize("name", files_over_pillows_limit())
def test_max_pixels_wins_over_pillows_own_limit(name: str, factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = files_over_pillows_limit()[name]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2900 // factor)
    assert decode_image(data, "", max_pixels=3000).size == (60, 50)
    assert image_size(data) == (60, 50)
    assert failure(data, max_pixels=2999).kind == "too_large"
    after: int | None = Image.MAX_IMAGE_PIXELS
    assert after == 2900 // factor


# Work besides pixels


def progressive(more: int, *, size: tuple[int, int] = (16, 16)) -> bytes:
    """A progressive JPEG whose last scan comes `more` times again; it has 10 to begin with."""
    data = encoded(Image.new("RGB", size, RED), "JPEG", progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * more + data[-2:]


def test_a_jpeg_of_many_scans_is_refused() -> None:
    assert decode_image(progressive(90), "").size == (16, 16)
    error = failure(progressive(91))
    assert error.kind == "too_large"
    assert "a JPEG of 101 scans, each as much work as a whole picture; expected at most 100" in str(error)
    assert image_size(progressive(91)) == (16, 16)


def test_scans_are_counted_behind_fill_bytes_and_not_in_metadata_or_behind_the_end() -> None:
    scan = b"\xff\xda\0\x02\x12\x34"
    jpeg = b"\xff\xd8\xff\xc0\0\x02" + scan * 3 + b"\xff" + scan + b"\xff\xd9"
    assert jpeg_scans(jpeg, most=0) == 4
    assert jpeg_scans(jpeg + scan * 9, most=0) == 4
    assert jpeg_scans(b"\xff\xd8\xff\xe1\0\x0e" + scan * 2 + jpeg[2:], most=0) == 4
    assert jpeg_scans(jpeg + scan, most=5) == 5  # up to `most` an upper bound is enough


def test_marks_of_scans_in_metadata_condemn_no_jpeg() -> None:
    data = encoded(Image.new("RGB", (16, 16), RED), "JPEG")
    comment = b"\xff\xfe" + struct.pack(">H", 2002) + b"\xff\xda" * 1000
    assert decode_image(data[:2] + comment + data[2:], "").size == (16, 16)


def test_reading_markers_takes_time_in_proportion_to_the_file() -> None:
    began = time.perf_counter()
    assert jpeg_scans(b"\xff" * 4_000_000 + b"\xda" + b"\xff\xda" * 500_000, most=0) > 0
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize(("orientation", "size"), [(0, (60, 50)), (6, (50, 60))])
def test_size_is_told_without_decoding(
    kind: str, orientation: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(Image.new("RGB", (60, 50)), kind, **({"exif": exif} if orientation else {}))
    for reader in (Image.Image, type(Image.open(io.BytesIO(data)))):
        monkeypatch.setattr(reader, "load", lambda self: pytest.fail("was decoded"))
    assert image_size(data) == size


def bytes_taken(data: bytes, pixels: int) -> float:
    """Peak of memory while a picture is decoded, in bytes a pixel."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except OSError:
        pytest.skip("the peak of memory cannot be measured here")
    read = lambda name: int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024  # noqa: E731
    before = read("VmRSS")
    decode_image(data, "")
    return (read("VmHWM") - before) / pixels


@pytest.mark.parametrize(
    ("mode", "kind", "most"), [("F", "TIFF", 10), ("I;16", "PNG", 10), ("RGBA", "PNG", 10), ("RGB", "WEBP", 18)]
)
def test_memory_is_bounded_by_pixels(mode: str, kind: str, most: int) -> None:
    size = (4000, 2000)
    picture = (
        Image.fromarray(np.zeros(size[::-1], {"F": "f4", "I;16": "u2"}[mode]))
        if mode in ("F", "I;16")
        else Image.new(mode, size)
    )
    data = encoded(picture, kind, **({"method": 0} if kind == "WEBP" else {}))
    assert bytes_taken(data, 8_000_000) < most
