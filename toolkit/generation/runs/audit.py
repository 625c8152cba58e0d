"""Is a run what it says: journals whole, every picture there and unchanged, every row by the rules, nothing half
written left behind.
"""

from collections.abc import Iterator
from pathlib import Path

from toolkit.errors import RowError, SourceError
from toolkit.generation.core.blobs import Blob, Blobs
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal.reading import damage, journal_paths
from toolkit.generation.runs.finalize import PACKED
from toolkit.generation.runs.plans import plan
from toolkit.generation.runs.rows import accepted
from toolkit.generation.runs.samples import row_from_json
from toolkit.packing.verify import verify_packed
from toolkit.rules import check_row
from toolkit.sources.repository import LocalFolder


def problems(spec: RunSpec, folder: Path) -> Iterator[tuple[str, str]]:
    """(kind, message) of everything that is wrong."""
    blobs = Blobs(folder / "blobs")
    for path in journal_paths(folder):
        for found in damage(path):
            yield "broken_journal", f"{path}: {found}; restore it from a copy"
    for path in sorted(blobs.root.glob("*/[!.]*")):
        sha256, _, suffix = path.name.partition(".")
        try:
            blobs.read(Blob(sha256, suffix))
        except SourceError as error:
            yield "broken_picture", str(error)
    for planned in plan(spec):
        for sample in accepted(planned, folder, with_rows=True):
            try:
                check_row(row_from_json(sample.row or "{}", blobs))
            except SourceError as error:
                yield "missing_picture", f"{planned.recipe.name} {sample.idx}: {error}"
            except RowError as error:
                yield error.kind, str(error)
    if (folder / PACKED).exists():
        yield from verify_packed(LocalFolder(folder / PACKED), deep=True).problems
