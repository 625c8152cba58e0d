"""One task of a source -> shards in a folder of its own; inflating, joining and writing each have a thread.

`<number>.json` beside a shard says that it is whole, `done.json` that the task is.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from toolkit.errors import ImageError, RowError, UsageError
from toolkit.images import check_is_image
from toolkit.packing.shards import RowGroup, ShardWriter, row_groups
from toolkit.schema import Row
from toolkit.sources.ahead import read_ahead
from toolkit.sources.layout import Source
from toolkit.sources.manifest import Shard
from toolkit.sources.repository import OnRead
from toolkit.sources.skips import OnBad, Skips
from toolkit.staging.files import write_whole


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """What shapes the output.

    Attributes:
        shard_bytes, row_group_bytes: of pictures and text, after which a shard or row group ends.
        limit: rows of each task, from the first; None = all.
        on_missing, on_bad_row, on_bad_image: "raise" or "skip", counted in the manifest.
    """

    shard_bytes: int = 500_000_000
    row_group_bytes: int = 20_000_000
    limit: int | None = None
    on_missing: OnBad = "raise"
    on_bad_row: OnBad = "raise"
    on_bad_image: OnBad = "raise"

    def __post_init__(self) -> None:
        Skips(on_missing=self.on_missing, on_bad_row=self.on_bad_row, on_bad_image=self.on_bad_image)
        for name in ("shard_bytes", "row_group_bytes", "limit"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise UsageError(f"{name} is {value}; expected a positive number")


def stage_task(
    source: Source, folder: Path, task: str, options: PackOptions, *, owns_unknown: bool, on_read: OnRead
) -> dict[str, int]:
    """Stage every shard of a task; returns what was skipped. `<number>.json` beside a shard says that it is whole,
    `done.json` that the task is.
    """
    done = folder / "done.json"
    if done.exists():
        return dict(json.loads(done.read_text()))
    folder.mkdir(exist_ok=True)
    skips = Skips(on_missing=options.on_missing, on_bad_row=options.on_bad_row, on_bad_image=options.on_bad_image)
    rows = _checked(
        source.read(task, skips, in_order=True, owns_unknown=owns_unknown, on_read=on_read), skips, options.limit
    )
    groups = row_groups(rows, options.row_group_bytes)
    with closing(read_ahead(groups, size_of=lambda group: 1, max_bytes=1)) as ahead:
        _write_shards(ahead, folder, task, options.shard_bytes)
    write_whole(done, json.dumps(skips.counts, sort_keys=True))
    return dict(skips.counts)


def _checked(rows: Iterator[Row], skips: Skips, limit: int | None) -> Iterator[Row]:
    """Rows whose pictures are pictures, as far as their first bytes tell; `verify --deep` decodes them."""
    left = limit
    with closing(rows):  # type: ignore[type-var]
        for row in rows:
            if left == 0:
                return
            try:
                for number, image in enumerate(row.images):
                    check_is_image(image.bytes, f"{row.task}: row {row.id!r}: images[{number}]")
            except ImageError as error:
                skips.bad(RowError(str(error), kind="bad_image"))
                continue
            left = left and left - 1
            yield row


def _write_shards(groups: Iterable[RowGroup], folder: Path, task: str, shard_bytes: int) -> None:
    number, size = 0, 0
    writer: ShardWriter | None = None
    try:
        for group in groups:
            is_new = not _marker(folder, number).exists()
            if is_new and writer is None:
                writer = ShardWriter(folder / f"{number:05d}.parquet")
            if writer:
                writer.write(group)
            size += group.payload_bytes
            if size >= shard_bytes:
                _close(writer, folder, task, number)
                writer, number, size = None, number + 1, 0
        if size:
            _close(writer, folder, task, number)
    except BaseException as error:
        if writer:
            writer.abandon(error)
        raise


def _close(writer: ShardWriter | None, folder: Path, task: str, number: int) -> None:
    if writer:
        shard = writer.close(path=f"{number:05d}.parquet", task=task)
        write_whole(_marker(folder, number), json.dumps(asdict(shard)))


def _marker(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.json"


def staged_shards(folder: Path) -> list[Shard]:
    """The whole shards of a task, in order; their paths are names in `folder`."""
    markers = sorted(path for path in folder.glob("*.json") if path.stem.isdigit())
    contents = (json.loads(marker.read_text()) for marker in markers)
    return [Shard(**{**content, "row_groups": tuple(content["row_groups"])}) for content in contents]
