"""Footers of Parquet files that lie end in an error, not in the end of the process."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from toolkit.errors import ShardError
from toolkit.sources.footer import column_chunks
from toolkit.sources.parquet import open_parquet, read_batches, read_tables
from toolkit.sources.repository import LocalFolder

TABLE = pa.table({"id": ["a", "b"], "x": [[b"1", b"2"], [b"3"]], "n": [{"y": 1}, {"y": None}]})
LEVELS = b"\x19\x26\x04\x02\x19"  # of a size statistic: the histogram of repetition levels, a list of 2 and 1


def written(table: pa.Table = TABLE, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@pytest.mark.parametrize("options", [{}, {"compression": "none", "use_dictionary": False}, {"row_group_size": 1}])
def test_column_chunks_are_those_that_arrow_tells_of(options):
    file = io.BytesIO(written(**options))
    metadata = pq.ParquetFile(file).metadata
    for number, chunks in enumerate(column_chunks(file)):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(group.num_columns)]
        assert [chunk.path for chunk in chunks] == [column.path_in_schema for column in columns]
        assert [(chunk.compressed_bytes, chunk.uncompressed_bytes) for chunk in chunks] == [
            (column.total_compressed_size, column.total_uncompressed_size) for column in columns
        ]
        assert [chunk.offset for chunk in chunks] == [column.data_page_offset for column in columns]
        plain = [column.compression == "UNCOMPRESSED" and not column.has_dictionary_page for column in columns]
        assert [chunk.is_plain for chunk in chunks] == plain


def test_a_histogram_of_other_levels_than_the_schema_has_is_an_error(tmp_path):
    data = written()
    assert data.count(LEVELS) == 1
    (tmp_path / "a.parquet").write_bytes(
        data.replace(LEVELS, b"\x29" + LEVELS[1:])
    )  # that of definition levels, of which 4 are
    repository = LocalFolder(tmp_path)
    with open_parquet(repository, "a.parquet") as parquet:
        assert [len(chunks) for chunks in parquet.chunks] == [3]
    with pytest.raises(ShardError, match="histogram"), open_parquet(repository, "a.parquet") as parquet:
        list(read_batches(parquet, ["x.list.element"]))
    with pytest.raises(ShardError, match="histogram"), open_parquet(repository, "a.parquet") as parquet:
        list(read_tables(parquet))


@pytest.mark.parametrize("which", [0, 1])
def test_names_of_columns_that_are_not_utf_8_are_an_error(tmp_path, which):
    data = written(pa.table({"name": [1]}), store_schema=False)
    places = [at for at in range(len(data)) if data.startswith(b"\x04name", at)]  # in the schema, and in the chunk
    assert len(places) == 2
    at = places[which]
    (tmp_path / "a.parquet").write_bytes(data[: at + 1] + b"\xff" + data[at + 2 :])
    with pytest.raises(ShardError, match="utf-8"), open_parquet(LocalFolder(tmp_path), "a.parquet") as parquet:
        list(read_batches(parquet, ["name"]))
