"""All pictures of a dataset as VQ ids: in units, by several workers, resumed after a kill, always the same bytes.

unit = a shard, or a task as published -> files of ids in staging -> each picture once in OUT/tokens-<hash>.parquet

A picture that is in several units is encoded in each, since none waits for another, and kept once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from toolkit.collate.tokenizers import load_tokenizer
from toolkit.collate.tokenizing import IMAGES_PER_FILE, TokenFiles, encode_rows, keys_of
from toolkit.collate.tokens import VQTokenizer, read_keys, stored_files
from toolkit.executors import Tell
from toolkit.schema import to_dicts
from toolkit.sources.packed import PackedSource
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.repository import root_of
from toolkit.sources.skips import OnBad, Skips
from toolkit.staging.jobs import Job, Part, check_apart, check_free, open_job
from toolkit.staging.marks import DONE, is_whole, mark, remove


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Arguments of `load_tokenizer`, from which every worker loads its own."""

    checkpoint: str
    name: str = ""
    revision: str | None = None
    image_size: int | None = None
    device: str | None = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Tokenized:
    """
    Attributes:
        family: name of the tokenizer.
        revision: under which ids are kept.
        encoded: pictures that are new in the folder.
        known: that were there, or occurred before.
        left_out: kind of fault -> rows.
    """

    family: str
    revision: str
    encoded: int
    known: int
    left_out: dict[str, int]


def tokenize_source(
    source: PackedSource | UpstreamSource,
    out: Path,
    checkpoint: Checkpoint,
    tasks: Sequence[str],
    *,
    batch_size: int = 1,
    on_bad_image: OnBad = "raise",
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    images_per_file: int = IMAGES_PER_FILE,
    on_images: Callable[[int], None] = lambda more: None,
) -> Tokenized:
    """Write the ids of all pictures of some tasks to a folder that may hold others already, also of other models.

    Args:
        checkpoint: of a model that draws.
        batch_size: pictures encoded at once.
        on_bad_image: "raise" or "skip" rows with a picture that cannot be decoded, counted.
        workers: processes that load the model, each at a shard or task of its own.
        executor: "local", or "ray" for tasks on its cluster instead of processes.
        part: (i, N): only every N-th shard, from shard i; another process, on any machine, does the others.
        images_per_file: also the most that a kill loses of a unit.
        on_images: called with how many more pictures are encoded.

    Raises:
        UsageError: `out` is where the source is, another process is at work there, or it has unfinished work of
            another command; or the checkpoint does not draw. SourceError: it, or the source, cannot be read.
        RowError: a bad row. DiskFull: no space is left. PartDone: the part is.
    """
    if root := root_of(source.repository):
        check_apart(out, root)
    check_free(out)  # before the model is loaded
    family, revision = _name_and_revision(checkpoint)
    units = source.shards(tasks)
    plan = {"tokenize": source.fingerprint(tasks), "tokenizer": revision}
    with open_job(out, {**plan, "on_bad_image": on_bad_image}, part=part) as job:
        work = _Encode(
            source=source,
            units=units,
            checkpoint=checkpoint,
            known_files=tuple(stored_files(out)),
            batch_size=batch_size,
            images_per_file=images_per_file,
            on_bad_image=on_bad_image,
        )
        if workers > 1 or executor != "local":
            _loaded.cache_clear()  # each worker has its own
        results = job.run(work.unit, range(len(units)), executor=executor, workers=workers, on_news=on_images)
        encoded = _publish(job, revision, len(units), images_per_file)
        job.close()
    _loaded.cache_clear()  # a model is large
    return _summed(family, revision, encoded, results)


def _summed(family: str, revision: str, encoded: int, results: Sequence[dict[str, Any]]) -> Tokenized:
    seen = sum(result["encoded"] + result["known"] for result in results)
    left_out = sum((Counter(result["left_out"]) for result in results), Counter[str]())
    return Tokenized(family=family, revision=revision, encoded=encoded, known=seen - encoded, left_out=dict(left_out))


@lru_cache(maxsize=1)
def _loaded(checkpoint: Checkpoint) -> tuple[str, VQTokenizer]:
    """Once in each process."""
    return load_tokenizer(**asdict(checkpoint))


def _name_and_revision(checkpoint: Checkpoint) -> tuple[str, str]:
    family, tokenizer = _loaded(checkpoint)
    return family, tokenizer.revision


@dataclass(frozen=True, kw_only=True)
class _Encode:
    source: PackedSource | UpstreamSource
    units: Sequence[str]
    checkpoint: Checkpoint
    known_files: tuple[Path, ...]
    batch_size: int
    images_per_file: int
    on_bad_image: OnBad

    def unit(self, number: int, folder: Path, tell: Tell) -> dict[str, Any]:
        """Files 00000.parquet, ... of a unit, each with a marker; those that are there are not made again."""
        folder.mkdir(exist_ok=True)
        _, tokenizer = _loaded(self.checkpoint)
        tokenizer.batch_size = self.batch_size
        before = _whole(folder)
        here = {key for path in before for key, *_ in read_keys(path)}
        numbers = count(len(before))
        files = TokenFiles(
            tokenizer.revision,
            self.images_per_file,
            lambda name: folder / f"{next(numbers):05d}.parquet",
            lambda path: mark(path.with_suffix(DONE), None, [path]),
        )
        skips = Skips(on_bad_image=self.on_bad_image)
        counts = encode_rows(
            self._rows(number),
            tokenizer,
            files,
            done=here | keys_of(self.known_files, tokenizer.revision),
            answers_only=tokenizer.answers_only,
            batch_size=self.batch_size,
            skips=skips,
            on_encoded=tell,
        )
        files.write()
        seen = counts.total()
        return {"encoded": len(here) + counts["encoded"], "known": seen - counts["encoded"] - len(here)} | {
            "left_out": dict(skips.counts)
        }

    def _rows(self, number: int) -> Iterator[Mapping[str, Any]]:
        for table in self.source.read_tables(self.units[number], owns_unknown=number == 0):
            yield from to_dicts(table)


def _staged(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _whole(folder: Path) -> list[Path]:
    """The first files of a unit that are as they were written; others go, for each is made behind those before it."""
    numbered = (folder / f"{number:05d}.parquet" for number in count())
    files = list(takewhile(lambda path: is_whole(path.with_suffix(DONE)), numbered))
    for path in folder.iterdir():
        if path.with_suffix(".parquet") not in files:
            remove(path)
    return files


def _publish(job: Job, revision: str, units: int, images_per_file: int) -> int:
    """Every picture once, in the order of units and rows; returns how many."""
    files = TokenFiles(revision, images_per_file, lambda name: job.out / name)
    seen: set[str] = set()
    for path in (path for unit in range(units) for path in _staged(job.unit(unit))):
        for entry in pq.read_table(path, use_threads=False).to_pylist():
            if entry["sha256"] not in seen:
                seen.add(entry["sha256"])
                files.add(entry["sha256"], entry["ids"])
    files.write()
    return len(seen)
