"""Finished samples -> rows in order -> the packed layout. A pure function of the journals: crashes, shards and time
leave no trace.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from toolkit.errors import UsageError
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.spec import Duplicates, RunSpec
from toolkit.generation.journal.reading import states
from toolkit.generation.runs.duplicates import Duplicate, duplicates
from toolkit.generation.runs.plans import Planned, plan
from toolkit.generation.runs.rows import accepted
from toolkit.generation.runs.samples import row_from_json
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.schema import Row
from toolkit.sources.manifest import MANIFEST, Manifest, read_manifest
from toolkit.sources.repository import LocalFolder
from toolkit.sources.rows import RowsSource
from toolkit.staging.files import sync_folder, write_whole
from toolkit.staging.locks import hold

PACKED, MARKER, LEFT_OUT = "packed", "packed.json", "duplicates.json"


def rows(planned: Planned, folder: Path, without: Collection[str] = ()) -> Iterator[Row]:
    """Args: without: ids of samples that are left out."""
    blobs = Blobs(folder / "blobs")
    for sample in accepted(planned, folder, with_rows=True):
        if sample.id not in without:
            yield row_from_json(sample.row or "{}", blobs)


def left_out(spec: RunSpec, planned: list[Planned], folder: Path) -> dict[str, list[Duplicate]]:
    """Recipe -> near-duplicates of an earlier sample, if the spec asks for it."""
    if spec.duplicates == Duplicates():
        return {}
    blobs = Blobs(folder / "blobs")
    return {
        each.recipe.name: list(duplicates(accepted(each, folder, with_rows=True), blobs, spec.duplicates))
        for each in planned
    }


def finalize(spec: RunSpec, folder: Path, options: PackOptions | None = None) -> Manifest:
    """Pack what is finished to `packed/` in the folder of the run; what was packed of fewer rows is replaced.

    Raises:
        UsageError: nothing is finished, or another process is packing the run. SourceError: a picture is gone or
            changed. DiskFull: no space is left.
    """
    planned = plan(spec)
    with hold(folder / ".finalize.lock", busy=f"{folder}: another process is packing this run; wait for it"):
        out = left_out(spec, planned, folder)
        listed = {name: [asdict(each) for each in found] for name, found in out.items()}
        write_whole(folder / LEFT_OUT, json.dumps(listed, indent=1))
        without = {each.id for found in out.values() for each in found}
        digest = _digest(planned, folder, options, without)
        packed, marker = folder / PACKED, folder / MARKER
        if marker.exists() and json.loads(marker.read_text()) == digest and (packed / MANIFEST).exists():
            manifest = read_manifest(LocalFolder(packed))
        else:
            manifest = _pack(planned, folder, options, without, digest)
            write_whole(marker, json.dumps(digest))
        for left in folder.glob(f"{PACKED}-*"):  # of other rows, or of a process that was killed
            shutil.rmtree(left)
    return manifest


def _why_none(folder: Path) -> str:
    """What became of the samples of a run that has no row."""
    ended = Counter[str]()
    for (_, state), number in states(folder).items():
        ended[state] += number
    if not ended:
        return "no sample is finished; run `unifiedvisual generate run` first"
    found = ", ".join(f"{number:,} {state}" for state, number in sorted(ended.items()))
    return f"no sample is left to pack ({found}); `unifiedvisual generate status` says why"


def _pack(
    planned: list[Planned], folder: Path, options: PackOptions | None, without: Collection[str], digest: str
) -> Manifest:
    with_rows = [each for each in planned if next(accepted(each, folder), None)]
    tasks = [each.recipe.row_task for each in with_rows]
    (folder / "blobs").mkdir(exist_ok=True)  # of rows of texts there is none
    source = RowsSource(
        repository=LocalFolder(folder / "blobs"),
        pieces=[partial(rows, each, folder, without) for each in with_rows],
        piece_tasks=[task.name for task in tasks],
        identity=digest,
        vocabulary={task.name: task for task in tasks},
    )
    packed, fresh, old = (folder / name for name in (PACKED, f"{PACKED}-{digest[:12]}", f"{PACKED}-old"))
    manifest = pack(source, fresh, source.tasks, options)
    shutil.rmtree(old, ignore_errors=True)
    if packed.exists():
        packed.rename(old)
    fresh.rename(packed)
    sync_folder(folder)
    return manifest


def _digest(planned: list[Planned], folder: Path, options: PackOptions | None, without: Collection[str]) -> str:
    digest, count = hashlib.sha256(repr(options).encode()), 0
    for each in planned:
        for sample in accepted(each, folder):
            if sample.id in without:
                continue
            digest.update(f"\n{each.recipe.name}\t{sample.id}".encode())
            count += 1
    if not count:
        raise UsageError(f"{folder}: {_why_none(folder)}")
    return digest.hexdigest()
