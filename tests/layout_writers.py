"""Archives and Parquet files as different tools write them."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as whole:
        for name, data in members:
            whole.writestr(zipfile.ZipInfo(name), data)
    return buffer.getvalue()


def tarred(members: Iterable[tuple[str, bytes]], *, is_plain: bool) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue() if is_plain else gzip.compress(buffer.getvalue(), compresslevel=0)


def _by_arrow(records: list[dict[str, Any]], path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(records), path, row_group_size=7)


def _by_arrow_large(records: list[dict[str, Any]], path: Path) -> None:
    """Every string and list a large one, nothing compressed, a row group a row."""
    table = pa.Table.from_pylist(records)
    schema = pa.schema([field.with_type(_large(field.type)) for field in table.schema])
    pq.write_table(table.cast(schema), path, row_group_size=1, compression="none", use_dictionary=False)


def _large(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_list(kind):
        return pa.large_list(_large(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_large(field.type)) for field in kind])
    return {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(kind, kind)


def _by_arrow_dictionary(records: list[dict[str, Any]], path: Path) -> None:
    """Columns of text are dictionaries, as pandas' categories are."""
    table = pa.Table.from_pylist(records)
    kinds = [pa.dictionary(pa.int16(), pa.string()) if each == pa.string() else each for each in table.schema.types]
    pq.write_table(table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True)))), path)


def _by_datasets(records: list[dict[str, Any]], path: Path) -> None:
    datasets.Dataset.from_list(records).to_parquet(path)


def _by_polars(records: list[dict[str, Any]], path: Path) -> None:
    import polars

    polars.DataFrame(pa.Table.from_pylist(records)).write_parquet(path, row_group_size=5)


def _by_duckdb(records: list[dict[str, Any]], path: Path) -> None:
    table = pa.Table.from_pylist(records)
    with duckdb.connect() as connection:
        connection.register("records", table)
        connection.execute(f"COPY records TO '{path}' (FORMAT parquet)")


WRITERS: dict[str, Callable[[list[dict[str, Any]], Path], None]] = {
    "arrow": _by_arrow,
    "large": _by_arrow_large,
    "dictionary": _by_arrow_dictionary,
    "datasets": _by_datasets,
    "polars": _by_polars,
    "duckdb": _by_duckdb,
}
