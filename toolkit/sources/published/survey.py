"""Every row of every Parquet file, looked at once: what the columns hold, and what tells the task of each row.

Nothing is sampled, but for values that are pictures themselves: what such a column holds is judged by the first few.
Batches are bounded in bytes, and the result is kept on disk (cache.py), so that it is made once.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolkit.errors import LayoutError, shorten
from toolkit.images.files import format_name
from toolkit.parsing import load_json
from toolkit.sources.parquet import open_parquet
from toolkit.sources.published.shapes.facts import ColumnFacts, LeafFacts
from toolkit.sources.published.shapes.leaves import Leaf, is_list, leaves_of, lengths_of, parsed_leaves, unfold
from toolkit.sources.published.shapes.pictures import is_encoded, is_picture_name, is_picture_struct
from toolkit.sources.published.shapes.placeholders import PATH_KINDS, find_known
from toolkit.sources.published.shapes.signs import NO_PICTURE, Signs, combine, signs_of
from toolkit.sources.published.shapes.words import are_keys_of_turns, names_pictures
from toolkit.sources.repository import Repository

BATCH_ROWS, BATCH_BYTES = 4096, 8 << 20
HEAVY_BYTES = 16 << 10  # mean size of a text above which it may be a picture in base64
PROBED = 8  # values


@dataclass(frozen=True, kw_only=True)
class FileSurvey:
    """One Parquet file.

    Attributes:
        columns: dotted name -> facts, in the order of the file.
        signs: dotted name of a column -> int8 (rows,), see signs.py; only of columns that name pictures.
    """

    path: str
    rows: int
    columns: Mapping[str, ColumnFacts]
    signs: Mapping[str, Signs]


def survey_files(
    repository: Repository, paths: Iterable[str], *, on_progress: Callable[[str], None] = lambda path: None
) -> Iterator[FileSurvey]:
    """Look at every row of some Parquet files.

    Args:
        on_progress: told the path of each file before it is read.

    Raises:
        LayoutError: a file has two columns of one name. ShardError: it is not whole, or has thousands of columns.
    """
    for path in paths:
        on_progress(path)
        with open_parquet(repository, path) as parquet:
            names = Counter(parquet.schema_arrow.names)
            if doubled := sorted(name for name, times in names.items() if times > 1):
                raise LayoutError(
                    f"{repository.name}: {path}: column names that occur twice: {shorten(doubled)}; which is meant "
                    "cannot be told; write the file again with one column of each name"
                )
            looker = _Looker(parquet)
            looker.look()
            yield FileSurvey(path=path, rows=looker.rows, columns=looker.columns, signs=looker.signs)


class _Looker:
    """The facts of one file while it is read; leaves are called as Parquet names them."""

    def __init__(self, parquet: pq.ParquetFile) -> None:
        self._parquet = parquet
        leaves = [parquet.schema.column(number) for number in range(parquet.metadata.num_columns)]
        self._leaves = {leaf.path: leaf for leaf in reversed(leaves)}
        self._sizes = {
            leaf.path: sum(group[number].uncompressed_bytes for group in parquet.chunks)
            for number, leaf in enumerate(leaves)
        }
        self.rows = int(parquet.metadata.num_rows)
        self.columns: dict[str, ColumnFacts] = {}
        self.signs: dict[str, Signs] = {}

    def look(self) -> None:
        for field in self._parquet.schema_arrow:
            self._add_schema(field.name, field.type)
        heavy = {leaf: facts for leaf in self._sizes if (facts := self._probe(leaf))}
        for leaf, facts in heavy.items():
            self._add_heavy(re.sub(r"\.list\.(element|item)", "[]", leaf), facts)
        light = [leaf for leaf in self._sizes if leaf not in heavy]
        done = 0
        batch_rows = BATCH_BYTES * self.rows // max(1, sum(self._sizes[leaf] for leaf in light))
        for batch in self._parquet.iter_batches(
            batch_size=max(1, min(BATCH_ROWS, batch_rows)), columns=light, use_threads=False
        ):
            for name, array in unfold(batch, self.columns):
                self._add(self.columns[name], array, done)
            done += batch.num_rows
        for name, labels in class_labels(self._parquet.schema_arrow).items():
            self.columns[name].labels = labels

    def _add_schema(self, name: str, kind: pa.DataType) -> None:
        if pa.types.is_struct(kind) and not _is_one_column(kind):
            for field in kind:
                self._add_schema(f"{name}.{field.name}", field.type)
        else:
            self.columns[name] = ColumnFacts(name=name, type=str(kind), rows=self.rows)

    def _probe(self, leaf: str) -> LeafFacts | None:
        """Facts of a leaf whose values are pictures, or bytes that may be, by the first few that are there."""
        column = self._leaves[leaf]
        is_bytes = column.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY") and column.logical_type.type == "NONE"
        if not is_bytes and self._sizes[leaf] < HEAVY_BYTES * self.rows:
            return None
        values: list[Any] = []
        for batch in self._parquet.iter_batches(batch_size=PROBED, columns=[leaf], use_threads=False):
            inner = next(leaves_of(batch.column(0))).values
            values = inner.drop_null().slice(0, PROBED).to_pylist()
            if values:
                break
        good = sum(map(_is_picture, values))
        if not is_bytes and not good:
            return None
        count = self.rows if values else 0
        facts = LeafFacts(kind="bytes" if is_bytes else "text", count=count, nulls=self.rows - count, values=None)
        facts.encoded = count if 2 * good > len(values) else 0
        facts.examples = [repr(value[:16]) for value in values[:2]]
        return facts

    def _add_heavy(self, path: str, facts: LeafFacts) -> None:
        name = next(name for name in self.columns if path == name or path.startswith((f"{name}.", f"{name}[]")))
        self.columns[name].leaves[path[len(name) :]] = facts
        self.columns[name].is_heavy = True
        if path == name and not facts.count:
            self.columns[name].nulls = self.rows

    def _add(self, column: ColumnFacts, array: pa.Array, done: int) -> None:
        lengths = lengths_of(array)
        for leaf in leaves_of(array):
            self._add_leaf(column, leaf, len(array), done)
            if leaf.path == "" and lengths is None:
                column.nulls = column.text.nulls + column.text.blanks
                if column.text.kind == "text" and 2 * column.text.brackets > column.text.filled:
                    inner, count = parsed_leaves(leaf.values.to_pylist())
                    column.parsed += count
                    for parsed in inner:
                        self._add_leaf(column, parsed._replace(path=f"${parsed.path}"), len(array), done)
        if lengths is not None:
            column.nulls += int((lengths <= 0).sum())
            column.add_lengths(lengths)

    def _add_leaf(self, column: ColumnFacts, leaf: Leaf, rows: int, done: int) -> None:
        facts = column.leaf(leaf.path)
        named = facts.add(leaf.values)
        if facts.kind != "text":
            return
        if names_pictures(f"{column.name}{leaf.path}".replace("[]", "").replace("$", "")):
            named = pc.is_valid(leaf.values).to_numpy(zero_copy_only=False)
        if named is not None and named.any():
            places = np.flatnonzero(named)
            self._sign(column.name, signs_of(leaf.values.take(pa.array(places)), leaf.rows[places], rows), done)
        if facts.tags.keys() & PATH_KINDS.keys():
            self._sign(column.name, _signs_of_tags(leaf, rows), done)

    def _sign(self, name: str, signs: Signs, done: int) -> None:
        whole = self.signs.setdefault(name, np.full(self.rows, NO_PICTURE, np.int8))
        here = slice(done, done + len(signs))
        whole[here] = combine(whole[here], signs)


def _is_one_column(kind: pa.StructType) -> bool:
    """Whether a struct is a picture, or turns as a struct of lists; others are a column for each field."""
    keys = frozenset(field.name for field in kind)
    return is_picture_struct(keys) or (are_keys_of_turns(keys) and all(is_list(field.type) for field in kind))


def _signs_of_tags(leaf: Leaf, rows: int) -> Signs:
    """By paths that stand in the text itself."""
    pairs = [
        (tag.path, row)
        for text, row in zip(leaf.values.to_pylist(), leaf.rows.tolist(), strict=True)
        if text and ("](" in text or "src" in text or "</" in text)
        for tag in find_known(text)
        if tag.path
    ]
    paths, places = [path for path, _ in pairs], [row for _, row in pairs]
    return signs_of(pa.array(paths, pa.string()), np.array(places, np.int32), rows)


def _is_picture(value: Any) -> bool:
    if isinstance(value, bytes):
        return bool(format_name(value)) or (len(value) < 1024 and is_picture_name(value.decode("utf-8", "replace")))
    return isinstance(value, str) and is_encoded(value.strip())


def class_labels(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """Names behind whole numbers, of columns that `datasets` wrote as ClassLabel."""
    try:
        features = load_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: tuple(map(str, feature["names"]))
            for name, feature in features.items()
            if name in schema.names and isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError):
        return {}
