"""A packed dataset against its manifest and the record's rules: every problem, none hidden behind the first.

Each shard is read once: its bytes are hashed, its rows checked, with `deep` its pictures decoded. On the Hub the same
is done over the wire.
"""

import hashlib
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.errors import DiskFull, RowError, SourceError
from toolkit.executors import Tell
from toolkit.rules import check_row
from toolkit.schema import ARROW_SCHEMA, Row, rows_of
from toolkit.sources.checks import Check, Found, read_ids, run_check, summed
from toolkit.sources.findings import Findings, Problem, image_problems, refused_elsewhere
from toolkit.sources.footer import footer_crc32
from toolkit.sources.manifest import MANIFEST, Manifest, Shard, read_manifest
from toolkit.sources.packed import find_shards
from toolkit.sources.parquet import cause_of, parquet_file, read_tables
from toolkit.sources.repository import LocalFolder, Repository
from toolkit.staging.files import disk_errors, disk_full, size_text
from toolkit.streaming.pages import PlainPage
from toolkit.streaming.slices import image_chunk, image_pages


def verify_packed(
    repository: Repository,
    *,
    deep: bool = False,
    workers: int = 1,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> Findings:
    """Check a packed dataset.

    Args:
        deep: also decode every picture.
        workers: shards checked at the same time, a process each.
        on_done: called with (shards that are done, all shards).
    """
    try:
        check = packed_check(repository, deep=deep)
    except SourceError as error:
        return Findings(source=repository.name, problems=(("no_manifest", str(error)),))
    return run_check(check, workers=workers, on_done=on_done)


def packed_check(repository: Repository, *, deep: bool) -> Check:
    """
    Raises:
        SourceError: there is no manifest.
    """
    manifest = read_manifest(repository)
    files = repository.list_files()
    present = [shard for shard in manifest.shards if shard.path in files]
    return Check(
        source=repository.name,
        identity=repository.fingerprint([MANIFEST, *(shard.path for shard in present)]) + f" deep={deep}",
        units=len(present),
        work=partial(_check_unit, repository, present, deep),
        end=partial(_end, repository.name, manifest, files, present),
    )


def _check_unit(repository: Repository, shards: Sequence[Shard], deep: bool, unit: int, tell: Tell) -> Found:
    return check_shard(repository, shards[unit], deep)


def _end(
    name: str,
    manifest: Manifest,
    files: dict[str, int],
    shards: Sequence[Shard],
    found: Sequence[Found],
    ids: Sequence[Path],
) -> Findings:
    findings = summed(name, found, tasks=manifest.tasks, more=_duplicates(shards, ids))
    return replace(findings, problems=(*_file_problems(manifest, files), *findings.problems))


def _file_problems(manifest: Manifest, files: dict[str, int]) -> Iterator[Problem]:
    listed = {shard.path for shard in manifest.shards}
    for shard in manifest.shards:
        if shard.path not in files:
            yield "missing_shard", f"{shard.path}: in {MANIFEST}, but not there"
    for path in (path for paths in find_shards(files).values() for path in paths):
        if path not in listed:
            yield "extra_shard", f"{path}: there, but not in {MANIFEST}"


def check_shard(repository: Repository, shard: Shard, deep: bool) -> Found:
    """Everything about one shard that needs no other."""
    problems: list[Problem] = []
    notes: list[Problem] = []
    ids: list[str] = []
    counts = _Counts()
    try:
        with _hashed_copy(repository, shard.path) as (file, sha256):
            if is_damaged := sha256 != shard.sha256:
                problems.append(
                    (
                        "wrong_hash",
                        f"{shard.path}: sha256 is {sha256[:12]}...; expected {shard.sha256[:12]}...; download it again",
                    )
                )
            counts.bytes = shard.bytes if is_damaged else os.fstat(file.fileno()).st_size  # said once
            with parquet_file(file, verify=not is_damaged) as parquet:  # of a damaged one, read what can be
                problems += _layout_problems(parquet, shard)
                groups = parquet.chunks if shard.images else []
                pages = [image_pages(file.fileno(), image_chunk(group)) for group in groups]
                problems += _bare_pages(pages, shard)
                problems += () if is_damaged else _footer_problems(file, shard)
                notes += _slow_reading(pages, shard)
                for row in (row for table in read_tables(parquet) for row in rows_of(table)):
                    counts.add(row)
                    problems += _row_problems(row, shard, deep)
                    notes += refused_elsewhere(row, shard.path) if deep and isinstance(row, Row) else ()
                    if isinstance(row, Row) and isinstance(row.id, str):
                        ids.append(row.id)
    except DiskFull:  # of temporary files; the shard may be fine
        raise
    except SourceError as error:
        problems.append(("unreadable_shard", str(error)))
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        problems.append(("unreadable_shard", f"{shard.path}: {cause_of(error)}"))
    else:
        problems += counts.problems(shard)
    rows, images = {shard.task: counts.rows}, {shard.task: counts.images}
    return Found(rows=rows, images=images, problems=problems, notes=notes, ids=ids)


@dataclass
class _Counts:
    """What a shard holds, for comparison with what the manifest says of it; not of all where a row cannot be read."""

    bytes: int = 0
    rows: int = 0
    images: int = 0
    image_bytes: int = 0
    quadrants: Counter[str] = field(default_factory=Counter)
    is_of_all: bool = True

    def add(self, row: Row | RowError) -> None:
        self.rows += 1
        if isinstance(row, RowError):
            self.is_of_all = False
            return
        self.images += len(row.images)
        self.image_bytes += sum(len(image.bytes or b"") for image in row.images)
        self.quadrants[str(row.quadrant)] += 1

    def problems(self, shard: Shard) -> Iterator[Problem]:
        of_rows = ("images", "image_bytes", "quadrants") if self.is_of_all else ()
        for name in ("bytes", "rows", *of_rows):
            if (found := getattr(self, name)) != (told := getattr(shard, name)):
                found = dict(found) if name == "quadrants" else found
                yield "wrong_count", f"{shard.path}: {name}: {found} are there; {MANIFEST} says {told}"


@contextmanager
def _hashed_copy(repository: Repository, path: str) -> Iterator[tuple[BinaryIO, str]]:
    """A seekable file and its sha256; what comes over the wire is kept in a temporary file, so that it comes once."""
    digest = hashlib.sha256()
    with ExitStack() as stack:
        source = stack.enter_context(repository.stream(path))
        copy = None if isinstance(repository, LocalFolder) else stack.enter_context(tempfile.TemporaryFile())
        file, size = copy or source, 0
        with disk_errors(Path(tempfile.gettempdir()), lambda: f"more than {size_text(size)} are"):
            while data := source.read(8 << 20):
                digest.update(data)
                size += len(data)
                if copy:
                    copy.write(data)
            file.seek(0)
        yield file, digest.hexdigest()


def _layout_problems(parquet: pq.ParquetFile, shard: Shard) -> Iterator[Problem]:
    if not parquet.schema_arrow.equals(ARROW_SCHEMA, check_metadata=False):
        yield (
            "wrong_schema",
            f"{shard.path}: columns {parquet.schema_arrow.names}; expected {ARROW_SCHEMA.names} of our types",
        )
    found = tuple(parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups))
    if found != shard.row_groups:
        yield (
            "wrong_row_groups",
            f"{shard.path}: {len(found)} row groups of {sum(found)} rows; expected {len(shard.row_groups)} of "
            f"{sum(shard.row_groups)}",
        )


def _bare_pages(groups: Sequence[list[PlainPage] | None], shard: Shard) -> Iterator[Problem]:
    if shard.page_checksums and (bare := sum(page.crc is None for group in groups for page in group or ())):
        yield "no_checksum", f"{shard.path}: {bare} pages of images have no checksum; {MANIFEST} says that all have"


def _footer_problems(file: BinaryIO, shard: Shard) -> Iterator[Problem]:
    if shard.footer_crc32 is not None and (found := footer_crc32(file)) != shard.footer_crc32:
        yield "wrong_hash", f"{shard.path}: the CRC-32 of its footer is {found}; {MANIFEST} says {shard.footer_crc32}"


def _slow_reading(groups: Sequence[list[PlainPage] | None], shard: Shard) -> Iterator[Problem]:
    """Whether StreamingDataset cannot leave the pictures of a local shard in its file until their rows are due."""
    if slow := groups.count(None):
        yield (
            "slow_reading",
            f"{shard.path}: {slow} of {len(groups)} row groups store images compressed, in a dictionary or in pages of "
            "another kind, so StreamingDataset reads them whole: slower, and more memory; pack again to change that",
        )


def _row_problems(row: Row | RowError, shard: Shard, deep: bool) -> Iterator[Problem]:
    if isinstance(row, RowError):
        yield row.kind, f"{shard.path}: {row}"
        return
    try:
        check_row(row)
    except RowError as error:
        yield error.kind, f"{shard.path}: {error}"
    if row.task != shard.task:
        yield "wrong_task", f"{shard.path}: row {row.id!r} is of task {row.task!r}; expected {shard.task!r}"
    if deep:
        yield from image_problems(row, shard.path)


def _duplicates(shards: Sequence[Shard], ids: Sequence[Path]) -> Iterator[Problem]:
    """Ids that occur twice, found by a sort on the disk.

    Args:
        ids: files of those of each shard.
    """
    first: dict[bytes, str] = {}
    with (
        tempfile.TemporaryDirectory() as temporary,
        _full_errors(Path(temporary)),
        closing(sqlite3.connect(Path(temporary, "ids"))) as db,
    ):
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE ids (id BLOB, shard)")
        for number, path in enumerate(ids):
            db.executemany("INSERT INTO ids VALUES (?, ?)", ((id.encode(), number) for id in read_ids(path)))
        twice = "SELECT id FROM ids GROUP BY id HAVING count(*) > 1"
        for id, number in db.execute(f"SELECT id, shard FROM ids WHERE id IN ({twice}) ORDER BY rowid"):
            path = shards[number].path
            if id in first:
                yield "duplicate_id", f"{path}: row {id.decode()!r} is also in {first[id]}"
            first.setdefault(id, path)


@contextmanager
def _full_errors(folder: Path) -> Iterator[None]:
    """
    Raises:
        DiskFull: a database in this folder does not fit.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" not in str(error):  # its code is told from Python 3.11 on
            raise
        raise disk_full(folder, "more is") from error
