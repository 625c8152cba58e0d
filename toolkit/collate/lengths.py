"""Tokens of every row of a dataset, counted once: what batches by tokens are made of.

rows -> collator.encode -> OUT/lengths-<hash>.parquet -> StreamingDataset(..., lengths=OUT, max_tokens=8192)
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.collate.common import Collator
from toolkit.errors import RowError, UsageError
from toolkit.executors import Tell
from toolkit.schema import to_dicts
from toolkit.sources.layout import open_source
from toolkit.sources.packed import PackedSource
from toolkit.sources.repository import root_of
from toolkit.sources.skips import OnBad, Skips
from toolkit.staging.files import whole_file
from toolkit.staging.jobs import Part, check_apart, open_job
from toolkit.streaming.lengths import FILES, SCHEMA, read_lengths
from toolkit.tasks import tasks_of

UNIT_FILE = "lengths.parquet"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """
    Attributes:
        revision: of the collator, under which lengths are kept.
        measured: rows that are new in the folder; known: that were there.
        left_out: kind of fault -> rows that the collator cannot encode.
    """

    revision: str
    measured: int
    known: int
    left_out: dict[str, int]


def measure_lengths(
    path: str | PathLike[str],
    collate: Collator,
    out: str | Path,
    *,
    name: str = "all",
    on_bad_row: OnBad = "raise",
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    on_rows: Callable[[int], None] = lambda more: None,
) -> Measured:
    """Count the tokens of every row of a packed dataset into a folder, which may hold picture ids and lengths already.

    Killed at any moment, the same call resumes. Rows that are there are not measured again.

    Args:
        path: of the packed dataset. name: of its config.
        collate: what training uses; with picture ids from StoredTokens no picture is encoded.
        out: a folder beside the dataset.
        on_bad_row: "skip" notes rows that the collator cannot encode, so that StreamingDataset leaves them out.
        workers, executor, part: who does it; see `toolkit.staging.jobs`. For several workers the collator must pickle.
        revision, token: of a dataset on the Hub.
        on_rows: called with how many more rows are measured.

    Raises:
        UsageError: the dataset is not packed, or `out` cannot be used. RowError: a bad row. SourceError: as when it is
            read. PartDone: the part is.
    """
    out, source = Path(out), open_source(path, revision=revision, token=token)
    if not isinstance(source, PackedSource):
        raise UsageError(f"{path} is not packed; run: unifiedvisual pack {path} FOLDER")
    if root := root_of(source.repository):
        check_apart(out, root)
    tasks = [task for task in tasks_of(name, source.vocabulary) if task in source.tasks]
    known = tuple(sorted(out.glob(FILES)))
    plan = {"lengths": source.fingerprint(tasks), "collator": collate.revision, "on_bad_row": on_bad_row}
    with open_job(out, plan, part=part) as job:
        work = _Measure(source=source, units=source.shards(tasks), collate=collate, known=known, on_bad_row=on_bad_row)
        results = job.run(work.unit, range(len(work.units)), executor=executor, workers=workers, on_news=on_rows)
        _publish(out, [job.unit(unit) / UNIT_FILE for unit in range(len(work.units))])
        job.close()
    return Measured(
        revision=collate.revision,
        measured=sum(result["measured"] for result in results),
        known=sum(result["known"] for result in results),
        left_out=dict(sum((Counter(result["left_out"]) for result in results), Counter[str]())),
    )


@dataclass(frozen=True, kw_only=True)
class _Measure:
    source: PackedSource
    units: list[str]
    collate: Collator
    known: tuple[Path, ...]
    on_bad_row: OnBad

    def unit(self, number: int, folder: Path, tell: Tell) -> dict[str, Any]:
        folder.mkdir(exist_ok=True)
        known, skips, seen = self._known_ids(), Skips(on_bad_row=self.on_bad_row), 0
        lines: list[dict[str, Any]] = []
        for row in self._rows(number):
            if row["id"] in known:
                seen += 1
            else:
                lines.append(self._line(row, skips))
                tell(1)
        _write(folder / UNIT_FILE, pa.Table.from_pylist(lines, schema=SCHEMA))
        return {"measured": len(lines), "known": seen, "left_out": dict(skips.counts)}

    def _line(self, row: Mapping[str, Any], skips: Skips) -> dict[str, Any]:
        num_tokens, fault = 0, ""
        try:
            num_tokens = self.collate.encode(row).num_tokens
            skips.good()
        except RowError as error:
            skips.bad(error)
            fault = error.kind
        return {"id": row["id"], "collator": self.collate.revision, "num_tokens": num_tokens, "fault": fault}

    def _rows(self, number: int) -> Iterator[Mapping[str, Any]]:
        for table in self.source.read_tables(self.units[number], owns_unknown=False):
            yield from to_dicts(table)

    def _known_ids(self) -> set[str]:
        lines = (line for path in self.known for line in read_lengths(path).to_pylist())
        return {line["id"] for line in lines if line["collator"] == self.collate.revision}


def _publish(out: Path, files: list[Path]) -> None:
    table = pa.concat_tables([SCHEMA.empty_table(), *(read_lengths(path) for path in files)])
    if len(table):
        name = hashlib.sha256("".join(table["collator"].to_pylist()[:1] + table["id"].to_pylist()).encode()).hexdigest()
        _write(out / FILES.replace("*", name[:16]), table)


def _write(path: Path, table: pa.Table) -> None:
    with whole_file(path) as file:
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
