"""Records from a file: a JSON list, JSON Lines or Parquet, one at a time, so that a file of any size fits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from toolkit.errors import SourceError, reason_of
from toolkit.parsing import load_json
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import LocalFolder

CHUNK = 1 << 20  # characters read at once
_DECODER = json.JSONDecoder()


def read_records(path: Path) -> Iterator[tuple[int, Any]]:
    """(position from 0, record) of a JSON list, a JSON Lines file or a Parquet file.

    Raises:
        SourceError: the file is missing or not JSON; names the record. ShardError: it is not Parquet.
    """
    if path.suffix == ".parquet":
        yield from enumerate(_table_records(path))
        return
    try:
        with path.open(encoding="utf-8") as file:
            is_list = file.read(CHUNK).lstrip().startswith("[")
            file.seek(0)
            yield from enumerate(_list_items(file, path) if is_list else _lines(file, path))
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read: {reason_of(error)}") from error


def _table_records(path: Path) -> Iterator[dict[str, Any]]:
    with open_parquet(LocalFolder(path.parent), path.name) as file:
        for batch in file.iter_batches(batch_size=16, use_threads=False):
            yield from batch.to_pylist()


def _lines(file: IO[str], path: Path) -> Iterator[Any]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            try:
                yield load_json(line)
            except ValueError as error:
                raise SourceError(
                    f"{path}, line {number}: not JSON: {error}; expected one record a line, or one JSON list"
                ) from error


def _list_items(file: IO[str], path: Path) -> Iterator[Any]:
    text = file.read(CHUNK).lstrip()[1:]  # behind the opening bracket
    number = 0
    while True:
        text = text.lstrip(" \t\r\n,")
        if text.startswith("]"):
            return
        try:
            record, end = _DECODER.raw_decode(text)
        except RecursionError:
            raise SourceError(f"{path}: record {number} is nested too deeply to be read") from None
        except ValueError as error:
            end = -1
            problem = error
        # a number or word at the very end of the text may go on in the next chunk
        if end < 0 or end == len(text):
            more = file.read(max(CHUNK, len(text)))  # as much again: a record of n chunks is parsed log n times
            if not more:
                raise SourceError(
                    f"{path}: record {number} is cut off or not JSON{f': {problem}' if end < 0 else ''}; expected a "
                    "JSON list of records"
                )
            text += more
            continue
        yield record
        text, number = text[end:], number + 1
