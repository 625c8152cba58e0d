"""What a packed dataset holds: MANIFEST.json, written last, so that a folder without it is not finished."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from toolkit.errors import SHOWN, SourceError
from toolkit.sources.repository import Repository
from toolkit.tasks import TASKS, Task, in_order

MANIFEST = "MANIFEST.json"
PLOTS = "plots/"  # where a dataset may have pictures of itself, for its card
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One Parquet file.

    Attributes:
        path: relative to the dataset, `data/<task>/train-00000-of-00003.parquet`.
        bytes, sha256: of the file.
        rows, images, image_bytes: it holds.
        row_groups: rows of each row group, in order.
        quadrants: quadrant -> rows.
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


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All shards of a dataset, tasks in table order, and where their rows came from.

    Attributes:
        source: name and revision or fingerprint of what was packed.
        options: that shaped the output.
        skipped: task -> kind -> rows left out.
        vocabulary: task -> its definition, of tasks that are not of the nine.
    """

    source: dict[str, str]
    options: dict[str, Any]
    shards: tuple[Shard, ...]
    skipped: dict[str, dict[str, int]] = field(default_factory=dict)
    format: int = FORMAT
    vocabulary: dict[str, Task] = field(default_factory=dict)

    @cached_property
    def tasks(self) -> dict[str, tuple[Shard, ...]]:
        """Task -> its shards, in order."""
        present = {shard.task for shard in self.shards}
        return {task: tuple(shard for shard in self.shards if shard.task == task) for task in in_order(present)}

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
        """The same text for the same content. A dataset of the nine tasks alone has no vocabulary."""
        content = asdict(self)
        if not self.vocabulary:
            del content["vocabulary"]
        return json.dumps(content, indent=1, sort_keys=True) + "\n"


def read_manifest(repository: Repository) -> Manifest:
    """The manifest of a packed dataset.

    Raises:
        SourceError: there is none, it is not whole, or a newer version of this package wrote it.
    """
    where = f"{repository.name}: {MANIFEST}"
    with repository.open(MANIFEST) as file:
        text = file.read()
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise SourceError(f"{where}: format {content['format']!r}; expected {FORMAT}; update this package")
        return _parse(content)
    except (ValueError, TypeError, KeyError) as error:
        raise SourceError(
            f"{where}: cannot be read ({type(error).__name__}: {error}); download it again, or pack again"
        ) from error


def _parse(content: Mapping[str, Any]) -> Manifest:
    shards = tuple(Shard(**{**shard, "row_groups": tuple(shard["row_groups"])}) for shard in content["shards"])
    vocabulary = {name: Task(**task) for name, task in content.get("vocabulary", {}).items()}
    undefined = sorted({shard.task for shard in shards} - TASKS.keys() - vocabulary.keys())[:SHOWN]
    misnamed = [name for name, task in vocabulary.items() if name in TASKS or name != task.name][:SHOWN]
    if undefined or misnamed:
        raise ValueError(f"its vocabulary lacks tasks {undefined}, or defines {misnamed} anew")
    return Manifest(**{**content, "shards": shards, "vocabulary": vocabulary})
