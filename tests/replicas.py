"""Replicas of the published layout and the rows they were made from, built once per process."""

from functools import cache
from pathlib import Path
from typing import Any

from toolkit.demo.replica import write_replica
from toolkit.demo.rows import demo_rows
from toolkit.schema import Row
from toolkit.tasks import TASKS

ROWS_PER_TASK = 7


@cache
def truth() -> dict[str, list[Row]]:
    return {task: list(demo_rows(task, ROWS_PER_TASK)) for task in TASKS}


def replica(
    folder: Path, shape: str, *, archive_order: str = "shuffled", tasks: tuple[str, ...] = tuple(TASKS)
) -> Path:
    """A replica of some tasks, made if it is not there."""
    if not folder.exists():
        write_replica(folder, {task: truth()[task] for task in tasks}, shape=shape, archive_order=archive_order)  # type: ignore[arg-type]
    return folder


def essence(row: Row | dict[str, Any]) -> dict[str, Any]:
    """What must be equal whatever the shape: id, text, roles, image order, image bytes."""
    columns = row.to_dict() if isinstance(row, Row) else row
    return {
        **{
            name: columns[name]
            for name in ("id", "task", "quadrant", "messages", "image_roles", "instruction", "source", "license")
        },
        "images": [image["bytes"] for image in columns["images"]],
    }
