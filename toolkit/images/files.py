"""What an encoded image says of itself in its first bytes and markers; nothing here decodes.

Source: ITU-T T.81, table B.1 (JPEG markers); PNG specification, third edition (chunks); ISO/IEC 14496-12 (brands of
AVIF and HEIF); TIFF 6.0 and the BigTIFF proposal (43 in place of 42).
"""

import re
from collections.abc import Callable, Iterator

SOI, EOI, SCAN, APP1, APP14 = 0xD8, 0xD9, 0xDA, 0xE1, 0xEE
FRAMES = BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
MARKER = re.compile(
    rb"\xff[^\x00\xff\x01\xd0-\xd7]"
)  # those that stand for themselves, between and inside scans, aside

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_PIXELS = (b"IDAT", b"fdAT")
PNG_ORIENTATION = b"eXIf"
PNG_KEPT = (PNG_ORIENTATION, b"tRNS", b"acTL", b"fcTL", b"fdAT")  # chunks that readers need not know, and that count
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"

_AVIF = rb"....ftyp(?:avif|avis|....(?:....){1,5}?(?:avif|avis))"
SIGNATURES = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": re.escape(PNG_SIGNATURE),
    "WebP": rb"RIFF....WEBP",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[*+]\x00|MM\x00\*",
    "big-endian BigTIFF": rb"MM\x00\+",  # which Pillow, as of version 12, takes for a TIFF and cannot read
    "AVIF": _AVIF,
    "BMP": rb"BM.{25}",
    "HEIF": rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)",
    "JPEG 2000": rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "JPEG XL": rb"\x00\x00\x00\x0cJXL \r\n\x87\n|\xff\x0a",
    "Photoshop": rb"8BPS\x00\x01",
    "ICO": rb"\x00\x00\x01\x00[\x01-\xff]\x00",
    "Netpbm": rb"P[1-6]\s+[0-9#]",
}
_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in SIGNATURES.items()}
SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WebP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff", "AVIF": "avif"}

# Under which image files are published, whether or not they are decoded here.
PATH_SUFFIXES = (
    *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff", "avif"),
    *("heic", "heif", "hif", "jp2", "j2k", "jpf", "jpx", "jxl", "psd", "ico", "pbm", "pgm", "ppm", "pnm", "svg"),
)


def format_name(data: bytes) -> str:
    """ "JPEG", "HEIF" and so on: a key of SIGNATURES, by the first bytes; "" = none of them."""
    head = data[:32]
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(head)), "")


def jpeg_scans(data: bytes, most: int) -> int:
    """Scans of a JPEG, each of which its decoder carries out over the whole image; exact where there are over `most`.

    Where there are not, marks inside metadata may be counted too.
    """
    number = data.count(bytes((0xFF, SCAN)))
    return number if number <= most else sum(marker == SCAN for marker in _markers(data))


def _markers(data: bytes) -> Iterator[int]:
    """The markers of a JPEG as its decoder meets them: behind the bodies of segments, and inside scans."""
    at = 0
    while match := MARKER.search(data, at):
        marker, at = match[0][1], match.end()
        yield marker
        if marker == EOI:
            return
        if marker != SOI:
            at += int.from_bytes(data[at : at + 2], "big")


def says_nothing_of_pixels(chunk: bytes) -> bool:
    """Whether a chunk of a PNG changes nothing of what is decoded here: texts, profiles, gamma, times, and what is not
    known. Source: PNG specification, 5.4: the first letter of chunks that a reader may leave out is small.
    """
    return chunk[:1].islower() and chunk not in PNG_KEPT


def without_chunks(png: bytes, left_out: Callable[[bytes], bool]) -> bytes:
    """A PNG without some of its chunks, told by their names.

    Without those that say nothing of pixels, of which a bad or large one makes readers refuse good ones, it is the same
    picture; without PNG_PIXELS all that it says of itself can be read, also what stands behind them.
    """
    kept, at = [png[: len(PNG_SIGNATURE)]], len(PNG_SIGNATURE)
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        if not left_out(png[at + 4 : at + 8]):
            kept.append(png[at:end])
        at = end
    return b"".join(kept)
