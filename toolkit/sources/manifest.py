"""What a packed dataset holds: MANIFEST.json, written last, so that a folder without it is not finished.

Since format 2 it has a checksum of itself: shards are known by their own, but a manifest that lost one would be
believed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from toolkit.errors import SHOWN, ShardError, SourceError, shown
from toolkit.parsing import check_depth
from toolkit.sources.repository import MANIFEST as MANIFEST
from toolkit.sources.repository import Repository
from toolkit.sources.splits import SPLITS, split_named_in
from toolkit.tasks import QUADRANTS, TASKS, Task, in_order

PLOTS = "plots/"  # where a dataset may have pictures of itself, for its card
FORMAT = 2
UNCHECKED = 1  # the format before, without a checksum; else the same
CHECKSUM = "checksum"
MOST = 1 << 60  # of anything that is counted, so that sums of it fit everywhere


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One Parquet file.

    Attributes:
        path: relative to the dataset, `data/<task>/train-00000-of-00003.parquet`.
        bytes, sha256: of the file.
        rows, images, image_bytes: it holds.
        row_groups: rows of each row group, in order.
        quadrants: quadrant -> rows.
        page_checksums: every page has one.
        footer_crc32: of the file's footer, which they are not of; None where it was not written down.
    """

    path: str
    task: str
    bytes: int
    sha256: str
    rows: int
    images: int
    image_bytes: int
    row_groups: tuple[int, ...]
    quadrants: dict[str, int]
    page_checksums: bool = False
    footer_crc32: int | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All shards of a dataset, tasks in table order, and where their rows came from.

    Attributes:
        source: name and revision or fingerprint of what was packed.
        options: that shaped the output.
        skipped: task -> kind -> rows left out.
        vocabulary: task -> its definition, of tasks that are not of the nine.
        drawn_from: task -> [source, license, rows], the most frequent first, where they were counted.
    """

    source: dict[str, str]
    options: dict[str, Any]
    shards: tuple[Shard, ...]
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)
    format: int = FORMAT
    vocabulary: dict[str, Task] = field(default_factory=dict)
    drawn_from: dict[str, list[list[Any]]] = field(default_factory=dict)

    @cached_property
    def tasks(self) -> dict[str, tuple[Shard, ...]]:
        """Task -> its shards, in order."""
        present = {shard.task for shard in self.shards}
        return {task: tuple(shard for shard in self.shards if shard.task == task) for task in in_order(present)}

    @cached_property
    def splits(self) -> dict[str, tuple[Shard, ...]]:
        """Split -> its shards, as their names tell it."""
        named = [(split_named_in(shard.path.rpartition("/")[2]), shard) for shard in self.shards]
        there = sorted({split for split, _ in named}, key=SPLITS.index)
        return {split: tuple(shard for name, shard in named if name == split) for split in there}

    def total(self, column: str, tasks: Iterable[str] | None = None) -> int:
        """Sum of one number ("rows", "images", "image_bytes", "bytes") over the shards of some tasks; None = of all."""
        wanted = set(self.tasks if tasks is None else tasks)
        return sum(getattr(shard, column) for shard in self.shards if shard.task in wanted)

    def quadrants(self, task: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for shard in self.tasks.get(task, ()):
            for quadrant, rows in shard.quadrants.items():
                counts[quadrant] = counts.get(quadrant, 0) + rows
        return dict(sorted(counts.items()))

    def to_json(self) -> str:
        """The same text for the same content. What is not there is left out: a vocabulary, where all tasks are of the
        nine.
        """
        content = asdict(self)
        for name in ("vocabulary", "drawn_from"):
            if not content[name]:
                del content[name]
        for shard in content["shards"]:
            if shard["footer_crc32"] is None:
                del shard["footer_crc32"]
        if self.format != UNCHECKED:
            content[CHECKSUM] = _checksum(content)
        return json.dumps(content, indent=1, sort_keys=True) + "\n"


def read_manifest(repository: Repository) -> Manifest:
    """The manifest of a packed dataset.

    Raises:
        SourceError: there is none, it is not whole or not as it was written, it says what cannot be, or a newer version
            of this package wrote it.
    """
    where = f"{repository.name}: {MANIFEST}"
    with repository.open(MANIFEST) as file:
        text = file.read()
    try:
        content = json.loads(text)
        check_depth(content)
        if content["format"] not in (UNCHECKED, FORMAT):
            raise SourceError(
                f"{where}: format {shown(content['format'])}; expected {UNCHECKED} or {FORMAT}; update this package"
            )
        told = content.pop(CHECKSUM, None)
        found, manifest = _checksum(content), _parse(content)
        if told != (found if manifest.format == FORMAT else None):
            is_told = "missing" if told is None else shown(told)
            raise ValueError(f"it was damaged or edited: its checksum is {is_told}; what it says has {found}")
        return manifest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SourceError(
            f"{where}: cannot be read ({type(error).__name__}: {error}); download it again, or pack again"
        ) from error


def _checksum(content: Mapping[str, Any]) -> str:
    """Of what a manifest says, however its JSON is laid out.

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair.
    """
    return "sha256:" + hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def check_sizes(shards: Iterable[Shard], sizes: Mapping[str, int], where: str) -> None:
    """Whether the shards that a manifest lists are there, and as large as it says, so that its numbers may be used.

    Args:
        sizes: path -> bytes of the files that are there.

    Raises:
        ShardError: one is not.
    """
    for shard in shards:
        if (found := sizes.get(shard.path)) != shard.bytes:
            there = "is not there" if found is None else f"has {found:,} bytes"
            raise ShardError(
                f"{where}: {shard.path} {there}; {MANIFEST} says {shard.bytes:,} bytes; download it again, or pack "
                "again"
            )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _maps(value: Any, is_such: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(is_such, value.values()))


def _is_drawn(value: Any) -> bool:
    """Whether it is a list of [source, license, rows]."""
    return isinstance(value, list) and all(
        isinstance(each, list)
        and len(each) == 3
        and all(is_such(one) for is_such, one in zip((_is_text, _is_text, _is_count), each, strict=True))
        for each in value
    )


# Of what is told beside the shards.
_FORMS: dict[str, Callable[[Any], bool]] = {
    "source": lambda value: _maps(value, _is_text),
    "options": lambda value: isinstance(value, dict),
    "skipped": lambda value: _maps(value, lambda counts: _maps(counts, _is_count)),
    "drawn_from": lambda value: _maps(value, _is_drawn),
}


def _parse(content: Mapping[str, Any]) -> Manifest:
    for name, is_such in _FORMS.items():
        if name in content and not is_such(content[name]):
            raise ValueError(f"{name} is {shown(content[name])}")
    shards = tuple(_parse_shard(number, shard) for number, shard in enumerate(content["shards"]))
    vocabulary = {name: Task(**task) for name, task in content.get("vocabulary", {}).items()}
    undefined = sorted({shard.task for shard in shards} - TASKS.keys() - vocabulary.keys())[:SHOWN]
    misnamed = [
        name
        for name, task in vocabulary.items()
        if name in TASKS or name != task.name or not isinstance(task.description, str)
    ][:SHOWN]
    if undefined or misnamed:
        raise ValueError(f"its vocabulary lacks tasks {undefined}, or defines {misnamed} anew")
    if len({shard.path for shard in shards}) < len(shards):
        raise ValueError("shards: a path is listed twice")
    return Manifest(**{**content, "shards": shards, "vocabulary": vocabulary})


def _parse_shard(number: int, content: Mapping[str, Any]) -> Shard:
    """A shard whose numbers can be used: a row takes a byte at least, so no number is larger than the file."""
    where = f"shards[{number}]"
    shard = Shard(**{**content, "row_groups": tuple(content["row_groups"])})
    counts = {
        **{name: getattr(shard, name) for name in ("bytes", "rows", "images", "image_bytes")},
        **{f"row_groups[{index}]": rows for index, rows in enumerate(shard.row_groups)},
        **{f"quadrants[{name!r}]": rows for name, rows in shard.quadrants.items()},
    }
    if shard.footer_crc32 is not None:
        counts["footer_crc32"] = shard.footer_crc32
    for name, value in counts.items():
        if not _is_count(value):
            raise ValueError(f"{where}.{name} is {value!r:.40}; expected a whole number from 0 to 2^60")
    is_hash = _is_text(shard.sha256) and re.fullmatch("[0-9a-f]{64}", shard.sha256)
    if not (is_hash and type(shard.page_checksums) is bool and shard.quadrants.keys() <= {*QUADRANTS}):
        raise ValueError(
            f"{where}: sha256 {shown(shard.sha256)}, page_checksums {shown(shard.page_checksums)}, quadrants "
            f"{shown(shard.quadrants)}; expected 64 hexadecimal digits, true or false, and some of "
            f"{', '.join(QUADRANTS)}"
        )
    if sum(shard.row_groups) != shard.rows or shard.rows > shard.bytes:
        raise ValueError(
            f"{where}: {shard.rows} rows, of which {sum(shard.row_groups)} in row groups, in {shard.bytes} bytes"
        )
    if not re.fullmatch(rf"data/{re.escape(shard.task)}/[^/\\\0]+\.parquet", shard.path):
        raise ValueError(f"{where}.path is {shard.path!r:.200}; expected data/{shard.task}/<name>.parquet")
    return shard
