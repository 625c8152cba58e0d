"""Places of values in Parquet files that pyarrow, polars and duckdb wrote, against what pyarrow reads; and files that
are not whole.
"""

import os
import random
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolkit.schema import ARROW_SCHEMA
from toolkit.sources.footer import column_chunks
from toolkit.streaming.pages import plain_pages
from toolkit.streaming.slices import IMAGE_PATH, ImageSlice, OpenFile, image_chunk, image_pages, image_slices

PICTURES = [[b"one", b""], [], [b"three" * 700, bytes(range(256)) * 40, b"five"], [b"six"]] * 9


def write(path: Path, pictures: list = PICTURES, **options: object) -> Path:
    column = [[{"bytes": each, "path": f"{number}.png"} for number, each in enumerate(row)] for row in pictures]
    table = pa.table({"images": pa.array(column, ARROW_SCHEMA.field("images").type)})
    pq.write_table(table, path, **{"compression": "none", "use_dictionary": False, **options})
    return path


def slices(path: Path, group: int = 0) -> list[list[ImageSlice]] | None:
    with path.open("rb") as reading, pq.ParquetFile(reading) as parquet:
        file = OpenFile(path)
        places = image_pages(file.number, image_chunk(column_chunks(reading)[group]))
        return (
            None
            if places is None
            else image_slices(file, places, parquet.read_row_group(group, columns=[IMAGE_PATH])["images"])
        )


def plain_values(content, at, end):
    """Places of all values of a column."""
    pages = plain_pages(content, at, end)
    return pages and [place for page in pages for place in page.values]


def read(found: list[list[ImageSlice]]) -> list[list[bytes]]:
    return [[picture.read()["bytes"] for picture in row] for row in found]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"write_batch_size": 1, "data_page_size": 100},
        {"write_page_checksum": True, "write_statistics": False},
        {"write_page_index": True, "use_content_defined_chunking": True},
        {"compression": {"images.list.element.path": "zstd", "images.list.element.bytes": "none"}},
    ],
)
def test_values_are_found_where_they_lie(tmp_path, options):
    found = slices(write(tmp_path / "a.parquet", **options))
    assert read(found) == PICTURES
    assert [picture.path for picture in found[2]] == ["0.png", "1.png", "2.png"]


def test_each_row_group_has_its_own(tmp_path):
    path = write(tmp_path / "a.parquet", row_group_size=10)
    assert [row for group in range(4) for row in read(slices(path, group))] == PICTURES


@pytest.mark.parametrize("writer", ["duckdb", "polars"])
def test_values_that_other_writers_leave_as_they_are_are_found(tmp_path, writer):
    table = pq.read_table(write(tmp_path / "a.parquet"))
    if writer == "duckdb":
        duckdb.from_arrow(table).write_parquet(str(tmp_path / "b.parquet"), compression="uncompressed")
    else:
        polars = pytest.importorskip("polars", reason="polars is not installed; pip install polars")
        polars.from_arrow(table).write_parquet(tmp_path / "b.parquet", compression="uncompressed", use_pyarrow=False)
    found = slices(tmp_path / "b.parquet")
    assert found is None or read(found) == PICTURES


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"use_dictionary": True}, {"data_page_version": "2.0"}])
def test_values_written_otherwise_are_left_to_arrow(tmp_path, options):
    assert slices(write(tmp_path / "a.parquet", **options)) is None


@pytest.mark.parametrize("pictures", [[[b"one", None]], [None, [b"one"]]])
def test_missing_values_are_left_to_arrow(tmp_path, pictures):
    column = [row and [{"bytes": each, "path": ""} for each in row] for row in pictures]
    pq.write_table(
        pa.table({"images": pa.array(column, ARROW_SCHEMA.field("images").type)}),
        tmp_path / "a.parquet",
        compression="none",
        use_dictionary=False,
    )
    assert slices(tmp_path / "a.parquet") is None


def test_no_damage_goes_past_its_column(tmp_path):
    """Whatever single byte changes: the places are those of whole values inside the column, or there are none; and
    nothing hangs or breaks.
    """
    path = write(tmp_path / "a.parquet", PICTURES[:4], write_batch_size=1, data_page_size=100)
    content = path.read_bytes()
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start, end = column.data_page_offset, column.data_page_offset + column.total_compressed_size
    whole = plain_values(content, start, end)
    chance = random.Random(0)
    places = [place for at, _ in whole for place in range(max(start, at - 60), at)]  # headers, levels and lengths
    assert len(places) > 200
    for at in places:
        damaged = bytearray(content)
        damaged[at] ^= 1 << chance.randrange(8)
        found = plain_values(damaged, start, end)
        assert found is None or all(start < offset and offset + size <= end for offset, size in found)


@pytest.mark.parametrize(
    "content",
    [b"\x1c" * 100_000, b"\x15" + b"\xff" * 1_000_000, b"\x18\xff\xff\xff\x7f", b"\x19", b""],
    ids=lambda content: str(content[:2]),
)
def test_hostile_headers_hold_nothing_up(content):
    """Structs inside structs without end, a number without end, a text longer than the file."""
    started = time.monotonic()
    assert plain_values(content, 0, len(content)) in (None, [])
    assert time.monotonic() - started < 5


def varint(number: int) -> bytes:
    """A signed number as the compact protocol of Thrift writes it."""
    number, written = 2 * number, b""
    while number > 127:
        number, written = number >> 7, written + bytes([number & 127 | 128])
    return written + bytes([number])


@pytest.mark.parametrize("size", [1 << 20, 1 << 40, (1 << 62) - 1])
def test_a_page_that_says_it_is_larger_than_its_column_holds_nothing_up(size):
    """A data page of plain values: type, two sizes, and a header with number of values and three encodings."""
    header = b"\x15\0" + (b"\x15" + varint(size)) * 2 + b"\x2c\x15\x02\x15\0\x15\x06\x15\x06\0\0"
    content = header + bytes(8) + b"\3\0\0\0abc"
    started = time.monotonic()
    assert plain_values(content, 0, len(content)) is None
    assert time.monotonic() - started < 1
    whole = header.replace(varint(size), varint(15)) + bytes(8) + b"\3\0\0\0abc"
    assert plain_values(whole, 0, len(whole)) == [(len(whole) - 3, 3)]


def test_a_file_that_is_cut_off_has_no_places(tmp_path):
    path = write(tmp_path / "a.parquet")
    with path.open("rb") as file:
        chunk = image_chunk(column_chunks(file)[0])
    for size in (5000, 100, 0):
        os.truncate(path, size)
        assert image_pages(OpenFile(path).number, chunk) is None
