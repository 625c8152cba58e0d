"""Rows as others may have packed them: of our columns or others, with whatever in them."""

import io
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.fuzzing.mutations import changed_value, is_deep
from tests.fuzzing.packed import changed, demo, fitting_manifest, packed, streamed
from tests.fuzzing.surface import surface
from toolkit.packing.verify import verify_packed
from toolkit.report.stats import collect
from toolkit.rules import check_row
from toolkit.schema import ARROW_SCHEMA, Row
from toolkit.sources.layout import open_source
from toolkit.sources.repository import LocalFolder
from toolkit.sources.skips import Skips


@cache
def plain_rows() -> list[Any]:
    return [row.to_dict() for row in demo()]


@surface(lambda dice: changed_value(dice.choice(plain_rows()), dice), of_values=True)
def row(value: Any) -> str:
    check_row(Row.from_dict(value))
    return "a row"


def changed_table(dice: Random) -> bytes:
    """A shard of one row; of our types, or of those that its values have."""
    while True:
        value = changed_value(plain_rows()[0], dice)
        if is_deep(value):  # Arrow takes all memory as it writes it, and reads none of it
            continue
        try:
            table = pa.Table.from_pylist([value], ARROW_SCHEMA if dice.random() < 0.7 else None)
            sink = io.BytesIO()
            pq.write_table(table, sink, write_page_checksum=True)
        except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            continue  # no table
        return sink.getvalue()


@surface(changed_table)
def parquet_rows(data: bytes) -> str:
    """What verify calls fine, everything reads."""
    says = fitting_manifest(data, rows=1, row_groups=[1], images=2)
    with changed(packed().manifest, says), changed(packed().shard, data) as folder:
        findings = verify_packed(LocalFolder(folder), deep=True)
        source = open_source(folder)
        if findings.problems:
            for task in source.tasks:
                for row in source.read(task, Skips(on_bad_row="skip")):
                    check_row(row)
            list(streamed(folder))
            return f"verify says {findings.problems[0][0]}"
        found = [row for task in source.tasks for row in source.read(task)]
        list(streamed(folder, decode="exact", image_size=8))
        collect(found)
    return "rows"
