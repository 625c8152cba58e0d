"""How large an image may be: 300 MB of memory to decode it and ten times its file, told from the header."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fuzzing.runs import allowed_bytes
from toolkit.errors import ImageError
from toolkit.evaluation.answers import Fault, _picture
from toolkit.images import DecodePolicy, Decoder, check_size, decode_image, image_size
from toolkit.images.modes import to_rgb
from toolkit.streaming import decode as streaming
from toolkit.streaming.decode import PictureDecoder, Target

WIDTH = 5000


def encoded(mode: str, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (64, 48)).save(file, kind, **options)
    return file.getvalue()


def jpeg(height: int, mode: str = "RGB", *, orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    data = encoded(mode, "JPEG", exif=exif, **options)
    return data.replace(struct.pack(">HH", 48, 64), struct.pack(">HH", height, WIDTH))


def png(height: int, extra: bytes = b"") -> bytes:
    header = b"IHDR" + struct.pack(">LLBBBBB", WIDTH, height, 8, 2, 0, 0, 0)
    pixels = b"\0\0\0\x08IDAT" + bytes(12)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + struct.pack(">L", zlib.crc32(header)) + extra + pixels


def bmp(height: int) -> bytes:
    return b"BM" + bytes(12) + struct.pack("<LllHHLLLLLL", 40, WIDTH, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(height: int) -> bytes:
    return encoded("P", "GIF").replace(struct.pack("<HH", 64, 48), struct.pack("<HH", WIDTH, height))


def webp(height: int) -> bytes:
    return encoded("RGB", "WEBP").replace(struct.pack("<HH", 64, 48), struct.pack("<HH", WIDTH, height))


def avif(height: int) -> bytes:
    return encoded("RGB", "AVIF").replace(struct.pack(">LL", 64, 48), struct.pack(">LL", WIDTH, height))


def tiff(height: int, *bits: int, compression: int = 8, tile: int = 0, width: int = WIDTH, number: int = 1) -> bytes:
    """One strip, or tiles, of nothing; the arrays of tags that do not fit stand in front of their table."""
    count = len(bits)
    array = struct.pack(f"<{count}H", *bits) + struct.pack(f"<{count}H", *[number] * count)
    inline = lambda each: each if count == 1 else 8 + each  # noqa: E731
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, count, bits[0] if count == 1 else inline(0))]
    tags += [(259, 3, 1, compression), (262, 3, 1, 2 if count == 3 else 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, count), (278, 4, 1, height), (279, 4, 1, 1), (322, 4, 1, tile), (323, 4, 1, tile)]
    tags += [(324, 4, 1, 8), (325, 4, 1, 1), (339, 3, count, number if count == 1 else inline(2 * count))]
    left_out = (273, 278, 279) if tile else (322, 323, 324, 325)
    entries = b"".join(struct.pack("<HHLL", *each) for each in tags if each[0] not in left_out)
    return (
        b"II*\0"
        + struct.pack("<L", 8 + len(array))
        + array
        + struct.pack("<H", len(entries) // 12)
        + entries
        + bytes(4)
    )


def failure(data: bytes) -> ImageError:
    with pytest.raises(ImageError) as caught:
        check_size(data, "row 'a': images[0]")
    return caught.value


# Bytes a pixel, measured by benchmarks/decode_memory.py; 290 MB are for pixels.
KINDS: dict[str, tuple[Callable[[int], bytes], float]] = {
    "JPEG": (lambda height: jpeg(height), 7),
    "JPEG, grey": (lambda height: jpeg(height, "L"), 7),
    "JPEG, to be turned": (lambda height: jpeg(height, orientation=6), 8),
    "JPEG, coefficients of three whole planes": (lambda height: jpeg(height, subsampling=0), 10),
    "JPEG, CMYK": (lambda height: jpeg(height, "CMYK"), 12),
    "PNG": (png, 8),
    "BMP": (bmp, 8),
    "GIF": (gif, 10),
    "WebP": (webp, 16),
    "AVIF": (avif, 16),
    "TIFF": (lambda height: tiff(height, 8, 8, 8), 8 + 2 * 3),
    "TIFF, a bit a pixel": (lambda height: tiff(height, 1), 8.25),
    "TIFF, 16 bits": (lambda height: tiff(height, 16, 16, 16), 8 + 2 * 6),
    "TIFF, float": (lambda height: tiff(height, 32, number=3), 8 + 2 * 4),
    "TIFF of JPEG": (lambda height: tiff(height, 8, 8, 8, compression=7), 8 + 3 * 3),
    "TIFF in tiles": (lambda height: tiff(height, 8, 8, 8, tile=256), 8 + 2 * 3),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_most_pixels_take_300_mb_and_ten_times_the_file(name: str) -> None:
    make, bytes_a_pixel = KINDS[name]
    most = int((290_000_000 + 10 * len(make(6000))) / bytes_a_pixel / WIDTH)
    check_size(make(most), "")
    assert failure(make(most + 1)).kind == "too_large"


def test_a_larger_file_may_hold_more_pixels_up_to_a_limit() -> None:
    most = int((290_000_000 + 10 * (5_000_000 + len(png(1)))) / 8 / WIDTH)
    text = lambda size: struct.pack(">L4s", size - 12, b"tEXt") + bytes(size - 8)  # noqa: E731
    check_size(png(most, text(5_000_000)), "")
    assert failure(png(most + 1, text(5_000_000))).kind == "too_large"
    check_size(png(17_895, text(45_000_000)), "")
    assert "expected at most 89,478,485 pixels" in str(failure(png(17_896, text(45_000_000))))


@pytest.mark.parametrize(
    ("data", "megabytes"),
    [
        (jpeg(10_000), 10),
        (jpeg(12_200, orientation=6, subsampling=1), 20),
        (png(6400), 0.5),
        (tiff(9600, 8, 8, 8), 40),
    ],
    ids=["50 Mpx of a telephone", "61 Mpx of a camera, turned", "a diagram of 32 Mpx", "48 Mpx without loss"],
)
def test_photographs_and_diagrams_are_no_bombs(data: bytes, megabytes: float) -> None:
    check_size(data + bytes(int(megabytes * 1e6)), "")


def test_the_message_says_pixels_file_rule_and_way_out() -> None:
    assert str(failure(png(8000))) == (
        "row 'a': images[0]: 5000 x 8000 pixels in a file of 53 bytes, which take 330 MB of memory to decode; expected "
        "at most 300 MB and 10 times the file, 300 MB in all; save it smaller, or read it with "
        "DecodePolicy(max_pixels=40_000_000) if it is meant to be this large"
    )


def test_a_small_image_in_a_huge_tile_is_refused() -> None:
    check_size(tiff(32, 8, 8, 8, tile=6944, width=32), "")
    assert failure(tiff(32, 8, 8, 8, tile=6976, width=32)).kind == "too_large"


@pytest.mark.parametrize("mode", ["exact", "fused"])
def test_every_way_of_decoding_refuses(mode: Any) -> None:
    decoder = PictureDecoder(mode, Target(size=(8, 8)), DecodePolicy(on_bad="skip"))
    assert decoder.decode(jpeg(9000, subsampling=2), "") is None
    assert decoder.counts == {"too_large": 1}


def test_an_answer_is_held_to_the_rule_too() -> None:
    with pytest.raises(Fault, match="300 MB and 10 times the file"):
        _picture(tiff(32, 8, 8, 8, tile=6976, width=32))


def test_max_pixels_replaces_the_rule() -> None:
    check_size(png(100_000), "", max_pixels=500_000_000)
    with pytest.raises(ImageError, match="expected at most 499,999,999 pixels"):
        check_size(png(100_000), "", max_pixels=499_999_999)
    counts = [Decoder(DecodePolicy(on_bad="skip", max_pixels=most)) for most in (None, 40_000_000)]
    for decoder in counts:
        assert decoder.decode(png(8000), "") is None  # let in, it has no pixels
    assert [[*decoder.counts] for decoder in counts] == [["too_large"], ["broken"]]


def test_the_size_of_any_image_is_told() -> None:
    assert image_size(png(17_000)) == (WIDTH, 17_000)


def test_texts_of_a_large_png_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.images.SURE_PIXELS", 64 * 48 - 1)
    monkeypatch.setattr("PIL.PngImagePlugin.PngStream.chunk_zTXt", lambda *_: pytest.fail("was unpacked"))
    text = b"zTXta\0\0" + zlib.compress(b"text")
    whole = encoded("RGB", "PNG")
    block = struct.pack(">L", len(text) - 4) + text + struct.pack(">L", zlib.crc32(text))
    assert decode_image(whole[:-12] + block + whole[-12:], "").size == (64, 48)


def test_a_large_image_is_handed_on_in_bands_with_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (700, 900, 3), np.uint8)
    picture = Image.fromarray(values)
    monkeypatch.setattr(streaming, "SURE_PIXELS", 1)
    assert np.array_equal(streaming._array(picture), values)
    assert streaming._image(values[10:610, 20:820]).tobytes() == picture.crop((20, 10, 820, 610)).tobytes()


def test_only_pixels_of_ones_own_are_shared() -> None:
    mine = Image.new("RGB", (4, 4))
    to_rgb(mine).putpixel((0, 0), (9, 9, 9))
    assert mine.getpixel((0, 0)) == (0, 0, 0)


def test_fuzzing_holds_inputs_to_the_rule(tmp_path: Path) -> None:
    assert allowed_bytes(b"12345") == 300_000_050
    assert allowed_bytes(("fused", b"12345")) == 300_000_050
    assert allowed_bytes({"rows": 3}) == 300_000_000
