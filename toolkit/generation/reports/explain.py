"""How one row was made: its sample, every call with its text, its answers, its cost; and the row made anew from the
journal alone.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal import Finished
from toolkit.generation.journal.reading import calls_of, samples_like
from toolkit.generation.runs.finalize import rows
from toolkit.generation.runs.plans import plan
from toolkit.generation.runs.samples import row_to_json, run_one
from toolkit.schema import Row

SAMPLE_DIGITS = 20  # of a sample's id in a row's


@dataclass(frozen=True, kw_only=True)
class Explained:
    """
    Attributes:
        calls: in the order they were first sent; request and response as journaled, and every send.
    """

    sample: Finished
    calls: tuple[dict[str, Any], ...]


def explain(folder: Path, id: str) -> Explained:
    """
    Args:
        id: of a row, or of a sample, or the first characters of one.

    Raises:
        UsageError: there is none, or more than one.
    """
    start = id.rpartition("-")[2]
    found = list(samples_like(folder, start)) if start else []
    if len(found) != 1:
        raise UsageError(
            f"{folder}: {len(found) or 'no'} samples match {id!r}; give the id of a row, or more of a sample's id"
        )
    path, sample = found[0]
    return Explained(sample=sample, calls=tuple(calls_of(path, sample.id)))


def remake(spec: RunSpec, folder: Path, sample: Finished) -> tuple[Row, bool]:
    """The row made again from the answers in the journal, with no model and no network; and whether it is the same,
    pictures included.

    Raises:
        UsageError: the sample did not become a row, or is not one of this spec.
    """
    planned = next((each for each in plan(spec) if each.recipe.name == sample.recipe), None)
    if sample.state != "ok" or planned is None or planned.id(sample.idx) != sample.id:
        raise UsageError(
            f"sample {sample.id} is {sample.state} and of recipe {sample.recipe!r}; only accepted rows of this very "
            "spec can be made again"
        )
    with tempfile.TemporaryDirectory(prefix="explain-") as scratch:
        row = run_one(spec, planned, sample.idx, Path(scratch), replay=folder)
    before = next(each for each in rows(planned, folder) if each.id == row.id)
    return row, row == before and row_to_json(row) == sample.row
