"""Finished samples -> rows in order -> the packed layout. A pure function of the journals: crashes, shards and time leave no trace."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from toolkit.atomic import write_atomically
from toolkit.errors import UsageError
from toolkit.generation.blobs import Blobs
from toolkit.generation.engine import row_from_json
from toolkit.generation.journal import Finished, finished
from toolkit.generation.plans import Planned, plan
from toolkit.generation.spec import RunSpec
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.schema import Row
from toolkit.sources.manifest import MANIFEST, Manifest, read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.sources.rows import RowsSource
from toolkit.tasks import TASKS

PACKED, MARKER = "packed", "packed.json"


def accepted(planned: Planned, folder: Path, *, with_rows: bool = False) -> Iterator[Finished]:
    """Samples of a recipe that became rows of this very spec, by index."""
    for sample in finished(folder, planned.recipe.name, with_rows=with_rows):
        if sample.state == "ok" and sample.idx < planned.n and sample.id == planned.id(sample.idx):
            yield sample


def rows(planned: Planned, folder: Path) -> Iterator[Row]:
    blobs = Blobs(folder / "blobs")
    for sample in accepted(planned, folder, with_rows=True):
        yield row_from_json(sample.row or "{}", blobs)


def finalize(spec: RunSpec, folder: Path, options: PackOptions | None = None) -> Manifest:
    """Pack what is finished to `packed/` in the folder of the run; what was packed of fewer rows is replaced.

    Raises:
        UsageError: nothing is finished. SourceError: a picture is gone or changed.
    """
    planned = plan(spec)
    digest = _digest(planned, folder, options)
    packed, marker = folder / PACKED, folder / MARKER
    if marker.exists() and json.loads(marker.read_text()) == digest and (packed / MANIFEST).exists():
        return read_manifest(LocalFolder(packed))
    with_rows = [each for each in planned if next(accepted(each, folder), None)]
    source = RowsSource(
        repository=LocalFolder(folder / "blobs"),
        pieces=[partial(rows, each, folder) for each in with_rows],
        piece_tasks=[each.recipe.task for each in with_rows],
    )
    fresh = folder / f"{PACKED}-{digest[:12]}"
    manifest = pack(source, fresh, TASKS, options)
    shutil.rmtree(packed, ignore_errors=True)
    fresh.rename(packed)
    write_atomically(marker, json.dumps(digest))
    return manifest


def _digest(planned: list[Planned], folder: Path, options: PackOptions | None) -> str:
    digest, count = hashlib.sha256(repr(options).encode()), 0
    for each in planned:
        for sample in accepted(each, folder):
            digest.update(f"\n{each.recipe.name}\t{sample.id}".encode())
            count += 1
    if not count:
        raise UsageError(f"{folder}: no sample is finished; run `unifiedvisual generate run` first")
    return digest.hexdigest()
