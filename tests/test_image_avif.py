"""AVIFs whose frames are not what their header says: libavif decodes them whole before it scales them."""

import io
import struct
from typing import Any

import pytest
from PIL import Image, features

from toolkit.errors import ImageError
from toolkit.images import check_size, decode_image
from toolkit.images.avif import frame_pixels

HAS_AVIF = "avif" in features.modules and features.check("avif")
pytestmark = pytest.mark.skipif(not HAS_AVIF, reason="this Pillow reads no AVIF")
SAID = (64, 64)


def encoded(mode: str, size: tuple[int, int], *, frames: int = 1, **options: Any) -> bytes:
    file = io.BytesIO()
    first, *others = [Image.new(mode, size, (shade,) * len(mode)) for shade in range(frames)]
    first.save(file, "AVIF", speed=10, **({"save_all": True, "append_images": others} if others else {}), **options)
    return file.getvalue()


def lying(mode: str, size: tuple[int, int], **options: Any) -> bytes:
    """It says SAID wherever a container holds a size; only AV1 itself knows better."""
    data = encoded(mode, size, **options)
    for layout, shift in ((">LL", 0), (">HH", 0), (">LL", 16)):
        real, said = (struct.pack(layout, *(side << shift for side in sides)) for sides in (size, SAID))
        data = data.replace(real, said)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.size == SAID
    return data


def box(name: bytes, *content: bytes) -> bytes:
    return struct.pack(">L4s", 8 + sum(map(len, content)), name) + b"".join(content)


def table(name: bytes, *content: bytes, version: int = 0) -> bytes:
    return box(name, bytes([version, 0, 0, 0]), *content)


def places(*parts: tuple[int, int, int]) -> bytes:
    """Where items begin, in the file (0) or in the "idat" box (1), at which byte, and their length."""
    rows = [struct.pack(">HHHHLL", number, place, 0, 1, *part) for number, (place, *part) in enumerate(parts, 1)]
    return table(b"iloc", struct.pack(">BBH", 0x44, 0, len(parts)), *rows, version=1)


def tiled(side: int, tile: bytes) -> bytes:
    """A grid of side x side tiles of SAID, all of them the same bytes of an AVIF of one image."""
    stream = tile[tile.index(b"mdat") + 4 :]
    count, size = side * side, struct.pack(">HH", SAID[0] * side, SAID[1] * side)
    kinds = [table(b"infe", struct.pack(">HH4sx", number, 0, b"av01"), version=2) for number in range(1, count + 1)]
    kinds.append(table(b"infe", struct.pack(">HH4sx", count + 1, 0, b"grid"), version=2))
    whole = struct.pack(">LL", SAID[0] * side, SAID[1] * side)
    properties = [table(b"ispe", struct.pack(">LL", *SAID)), box(b"pixi", bytes([0, 0, 0, 0, 3, 8, 8, 8]))]
    properties += [box(b"av1C", bytes.fromhex("81000c00")), table(b"ispe", whole)]
    uses = [struct.pack(">H4B", number, 3, 1, 2, 0x83) for number in range(1, count + 1)]
    uses.append(struct.pack(">H3B", count + 1, 2, 4, 2))
    tiles = struct.pack(f">{count + 2}H", count + 1, count, *range(1, count + 1))
    brand = box(b"ftyp", b"avif\0\0\0\0avifmif1miafMA1A")

    def meta(start: int) -> bytes:
        return table(
            b"meta",
            table(b"hdlr", bytes(4), b"pict", bytes(13)),
            table(b"pitm", struct.pack(">H", count + 1)),
            places(*[(0, start, len(stream))] * count, (1, 0, 8)),
            table(b"iinf", struct.pack(">H", count + 1), *kinds),
            table(b"iref", box(b"dimg", tiles)),
            box(b"iprp", box(b"ipco", *properties), table(b"ipma", struct.pack(">L", count + 1), *uses)),
            box(b"idat", bytes([0, 0, side - 1, side - 1]) + size),
        )

    return brand + meta(len(brand) + len(meta(0)) + 8) + box(b"mdat", stream)


@pytest.mark.parametrize("size", [(64, 48), (65, 1), (1, 513), (1000, 700)])
def test_a_frame_has_the_pixels_of_its_image(size: tuple[int, int]) -> None:
    pixels = size[0] * size[1]
    assert frame_pixels(encoded("RGB", size)) == (pixels, pixels)
    assert frame_pixels(encoded("RGBA", size)) == (pixels, 2 * pixels)


def test_frames_that_may_change_count_as_large_as_they_could_be() -> None:
    assert frame_pixels(encoded("RGB", (65, 33), frames=2)) == (128 * 64, 128 * 64)
    assert frame_pixels(encoded("RGBA", (64, 32), frames=2)) == (64 * 32, 2 * 64 * 32)


def test_tiles_are_counted_each() -> None:
    data = tiled(3, encoded("RGB", SAID))
    assert frame_pixels(data) == (64 * 64, 9 * 64 * 64)
    assert decode_image(data, "").size == (192, 192)


@pytest.mark.parametrize(
    ("mode", "size", "frames"), [("RGBA", (5001, 4000), 1), ("RGB", (4097, 4097), 2)], ids=["alpha", "animated"]
)
def test_a_small_image_made_of_huge_frames_is_refused(mode: str, size: tuple[int, int], frames: int) -> None:
    with pytest.raises(ImageError, match=r"^it: 64 x 64 pixels made of .* MB of memory to decode") as caught:
        decode_image(lying(mode, size, frames=frames), "it")
    assert caught.value.kind == "too_large"


def test_frames_are_held_to_a_limit_of_pixels() -> None:
    data = lying("RGB", (200, 100))
    check_size(data, "", max_pixels=20_000)
    with pytest.raises(ImageError, match="64 x 64 pixels made of 20,000; expected at most 19,999 pixels"):
        check_size(data, "", max_pixels=19_999)


def test_many_tiles_of_the_same_bytes_are_no_way_to_make_work() -> None:
    data = tiled(16, lying("RGB", (2000, 2000)))
    with pytest.raises(ImageError, match="streams are more than 8 times the file") as caught:
        decode_image(data, "")
    assert caught.value.kind == "broken"


@pytest.mark.parametrize(
    "units",
    [b"\x0a" + b"\xff" * 900_000, bytes.fromhex("0a0918157fbda2021a0d08") * 80_000],
    ids=["a size without end", "many headers"],
)
def test_units_of_nonsense_are_passed_at_once(units: bytes) -> None:
    start = len(table(b"meta", places((0, 0, 0)))) + 8
    content = table(b"meta", places((0, start, len(units)))) + box(b"mdat", units)
    assert content[start : start + len(units)] == units
    with pytest.raises(ValueError, match=r"without a frame|sequence headers"):
        frame_pixels(content)


def test_what_could_be_read_in_two_ways_is_refused() -> None:
    twice = encoded("RGB", SAID, frames=2)
    chunk = twice.index(b"stco") - 4
    within = [twice.index(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl")]
    data = bytearray(twice[: chunk + 20] + twice[chunk : chunk + 20] + twice[chunk + 20 :])
    for at in within:
        struct.pack_into(">L", data, at, struct.unpack_from(">L", data, at)[0] + 20)
    with pytest.raises(ValueError, match="two tables"):
        frame_pixels(bytes(data))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        table(b"meta", places((0, 0, 0))),
        table(b"meta", places((1, 0, 100))),
        table(b"meta", places(*[(0, 0, 1 << 31)] * 60_000)),
        table(b"meta", table(b"iloc", struct.pack(">BBH", 0, 0, 60_000), struct.pack(">HHH", 1, 0, 65_535) * 60_000)),
        table(b"meta", b"".join(box(b"idat") for _ in range(100_000))),
        box(
            b"moov", b"".join(box(b"stbl", table(b"stco", bytes(8)), table(b"stsz", bytes(12))) for _ in range(20_000))
        ),
        struct.pack(">L4s", 8, b"moov") * 100_000,
        b"".join(struct.pack(">L4s", (100_000 - level) * 8, b"moov") for level in range(100_000)),
        struct.pack(">L4sQ", 1, b"meta", 3),
        table(b"meta", places((0, 40, 0)), b"\x12\0" * 400_000),
    ],
    ids=lambda content: f"{len(content)}_bytes",
)
def test_tables_of_nonsense_are_told_at_once(content: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        frame_pixels(box(b"ftyp", b"avif") + content)
