import contextlib
import io
import pickle
import random
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from toolkit.errors import ImageError, UsageError
from toolkit.images import DecodePolicy, Decoder, image_size
from toolkit.images.modes import to_rgb

WHERE = "image_editing: row 'ie-1': images[2]"
WHITE, RED, GREEN, BLUE, BLACK = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
HAS_AVIF = hasattr(features, "check") and "avif" in features.modules and features.check("avif")


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


def png(size: tuple[int, int], depth: int, colours: int, rows: list[bytes], *others: bytes) -> bytes:
    """A PNG by hand: packed rows, and the chunks that come before them."""
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", *size, depth, colours, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(others) + pixels + chunk(b"IEND", b"")


def orientation_block(value: int) -> bytes:
    return b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1" + struct.pack(">H", value) + b"\0\0\0\0\0\0"


def pixels(data: bytes, **policy: Any) -> list[tuple[int, ...]]:
    """Decoded pixels in reading order."""
    picture = Decoder(DecodePolicy(**policy)).decode(data, WHERE)
    assert picture is not None
    return [tuple(pixel) for row in np.asarray(picture).tolist() for pixel in row]


def failure(data: bytes, **policy: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        Decoder(DecodePolicy(**policy)).decode(data, WHERE)
    return caught.value


def noise(*, channels: int = 3, size: tuple[int, int] = (50, 40)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8))


def with_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def samples() -> dict[str, bytes]:
    """One good file of many kinds; the larger half of each is pixels."""
    rgb, grey = noise(), noise().convert("L")
    files = {kind: encoded(rgb, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")}
    files |= {f"{mode} TIFF": encoded(rgb.convert(mode), "TIFF") for mode in ("1", "P", "CMYK", "LAB", "I", "F")}
    files |= {
        f"{mode} PNG": encoded(rgb.convert("RGBA").convert(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")
    }
    files |= {
        f"{name} TIFF": encoded(rgb, "TIFF", compression=name)
        for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits")
    }
    files |= {f"oriented {kind}": encoded(rgb, kind, exif=with_exif(6)) for kind in ("JPEG", "PNG", "TIFF", "WEBP")}
    files |= {
        f"animated {kind}": encoded(rgb, kind, save_all=True, append_images=[rgb.rotate(180)], duration=50)
        for kind in ("GIF", "PNG", "WEBP")
    }
    files |= {
        "progressive JPEG": encoded(rgb, "JPEG", progressive=True),
        "CMYK JPEG": encoded(rgb.convert("CMYK"), "JPEG"),
    }
    files |= {
        "transparent GIF": encoded(grey.convert("P"), "GIF", transparency=3),
        "16 bit PNG": png((20, 20), 16, 0, [bytes(range(40))] * 20),
    }
    return files | (
        {"AVIF": encoded(rgb, "AVIF"), "oriented AVIF": encoded(rgb, "AVIF", exif=with_exif(6))} if HAS_AVIF else {}
    )


SAMPLES = samples()


# Pixels


@pytest.mark.parametrize(
    "name", ["JPEG", "progressive JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "tiff_lzw TIFF", "CMYK JPEG"]
)
def test_decode_equals_what_pillow_makes_of_an_ordinary_file(name: str) -> None:
    expected = Image.open(io.BytesIO(SAMPLES[name])).convert("RGB")
    decoded = Decoder().decode(SAMPLES[name], WHERE)
    assert decoded is not None
    assert (decoded.mode, decoded.size, decoded.tobytes()) == ("RGB", expected.size, expected.tobytes())


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow reads no AVIF")
def test_decode_reads_avif() -> None:
    assert pixels(SAMPLES["AVIF"]) == pixels(encoded(Image.open(io.BytesIO(SAMPLES["AVIF"])), "PNG"))


def test_decode_keeps_the_high_byte_of_16_bit_grey() -> None:
    row = struct.pack(">5H", 0, 0x00FF, 0x7FFF, 0x8000, 0xFFFF)
    assert pixels(png((5, 1), 16, 0, [row])) == [(level,) * 3 for level in (0, 0, 127, 128, 255)]


def test_decode_keeps_the_high_bytes_of_16_bit_colour() -> None:
    assert pixels(png((1, 1), 16, 2, [struct.pack(">3H", 0x12FF, 0x8000, 0xFFFF)])) == [(0x12, 0x80, 0xFF)]


@pytest.mark.parametrize(
    ("depth", "row", "key", "expected"),
    [
        (1, b"\x40", 1, [0, None, 0]),
        (8, b"\x00\x07\xff", 7, [0, None, 255]),
    ],
)
def test_decode_composites_the_transparent_grey_level(
    depth: int, row: bytes, key: int, expected: list[int | None]
) -> None:
    data = png((len(expected), 1), depth, 0, [row], chunk(b"tRNS", struct.pack(">H", key)))
    assert pixels(data, background=(9, 8, 7)) == [(9, 8, 7) if level is None else (level,) * 3 for level in expected]


@pytest.mark.parametrize(("depth", "code"), [(8, ">3B"), (16, ">3H")])
def test_decode_composites_the_transparent_colour(depth: int, code: str) -> None:
    top = 2**depth - 1
    row = struct.pack(code, top, 0, 0) + struct.pack(code, 0, top, 0)
    data = png((2, 1), depth, 2, [row], chunk(b"tRNS", struct.pack(">3H", 0, top, 0)))
    assert pixels(data, background=BLUE) == [RED, BLUE]


@pytest.mark.parametrize(
    ("alphas", "expected"), [(b"\xff\x00", [RED, WHITE, BLUE]), (b"\x80\x00", [(255, 127, 127), WHITE, BLUE])]
)
def test_decode_composites_a_palette_with_one_or_many_alphas(alphas: bytes, expected: list[tuple[int, ...]]) -> None:
    data = png((3, 1), 8, 3, [b"\0\1\2"], chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE])), chunk(b"tRNS", alphas))
    assert pixels(data) == expected


def test_decode_composites_alpha_on_the_background() -> None:
    data = png((3, 1), 8, 6, [bytes([255, 0, 0, 255, 255, 0, 0, 0, 255, 0, 0, 128])])
    assert pixels(data) == [RED, WHITE, (255, 127, 127)]
    assert pixels(data, background=BLACK) == [RED, BLACK, (128, 0, 0)]


def test_decode_reads_adobe_ycck() -> None:
    # Adobe stores ink inverted. Written as (76, 85, 255, 255), then marked as YCCK: luma and chroma of red, so the ink
    # is cyan.
    data = encoded(Image.new("CMYK", (8, 8), (255 - 76, 255 - 85, 0, 0)), "JPEG", quality=100)
    marker = data.index(b"Adobe")
    ycck = data[: marker + 11] + b"\2" + data[marker + 12 :]
    assert np.abs(np.array(pixels(ycck)) - (0, 255, 255)).max() <= 2


def premultiplied(mode: str, colour: tuple[int, ...]) -> Image.Image:
    return Image.new(mode, (1, 1), colour).convert({"LA": "La", "RGBA": "RGBa"}[mode])


def palette_with_alpha() -> Image.Image:
    picture = Image.new("P", (1, 1), 1)
    picture.putpalette([*RED, *GREEN])
    return Image.merge("PA", (picture, Image.new("L", (1, 1), 0)))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.new("1", (1, 1), 1), WHITE),
        (Image.new("L", (1, 1), 7), (7, 7, 7)),
        (Image.new("LA", (1, 1), (0, 128)), (127, 127, 127)),
        (premultiplied("LA", (200, 255)), (200, 200, 200)),
        (Image.new("RGB", (1, 1), (1, 2, 3)), (1, 2, 3)),
        (Image.new("RGBA", (1, 1), (9, 9, 9, 0)), WHITE),
        (premultiplied("RGBA", (10, 20, 30, 255)), (10, 20, 30)),
        (premultiplied("RGBA", (10, 20, 30, 0)), WHITE),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), RED),
        (Image.new("YCbCr", (1, 1), (76, 85, 255)), (254, 0, 0)),
        (Image.new("HSV", (1, 1), (0, 255, 255)), RED),
        (Image.new("LAB", (1, 1), (255, 128, 128)), WHITE),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_to_rgb_reads_every_mode(picture: Image.Image, expected: tuple[int, int, int]) -> None:
    assert np.abs(np.subtract(to_rgb(picture).getpixel((0, 0)), expected)).max() <= (picture.mode == "LAB")


def test_to_rgb_composites_a_palette_with_its_own_alpha() -> None:
    assert to_rgb(palette_with_alpha(), background=BLUE).getpixel((0, 0)) == BLUE
    picture = Image.new("P", (1, 1), 0)
    picture.putpalette([255, 0, 0, 0], "RGBA")
    assert to_rgb(picture, background=BLUE).getpixel((0, 0)) == BLUE


@pytest.mark.parametrize(
    ("code", "values", "expected"),
    [
        ("u2", [0, 255, 256, 65535], [0, 0, 1, 255]),
        ("i4", [0, 255, 256, 65535], [0, 0, 1, 255]),
        ("i4", [0, 65536], [0, 255]),
        ("i4", [-(2**31), 0, 2**31 - 1], [0, 128, 255]),
        ("i4", [-5, -5], [0, 0]),
        ("f4", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("f4", [0.0, 7.4, 255.0], [0, 7, 255]),
        ("f4", [-1.0, 0.0, 1.0], [0, 128, 255]),
        ("f4", [0.0, 1e38], [0, 255]),
        ("f4", [float("nan"), float("inf"), float("-inf"), 1.0], [0, 0, 0, 255]),
    ],
)
def test_to_rgb_scales_more_than_8_bits(code: str, values: list[float], expected: list[int]) -> None:
    grey = to_rgb(Image.fromarray(np.array([values], dtype=code)))
    assert np.asarray(grey)[0].tolist() == [[level] * 3 for level in expected]


@pytest.mark.parametrize("order", ["<", ">"])
def test_decode_reads_16_bit_tiff_in_both_byte_orders(order: str) -> None:
    tags = [(256, 2), (257, 1), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 4)]
    directory = (
        struct.pack(order + "H", len(tags))
        + b"".join(struct.pack(order + "HHLHH", tag, 3, 1, value, 0) for tag, value in tags)
        + bytes(4)
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "L", 12)
    assert pixels(head + struct.pack(order + "HH", 0x1234, 0xFF00) + directory) == [(0x12,) * 3, (0xFF,) * 3]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_decode_takes_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert set(pixels(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))) == {RED}


# Orientation and metadata

UPRIGHT = {
    1: "ab cd ef",
    2: "ba dc fe",
    3: "fe dc ba",
    4: "ef cd ab",
    5: "ace bdf",
    6: "eca fdb",
    7: "fdb eca",
    8: "bdf ace",
}


def lettered(rows: str) -> Image.Image:
    return Image.fromarray(
        np.array([[[ord(letter), 0, 255] for letter in row] for row in rows.split()], dtype=np.uint8)
    )


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_decode_applies_exif_orientation(kind: str, orientation: int) -> None:
    data = encoded(
        lettered(UPRIGHT[1]), kind, exif=with_exif(orientation), **({"lossless": True} if kind == "WEBP" else {})
    )
    expected = lettered(UPRIGHT[orientation])
    assert pixels(data) == [tuple(pixel) for row in np.asarray(expected).tolist() for pixel in row]
    assert image_size(data) == expected.size


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("oriented")])
def test_decode_turns_a_picture_once_and_leaves_no_metadata(name: str) -> None:
    picture = Decoder().decode(SAMPLES[name], WHERE)
    assert picture is not None
    assert (picture.size, picture.info, dict(picture.getexif())) == ((40, 50), {}, {})


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"junk",
        orientation_block(6)[:13],
        orientation_block(99),
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" + bytes(30),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_decode_ignores_a_broken_exif_block(kind: str, block: bytes) -> None:
    data = encoded(lettered("ab cd ef"), kind, exif=b"Exif\0\0" + block)
    assert pixels(data) == pixels(encoded(lettered("ab cd ef"), kind))


# What is refused


@pytest.mark.parametrize("name", SAMPLES)
def test_decode_refuses_half_a_file(name: str) -> None:
    data = SAMPLES[name]
    assert failure(data[: len(data) // 2]).kind in (
        "truncated",
        "broken",
    )  # not every reader of Pillow tells why it failed


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"<html>404</html>", "not_an_image"),
        (SAMPLES["JPEG"].replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"), "broken"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported"),
        (png((1, 1), 8, 0, [b"\0"]).replace(b"IDAT", b"iDAT"), "broken"),
        (png((4, 4), 8, 0, [b"\0" * 4] * 4).replace(b"\x78\x9c", b"\x00\x00"), "broken"),
        (b"GIF89a\1\0\1\0\0\0\0;", "broken"),
    ],
)
def test_decode_counts_each_kind_of_bad_picture(data: bytes, kind: str) -> None:
    decoder = Decoder(DecodePolicy(on_bad="skip"))
    assert decoder.decode(data, WHERE) is None
    assert decoder.counts == {kind: 1}


@pytest.mark.parametrize(
    "data",
    [
        png((100_000, 100_000), 8, 2, []),
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + bytes(8),
        b"BM" + bytes(12) + struct.pack("<LllHHLLLLLL", 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"GIF89a\1\0\1\0\0\0\0" + b",\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;",
        b"GIF89a\1\0\1\0\0\0\0" + b"!\xf9\4\x08\0\0\0\0" + b",\0\0\0\0\x00\xf0\x00\xf0\0\2\2L\1\0;",
    ],
    ids=["PNG", "WEBP", "BMP", "GIF frame beyond its screen", "GIF frame to dispose of"],
)
def test_decode_refuses_too_many_pixels_by_the_header(data: bytes) -> None:
    assert failure(data).kind == "too_large"


def test_max_pixels_is_the_most_that_is_accepted() -> None:
    data = encoded(noise(size=(10, 10)), "PNG")
    assert len(pixels(data, max_pixels=100)) == 100
    assert failure(data, max_pixels=99).kind == "too_large"


def mutated(data: bytes, choice: random.Random) -> bytes:
    changed = bytearray(data)
    if choice.random() < 0.2:
        return bytes(changed[: choice.randrange(len(changed))])
    for _ in range(choice.choice((1, 2, 4, 16))):
        changed[choice.randrange(choice.choice((64, 200, len(data)))) % len(changed)] = choice.choice(
            (0, 1, 127, 255, choice.randrange(256))
        )
    if choice.random() < 0.2:
        del changed[(at := choice.randrange(len(changed))) : at + choice.randrange(20)]
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that it then reads or refuses
def test_nothing_but_image_errors_escapes_for_any_bytes() -> None:
    choice, decoder = random.Random(0), Decoder(DecodePolicy(on_bad="skip", max_pixels=100_000))
    for data in SAMPLES.values():
        for _ in range(200):
            bad = mutated(data, choice)
            decoder.decode(bad, WHERE)
            with contextlib.suppress(ImageError):
                image_size(bad)
    assert set(decoder.counts) >= {"truncated", "broken", "too_large"}


# State


def test_threads_may_share_a_decoder() -> None:
    decoder, start = Decoder(DecodePolicy(on_bad="skip")), threading.Barrier(4)
    expected = Decoder().decode(SAMPLES["JPEG"], WHERE)
    assert expected is not None

    def work(_: int) -> bool:
        start.wait()
        pictures = [decoder.decode(SAMPLES["JPEG"] if number % 2 else b"", WHERE) for number in range(100)]
        return all(picture is not None and picture.tobytes() == expected.tobytes() for picture in pictures[1::2])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert decoder.counts == {"empty": 200}


# Policy and size


def test_decode_gives_a_placeholder_when_asked() -> None:
    decoder = Decoder(DecodePolicy(on_bad="placeholder", placeholder_size=(3, 2), background=BLUE))
    picture = decoder.decode(b"", WHERE)
    assert picture is not None
    assert (picture.size, picture.getpixel((2, 1)), decoder.counts) == ((3, 2), BLUE, {"empty": 1})


def test_decode_counts_what_it_raises() -> None:
    decoder = Decoder()
    with pytest.raises(ImageError):
        decoder.decode(b"", WHERE)
    assert decoder.counts == {"empty": 1}


def test_a_decoder_can_be_sent_to_a_worker() -> None:
    copy = pickle.loads(pickle.dumps(Decoder(DecodePolicy(on_bad="skip"))))
    assert copy.decode(b"", WHERE) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_bad": "ignore"},
        {"max_pixels": 0},
    ],
)
def test_a_policy_refuses_wrong_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        DecodePolicy(**wrong)


@pytest.mark.parametrize("name", SAMPLES)
def test_image_size_is_the_size_of_the_decoded_picture(name: str) -> None:
    picture = Decoder().decode(SAMPLES[name], WHERE)
    assert picture is not None
    assert image_size(SAMPLES[name]) == picture.size


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "GIF"])
def test_image_size_needs_no_pixels(name: str) -> None:
    assert image_size(SAMPLES[name][: len(SAMPLES[name]) // 2]) == (50, 40)


def test_image_size_names_the_picture_it_cannot_read() -> None:
    with pytest.raises(ImageError, match=r"row 'ie-1': images\[2\]: no bytes; expected an encoded picture"):
        image_size(b"", where=WHERE)
