"""One task of a source -> shards in a folder of its own; inflating, joining and writing each have a thread.

`<number>.done` beside a shard says that it is whole.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from toolkit.errors import ImageError, RowError, SourceError, UsageError
from toolkit.images import check_is_image
from toolkit.packing.shards import RowGroup, ShardWriter, row_groups
from toolkit.schema import MAX_ROW_BYTES, Row
from toolkit.sources.ahead import closed_after, read_ahead
from toolkit.sources.layout import Source
from toolkit.sources.manifest import Shard
from toolkit.sources.published.source import TOGETHER
from toolkit.sources.repository import OnRead
from toolkit.sources.skips import MAX_IN_A_ROW, OnBad, Skips, check_policy
from toolkit.staging.jobs import STAGING
from toolkit.staging.marks import DONE, is_whole, mark, remove, result_of


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """What shapes the output.

    Attributes:
        shard_bytes, row_group_bytes: of pictures and text, after which a shard or row group ends.
        limit: rows of each task, from the first; None = all.
        on_missing, on_bad_row, on_bad_image: "raise" or "skip", counted in the manifest.
        max_in_a_row: bad rows without a good one between that stop the packing all the same.
    """

    shard_bytes: int = 500_000_000
    row_group_bytes: int = 20_000_000
    limit: int | None = None
    on_missing: OnBad = "raise"
    on_bad_row: OnBad = "raise"
    on_bad_image: OnBad = "raise"
    max_in_a_row: int = MAX_IN_A_ROW

    def __post_init__(self) -> None:
        for name in ("on_missing", "on_bad_row", "on_bad_image"):
            check_policy(name, getattr(self, name))
        for name in ("shard_bytes", "row_group_bytes", "limit", "max_in_a_row"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"{name} is {value}; expected a positive number")
        if self.row_group_bytes > MAX_ROW_BYTES:  # with one row more it must stay under the 2 GiB of Arrow's columns
            raise UsageError(f"row_group_bytes is {self.row_group_bytes:,}; expected at most {MAX_ROW_BYTES:,}")

    def skips(self) -> Skips:
        return Skips(
            on_missing=self.on_missing,
            on_bad_row=self.on_bad_row,
            on_bad_image=self.on_bad_image,
            max_in_a_row=self.max_in_a_row,
        )


def stage_tasks(
    source: Source, folder: Path, tasks: Sequence[str], options: PackOptions, *, owns_unknown: bool, on_read: OnRead
) -> dict[str, dict[str, int]]:
    """Stage every shard of some tasks that are read together; returns what was skipped of each. `<number>.done` beside
    a shard says that it is whole.

    Args:
        folder: for the shards of one task, or for a folder of each of several.
    """
    folder.mkdir(exist_ok=True)
    skips = options.skips()
    rows = source.read(TOGETHER.join(tasks), skips, in_order=True, owns_unknown=owns_unknown, on_read=on_read)
    if len(tasks) == 1:
        _stage_rows(_checked(rows, skips, options.limit), folder, tasks[0], options)
        return {tasks[0]: dict(skips.counts)}
    found: dict[str, Counter[str]] = {task: Counter() for task in tasks}
    last = tasks[-1]
    with closing(rows):  # type: ignore[type-var]  # an Iterator that is a generator
        for last, rows_of_task in groupby(rows, key=lambda row: row.task):
            (folder / last).mkdir(exist_ok=True)
            _stage_rows(_checked(rows_of_task, skips, options.limit), folder / last, last, options)
            found[last] += skips.counts - sum(found.values(), Counter())
    found[last] += skips.counts - sum(found.values(), Counter())
    return {task: dict(counts) for task, counts in found.items()}


def _stage_rows(rows: Iterator[Row], folder: Path, task: str, options: PackOptions) -> None:
    ahead = read_ahead(row_groups(rows, options.row_group_bytes), size_of=lambda group: 1, max_bytes=1)
    with closing(ahead), TaskShards(folder, task, options.shard_bytes) as shards:
        for group in ahead:
            shards.write(group)


def _checked(rows: Iterator[Row], skips: Skips, limit: int | None) -> Iterator[Row]:
    left = limit
    with closed_after(rows):
        for row in rows:
            if left == 0:
                return
            try:
                check_images(row)
            except RowError as error:
                skips.bad(error)
                continue
            left = left and left - 1
            yield row


def check_images(row: Row) -> None:
    """As far as their first bytes tell; `verify --deep` decodes them.

    Raises:
        RowError: kind "bad_image".
    """
    for number, image in enumerate(row.images):
        try:
            check_is_image(image.bytes, f"{row.task}: row {row.id!r}: images[{number}]")
        except ImageError as error:
            raise RowError(str(error), kind="bad_image") from error


class TaskShards:
    """The shards of a task while they are written; those that were whole before are passed over."""

    def __init__(self, folder: Path, task: str, shard_bytes: int) -> None:
        self._folder, self._task, self._shard_bytes = folder, task, shard_bytes
        self._number, self._size, self._is_written = 0, 0, False
        self._writer: ShardWriter | None = None

    def __enter__(self) -> "TaskShards":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None and self._size:
            self._close()
        elif self._writer and error is not None:
            self._writer.abandon(error)

    def write(self, group: RowGroup) -> None:
        if not self._size:
            self._is_written = is_whole(self._marker)
        if self._writer is None and not self._is_written:
            remove(self._path)
            self._writer = ShardWriter(self._path)
        if self._writer:
            self._writer.write(group)
        self._size += group.payload_bytes
        if self._size >= self._shard_bytes:
            self._close()

    def _close(self) -> None:
        if self._writer:
            shard = self._writer.close(path=f"{self._number:05d}.parquet", task=self._task)
            mark(self._marker, asdict(shard), [self._path])
        self._writer, self._number, self._size = None, self._number + 1, 0

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number:05d}.parquet"

    @property
    def _marker(self) -> Path:
        return self._folder / f"{self._number:05d}{DONE}"


def staged_shards(folder: Path) -> list[Shard]:
    """The whole shards of a task, in order; their paths are names in `folder`.

    Raises:
        SourceError: what says so of one is lost or damaged.
    """
    shards = []
    for number in range(len({path.stem for end in (DONE, ".parquet") for path in folder.glob(f"[0-9]*{end}")})):
        marker = folder / f"{number:05d}{DONE}"
        if (found := result_of(marker)) is None:
            raise SourceError(
                f"{marker}: unfinished work that cannot be read; delete the {STAGING} it is in, and run the "
                "command again"
            )
        shards.append(Shard(**{**found[0], "row_groups": tuple(found[0]["row_groups"])}))
    return shards
