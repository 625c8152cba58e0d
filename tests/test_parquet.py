"""Parquet files are read in bounded memory, and what is wrong with one is told as what it is."""

import errno
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.replicas import truth
from toolkit.errors import RowError, ShardError, UsageError
from toolkit.packing.stage import PackOptions
from toolkit.rules import check_row
from toolkit.sources import parquet as module
from toolkit.sources.parquet import open_parquet, parquet_file, read_records, read_tables
from toolkit.sources.repository import LocalFolder

LARGE = 300_000  # bytes of a picture
PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(folder: Path, sizes: list[int], *, row_group_size: int | None = None) -> LocalFolder:
    """Rows with a picture of each size."""
    images = [{"bytes": bytes([number % 256]) * size, "path": f"{number}.png"} for number, size in enumerate(sizes)]
    table = pa.table({"id": list(map(str, range(len(sizes)))), "image": pa.array(images, PICTURE)})
    options = {"compression": "none", "use_dictionary": False, "write_batch_size": 1}  # a page is cut where it is full
    pq.write_table(table, folder / "a.parquet", row_group_size=row_group_size, **options)
    return LocalFolder(folder)


@pytest.fixture
def small_batches(monkeypatch):
    """As if 2 MB were much."""
    monkeypatch.setattr(module, "BATCH_BYTES", 2 << 20)


def test_batches_of_large_rows_are_bounded_in_bytes(tmp_path, small_batches):
    repository = write(tmp_path, [LARGE] * 40)  # a row group of 12 MB
    with open_parquet(repository, "a.parquet") as parquet:
        tables = list(read_tables(parquet))
        assert max(table.nbytes for table in tables) < 2 << 20
        assert [row["id"] for table in tables for row in table.to_pylist()] == list(map(str, range(40)))
        assert [row["image"]["bytes"][:1] for row in read_records(parquet)] == [bytes([n]) for n in range(40)]


def test_large_rows_that_lie_together_behind_small_ones_are_few_in_a_batch(tmp_path, small_batches):
    repository = write(tmp_path, [1] * 5000 + [LARGE] * 40)
    with open_parquet(repository, "a.parquet") as parquet:
        assert max(len(table) for table in read_tables(parquet)) <= 32
        assert sum(len(record["image"]["bytes"]) for record in read_records(parquet)) == 5000 + 40 * LARGE


def test_a_small_row_group_is_a_table(tmp_path, small_batches):
    repository = write(tmp_path, [1000] * 40, row_group_size=15)
    with open_parquet(repository, "a.parquet") as parquet:
        assert list(map(len, read_tables(parquet))) == [15, 15, 10]


class Counted(io.FileIO):
    """A file that knows the largest piece it was asked for."""

    largest = 0

    def read(self, size: int = -1) -> bytes:
        Counted.largest = max(self.largest, size)
        return super().read(size)


def test_a_large_row_group_is_read_page_by_page(tmp_path, small_batches):
    write(tmp_path, [LARGE] * 40)
    with Counted(tmp_path / "a.parquet") as file, parquet_file(file) as parquet:
        assert sum(1 for _ in read_records(parquet)) == 40
    assert LARGE < Counted.largest < 3 << 20  # and not 12 MB, the whole column


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error"),
        (
            OSError("Unexpected end of stream"),
            r"not a whole Parquet file \(Unexpected end of stream\); download it again",
        ),
        (pa.ArrowInvalid("Parquet magic bytes not found"), "not a whole Parquet file .*; download it again"),
        (pa.ArrowMemoryError("malloc of size 99 failed"), "not enough memory .*; use fewer workers"),
        (pa.ArrowNotImplementedError("Nested data conversions"), "cannot be read by Arrow .* row groups under 2 GiB"),
    ],
)
def test_each_cause_has_its_own_words(tmp_path, error, message, monkeypatch):
    def raises(*args, **options):
        raise error

    repository = write(tmp_path, [1])
    monkeypatch.setattr(module, "Parquet", raises)
    with pytest.raises(ShardError, match=rf"a\.parquet: {message}"), open_parquet(repository, "a.parquet"):
        pass


def test_a_disk_that_fills_while_a_file_is_read_is_no_fault_of_that_file(tmp_path):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(OSError, match="No space left") as raised, open_parquet(LocalFolder(tmp_path), "a.parquet"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not isinstance(raised.value, ShardError)


def test_what_would_not_fit_in_a_row_group_is_refused_before_the_first_byte():
    assert PackOptions(row_group_bytes=1 << 30).row_group_bytes == 1 << 30
    with pytest.raises(UsageError, match=r"row_group_bytes is 3,000,000,000; expected at most 1,073,741,824"):
        PackOptions(row_group_bytes=3_000_000_000)


def test_a_row_larger_than_a_table_is_a_bad_row(monkeypatch):
    row = truth()["llava_cot"][0]
    monkeypatch.setattr("toolkit.rules.MAX_ROW_BYTES", 10)
    with pytest.raises(RowError, match=r"images of .* bytes; expected at most 10 in a row") as caught:
        check_row(row)
    assert caught.value.kind == "row_too_large"
