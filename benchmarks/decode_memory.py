"""Memory that decoding takes: for every format and mode, an image just under the limit, in a process of its own.

    python benchmarks/decode_memory.py                   some minutes
    python benchmarks/decode_memory.py --only TIFF

The limit is that of `toolkit.images.memory`: 300 MB and ten times the file. Exit code 1 if an image takes more. Files
are of one colour, so as small as they can be; "way" is `decode_image`, or the decoder of a loader.
"""

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from toolkit.errors import ImageError
from toolkit.images import check_size
from toolkit.images.memory import FILE_TIMES, FREE_BYTES

CHILD = """
import sys
from pathlib import Path
from toolkit.images import decode_image
from toolkit.streaming.decode import PictureDecoder, Target
target = {"decode_image": None, "pil": Target(), "array": Target(image_type="uint8")}
target = target.get(sys.argv[3], Target(size=(256, 256)))
decode = PictureDecoder("fused" if sys.argv[3] == "fused" else "exact", target).decode if target else decode_image
status = lambda name: int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) * 1024
data, small = (Path(path).read_bytes() for path in sys.argv[1:3])
decode(small, "")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew. Source: proc(5)
before = status("VmRSS")
decode(data, "")
print(status("VmHWM") - before)
"""
WAYS = ("decode_image", "pil", "array", "exact", "fused")
WIDTH = 5000
Make = Callable[[int, int], bytes]
EXIF = Image.Exif()
EXIF[274] = 6
TURNED = struct.pack(">2sHLHHHLHHL", b"MM", 42, 8, 1, 274, 3, 1, 6, 0, 0)  # the same, by hand
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by the type of its colours


def saved(mode: str, kind: str, width: int, height: int, *, frames: int = 1, **options: Any) -> bytes:
    """As Pillow writes it."""
    file = io.BytesIO()
    colours = [tuple([value] * len(mode)) if len(mode) > 1 else value for value in (9, 8)]
    first, *others = [Image.new(mode, (width, height), colour) for colour in colours[:frames]]
    first.save(file, kind, **options, **({"save_all": True, "append_images": others} if others else {}))
    return file.getvalue()


def lying(mode: str, width: int, height: int) -> bytes:
    """An AVIF of 64 x 48, made of a frame of more."""
    data = saved(mode, "AVIF", width, height, speed=10, subsampling="4:4:4")
    return data.replace(struct.pack(">LL", width, height), struct.pack(">LL", 64, 48))


def png(bits: int, colour: int, width: int, height: int, *, is_interlaced: bool = False, extra: bytes = b"") -> bytes:
    """All zeros."""
    sizes = [(width, height)]
    if is_interlaced:
        sizes = [(-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in ADAM7]
    lines = [(1 + (across * bits * CHANNELS[colour] + 7) // 8) * down for across, down in sizes if across > 0 < down]
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, is_interlaced))
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    pixels = chunk(b"IDAT", zlib.compress(bytes(sum(lines)), 9))
    return b"\x89PNG\r\n\x1a\n" + header + palette + extra + pixels + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def tiff(bits: list[int], photometric: int, width: int, height: int, **layout: Any) -> bytes:
    """All zeros, deflated. Layout: `rows` of a strip, all without it; `tile`, a side; `is_planar`, `turn`, `number`
    format, `extra` samples.
    """
    tile, rows = layout.get("tile", 0), layout.get("rows", height)
    planes = len(bits) if layout.get("is_planar") else 1
    line_bits = sum(bits) // planes
    if tile:
        sizes = [(tile * line_bits + 7) // 8 * tile] * (-(-width // tile) * -(-height // tile))
    else:
        strips = range(0, height, rows)
        sizes = [(width * line_bits + 7) // 8 * min(rows, height - top) for top in strips] * planes
    blocks = {size: zlib.compress(bytes(size), 9) for size in sorted(set(sizes))}
    starts, at = {}, 8
    for size, block in blocks.items():
        starts[size], at = at, at + len(block)
    offsets, counts = [starts[size] for size in sizes], [len(blocks[size]) for size in sizes]
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, bits), 259: (3, [8]), 262: (3, [photometric])}
    tags |= {274: (3, [layout.get("turn", 1)]), 277: (3, [len(bits)]), 284: (3, [2 if planes > 1 else 1])}
    tags |= {339: (3, [layout.get("number", 1)] * len(bits))}
    if tile:
        tags |= {322: (4, [tile]), 323: (4, [tile]), 324: (4, offsets), 325: (4, counts)}
    else:
        tags |= {273: (4, offsets), 278: (4, [rows]), 279: (4, counts)}
    if extra := layout.get("extra"):
        tags[338] = (3, extra)
    return _with_tags(b"".join(blocks.values()), tags)


def _with_tags(blocks: bytes, tags: dict[int, tuple[int, list[int]]]) -> bytes:
    body, entries = blocks, []
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'L'}", *values)
        if len(packed) > 4:
            body += packed
            packed = struct.pack("<L", 8 + len(body) - len(packed))
        entries.append(struct.pack("<HHL", tag, kind, len(values)) + packed.ljust(4, b"\0"))
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return struct.pack("<2sHL", b"II", 42, 8 + len(body)) + body + directory


def cases() -> Iterator[tuple[str, Make]]:
    for mode in ("L", "RGB", "CMYK"):
        for is_progressive in (False, True):
            options: dict[str, Any] = {"progressive": is_progressive, "subsampling": 0}
            name = f"JPEG {mode}{' progressive' if is_progressive else ''}"
            yield name, partial(saved, mode, "JPEG", **options)
            yield f"{name}, turned", partial(saved, mode, "JPEG", exif=EXIF, **options)
    yield "JPEG RGB progressive, 4:2:0", partial(saved, "RGB", "JPEG", progressive=True, subsampling=2)
    for bits, colour in ((1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (16, 4), (8, 6), (16, 6)):
        name = f"PNG of {CHANNELS[colour]} x {bits} bits{', palette' if colour == 3 else ''}"
        for is_interlaced in (False, True):
            told = f"{name}{', interlaced' if is_interlaced else ''}"
            yield told, partial(png, bits, colour, is_interlaced=is_interlaced)
        yield f"{name}, turned", partial(png, bits, colour, extra=chunk(b"eXIf", TURNED), is_interlaced=True)
    for colour, content in ((0, bytes(2)), (2, bytes(6)), (3, b"\0")):
        made = partial(png, 8, colour, extra=chunk(b"tRNS", content))
        yield f"PNG of {CHANNELS[colour]} x 8 bits, one colour transparent", made
    texts = b"".join(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes([97]) * 1_000_000)) for _ in range(60))
    yield "PNG of 3 x 8 bits, 60 MB of texts", partial(png, 8, 2, extra=texts)
    for mode in ("RGB", "RGBA"):
        yield f"PNG {mode}, animated", partial(saved, mode, "PNG", frames=2, disposal=2, compress_level=1)
        for kind, options in (("WEBP", {"method": 0}), ("AVIF", {"speed": 10, "subsampling": "4:4:4"})):
            yield f"{kind} {mode}", partial(saved, mode, kind, **options)
            yield f"{kind} {mode}, turned", partial(saved, mode, kind, exif=EXIF, **options)
            yield f"{kind} {mode}, animated", partial(saved, mode, kind, frames=2, **options)
        yield f"WEBP {mode}, lossless", partial(saved, mode, "WEBP", lossless=True, method=0)
        yield f"AVIF {mode} that lies of its size", partial(lying, mode)
    yield "AVIF RGB, 4:2:0", partial(saved, "RGB", "AVIF", speed=10)
    for mode in ("1", "L", "P"):
        yield f"GIF {mode}", partial(saved, mode, "GIF")
    yield "GIF P, animated", partial(saved, "P", "GIF", frames=2, disposal=2, transparency=9)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"BMP {mode}", partial(saved, mode, "BMP")
    yield from _tiffs()


def _tiffs() -> Iterator[tuple[str, Make]]:
    kinds: dict[str, tuple[list[int], int, dict[str, Any]]] = {
        "1": ([1], 1, {}),
        "L": ([8], 1, {}),
        "LA": ([8] * 2, 1, {"extra": [2]}),
        "RGB": ([8] * 3, 2, {}),
        "RGBA": ([8] * 4, 2, {"extra": [2]}),
        "RGB and 3": ([8] * 6, 2, {"extra": [0] * 3}),
        "CMYK": ([8] * 4, 5, {}),
        "LAB": ([8] * 3, 8, {}),
        "16 bits": ([16], 1, {}),
        "32 bits": ([32], 1, {}),
        "float": ([32], 1, {"number": 3}),
        "RGB of 16 bits": ([16] * 3, 2, {}),
        "RGBA of 16 bits": ([16] * 4, 2, {"extra": [2]}),
        "CMYK of 16 bits": ([16] * 4, 5, {}),
    }
    layouts: dict[str, dict[str, Any]] = {
        "one strip": {},
        "strips": {"rows": 16},
        "tiles": {"tile": 256},
        "turned": {"turn": 6},
    }
    for name, (bits, photometric, options) in kinds.items():
        for layout, more in (*layouts.items(), *([("planes", {"is_planar": True})] if len(bits) > 1 else [])):
            yield f"TIFF {name}, {layout}", partial(tiff, bits, photometric, **options, **more)
    for compression in ("jpeg", "tiff_lzw", "packbits", "lzma", "zstd"):
        one = partial(saved, "RGB", "TIFF", compression=compression, strip_size=1 << 40)
        yield f"TIFF RGB, {compression}, one strip", one
    yield "TIFF RGB, two pages", partial(saved, "RGB", "TIFF", frames=2, compression="tiff_lzw")
    yield "TIFF RGB, a tile of all it may be", lambda width, height: tiff([8] * 3, 2, 32, 32, tile=_side(height))


def _side(height: int) -> int:
    """Of a square tile with so many pixels as WIDTH x height."""
    return int(np.sqrt(WIDTH * height)) // 16 * 16


def just_under(make: Make) -> bytes:
    """The largest file that is still let in, to one part in a hundred."""
    low, high = 64, 18_000
    found = make(WIDTH, low)
    while high - low > max(low // 100, 32):
        middle = (low + high) // 2
        data = make(WIDTH, middle)
        try:
            check_size(data, "")
            low, found = middle, data
        except ImageError:
            high = middle
    return found


def measured(data: bytes, small: bytes, way: str) -> int:
    """Bytes at the peak, over those before."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "image", Path(folder) / "small"]
        for path, content in zip(paths, (data, small), strict=True):
            path.write_bytes(content)
        root = Path(__file__).resolve().parent.parent
        words = [sys.executable, "-c", CHILD, *map(str, paths), way]
        return int(subprocess.run(words, cwd=root, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases with this in their names")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=["decode_image"])
    given = parser.parse_args()
    print(f"{'image':50}{'way':14}{'file, MB':>10}{'allowed, MB':>12}{'taken, MB':>11}")
    is_good = True
    for name, make in cases():
        if given.only not in name:
            continue
        data = just_under(make)
        allowed = FREE_BYTES + FILE_TIMES * len(data)
        for way in given.ways:
            taken = measured(data, make(640, 480), way)
            is_good &= taken <= allowed
            figures = f"{len(data) / 1e6:10.2f}{allowed / 1e6:12.0f}{taken / 1e6:11.0f}"
            print(f"{name:50}{way:14}{figures}{'' if taken <= allowed else '   MORE'}", flush=True)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
