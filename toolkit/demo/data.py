"""A small packed dataset, made from the photographs that are included."""

import os
from pathlib import Path

from toolkit.demo.rows import demo_rows
from toolkit.packing.rows import pack_rows
from toolkit.tasks import tasks_of


def pack_demo(out: str | os.PathLike[str], config: str = "all", *, rows: int = 12) -> Path:
    """Pack a config of the demo dataset; a folder that holds it already is left as it is.

    Args:
        out: a folder; made if it is not there.
        rows: of each task.

    Returns:
        `out`.

    Raises:
        UnknownName: no such config. UsageError: the folder holds something else.
    """
    pack_rows((row for task in tasks_of(config) for row in demo_rows(task, rows)), out, source="demo")
    return Path(out)
