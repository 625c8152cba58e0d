"""Pixels of the frames that an AVIF holds, which may be more than its header says: libavif decodes a frame of any size
and scales it to that of the header.

Sources: ISO/IEC 14496-12 (boxes, places of items, tables of samples); AV1 Bitstream & Decoding Process Specification,
5.3 to 5.5 (units and sequence headers).
"""

import struct
from collections.abc import Iterator

CONTAINERS = frozenset((b"moov", b"trak", b"mdia", b"minf"))  # whose boxes are looked for
READ = (b"iloc", b"idat", b"stco", b"co64", b"stsz")
MOST_LEVELS = len(CONTAINERS)  # of boxes in boxes
SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6  # types of units
KEPT_FRAMES = 9  # eight to refer to, and the one that is being decoded
IN_META = 1  # where the bytes of an item may be, in place of the file
MOST_HEADERS = 16  # of a stream; usual is one
SIZE_BYTES = 8  # of a unit, at most
STREAMS_TIMES = 8  # the file is what all streams are at most; tiles may share their bytes
Stream = tuple[bytes, list[tuple[int, int]]]  # a file or a box, and the parts of it that a stream is made of


def frame_pixels(data: bytes) -> tuple[int, int]:
    """The most pixels of a frame, and of all that are decoded for the first image: colours, alpha, tiles.

    A stream whose frames may differ in size counts as large as they could be: up to four times what they are.

    Raises:
        ValueError, struct.error: no frame is found.
    """
    items: list[Stream] = []
    samples: list[Stream] = []
    for name, start, end in _boxes(data, 0, len(data)):
        if name == b"meta":
            items += _items(data, _tables(data, start + 4, end))
        elif name == b"stbl":
            samples += _first_sample(data, _tables(data, start, end))
    if sum(max(end - start, 0) for _, parts in items + samples for start, end in parts) > STREAMS_TIMES * len(data):
        raise ValueError(f"an AVIF whose streams are more than {STREAMS_TIMES} times the file")
    frames = [[pixels for stream in streams for pixels in _frames(stream)] for streams in (items, samples)]
    if not any(frames):
        raise ValueError("an AVIF without a frame")
    return max(max(each, default=0) for each in frames), max(map(sum, frames))  # a reader takes the ones or the others


def _boxes(data: bytes, at: int, end: int, level: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each box, and of the boxes in CONTAINERS."""
    while at + 8 <= end:
        size, name = struct.unpack_from(">L4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        after = min(at + size, end) if size else end
        if after < start:
            raise ValueError(f"an AVIF with a box of {size} bytes")
        yield name, start, after
        if name in CONTAINERS and level < MOST_LEVELS:
            yield from _boxes(data, start, after, level + 1)
        at = after


def _tables(data: bytes, start: int, end: int) -> dict[bytes, bytes]:
    places = [box for box in _boxes(data, start, end, MOST_LEVELS) if box[0] in READ]
    tables = {name: data[a:b] for name, a, b in places}
    if len(tables) < len(places) or {b"stco", b"co64"} <= tables.keys():
        raise ValueError("an AVIF with two tables where one is expected")
    return tables


def _items(data: bytes, tables: dict[bytes, bytes]) -> Iterator[Stream]:
    """What the "iloc" box of a "meta" box says where to find."""
    numbers = _Numbers(tables.get(b"iloc", bytes(16)))
    version = numbers.take(8)
    numbers.take(24)
    offset_bits, length_bits, base_bits, index_bits = (numbers.take(4) * 8 for _ in range(4))
    id_bits = 32 if version == 2 else 16
    for _ in range(numbers.take(id_bits)):
        numbers.take(id_bits)
        is_in_meta = version > 0 and numbers.take(16) & 15 == IN_META
        source = tables.get(b"idat", b"") if is_in_meta else data
        numbers.take(16)
        base, parts, count = numbers.take(base_bits), [], numbers.take(16)
        if count > 1 and not offset_bits + length_bits:
            raise ValueError(f"an AVIF with {count} parts of an item that are all the same")
        for _ in range(count):
            numbers.take(index_bits if version else 0)
            start = base + numbers.take(offset_bits)
            parts.append((start, min(start + (numbers.take(length_bits) or len(source)), len(source))))
        yield source, parts


def _first_sample(data: bytes, tables: dict[bytes, bytes]) -> Iterator[Stream]:
    """Of the track with this "stbl" box."""
    if b"stsz" not in tables or not tables.keys() & {b"stco", b"co64"}:
        return
    chunks, sizes = _Numbers(tables.get(b"co64") or tables[b"stco"]), _Numbers(tables[b"stsz"])
    chunks.take(64)  # version and flags, count
    sizes.take(32)
    start, size = chunks.take(64 if b"co64" in tables else 32), sizes.take(32)  # 0 = each sample has its own
    if not size:
        sizes.take(32)
        size = sizes.take(32)
    yield data, [(start, min(start + size, len(data)))]


def _frames(stream: Stream) -> list[int]:
    """The most pixels of each frame that a decoder keeps; none where the stream is no AV1."""
    largest = count = headers = 0
    source, parts = stream
    for kind, unit in _units(b"".join(source[start:end] for start, end in parts)):
        if kind == SEQUENCE_HEADER:
            largest, headers = max(largest, _sequence_pixels(_Numbers(unit[:512]))), headers + 1
        if headers > MOST_HEADERS:
            raise ValueError(f"an AVIF with over {MOST_HEADERS} sequence headers in a stream")
        count += kind in (FRAME_HEADER, FRAME)
    return [largest] * min(count, KEPT_FRAMES) if largest else []


def _units(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each."""
    at = 0
    while at < len(stream):
        head = stream[at]
        at += 1 + (head >> 2 & 1)
        size = len(stream)
        if head & 2:
            size = shift = 0
            more = True
            while more and at < len(stream) and shift < SIZE_BYTES * 7:
                size |= (stream[at] & 127) << shift
                more, at, shift = stream[at] > 127, at + 1, shift + 7
        yield head >> 3 & 15, stream[at : at + size]
        at += size


def _sequence_pixels(header: "_Numbers") -> int:
    header.take(3 + 1)
    is_fixed = header.take(1)
    if is_fixed:
        header.take(5)
    else:
        _pass_timing(header)
    bits = header.take(4) + 1, header.take(4) + 1
    sides = [header.take(each) + 1 for each in bits]
    return sides[0] * sides[1] if is_fixed else 1 << sum(bits)


def _pass_timing(header: "_Numbers") -> None:
    """Up to the size of frames."""
    delay_bits = 0
    if header.take(1):  # times
        header.take(64)
        if header.take(1):
            zeros = 0
            while not header.take(1):
                zeros += 1
            header.take(zeros if zeros < 32 else 0)
        if header.take(1):  # a model of the decoder
            delay_bits = header.take(5) + 1
            header.take(32 + 5 + 5)
    has_delays = header.take(1)
    for _ in range(header.take(5) + 1):
        header.take(12)
        if header.take(5) > 7:
            header.take(1)
        if delay_bits and header.take(1):
            header.take(2 * delay_bits + 1)
        if has_delays and header.take(1):
            header.take(4)


class _Numbers:
    """Bits of a table, from the first on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, bits: int) -> int:
        first, self._at = self._at, self._at + bits
        after = -(-self._at // 8)
        if after > len(self._data):
            raise ValueError("an AVIF with a table that ends too soon")
        return int.from_bytes(self._data[first // 8 : after], "big") >> after * 8 - self._at & (1 << bits) - 1
