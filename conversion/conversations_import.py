"""Conversations of strings with an <image> placeholder back to rows: LLaVA and what is made like it. Any such file will
do, not only ours: leading dots, slashes and spaces in ids, one picture or a list.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from conversion.formats import Shard
from conversion.importing import ReadOptions, foreign_row, read_image, record_shards
from conversion.text import turn_parts
from toolkit.errors import RowError
from toolkit.schema import Message, Row

ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


def reader(kind: str, *patterns: str) -> Callable[[Path, ReadOptions], list[Shard]]:
    """`Format.read` for files of these names.

    Args:
        kind: what rows say that they were imported from.
    """

    def read(src: Path, options: ReadOptions) -> list[Shard]:
        return record_shards(src, options, patterns, partial(record_to_row, options=options, kind=kind))

    return read


def record_to_row(record: dict[str, Any], folder: Path, name: str, *, options: ReadOptions, kind: str) -> Row:
    """
    Raises:
        RowError: kinds "unknown_role", "count_mismatch", "no_task", and those of `read_image`.
    """
    turns = record["conversations"]
    for turn in turns:
        if turn["from"] not in ROLES:
            raise RowError(f"a turn is from {turn['from']!r}; known: {', '.join(ROLES)}", kind="unknown_role")
    messages = [Message(ROLES[turn["from"]], turn_parts(turn["value"])) for turn in turns]
    found = record.get("image") or []
    images = [read_image(folder, image) for image in ([found] if isinstance(found, str) else found)]
    return foreign_row(record, messages, images, options, name, kind)
