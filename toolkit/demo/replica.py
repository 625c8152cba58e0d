"""Rows -> the layout as published: `data/*.parquet` with text, `images/*.tar.gz` with pictures.

Nobody outside has seen upstream's columns, so replicas come in the shapes such data is published in elsewhere. A
replica knows its own truth: the rows it was made from. `unifiedvisual demo` and the tests read replicas back.
"""

import io
import json
import random
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from isal import igzip

from toolkit.errors import UsageError
from toolkit.published import PUBLISHED
from toolkit.schema import EncodedImage, Row

ArchiveOrder = Literal["rows", "reversed", "shuffled"]
Member = tuple[str, bytes]


@dataclass(frozen=True, kw_only=True)
class ReplicaShape:
    """How a replica writes rows.

    Attributes:
        record: row, picture paths in reading order -> columns.
        path: task, file name -> how a row names a picture.
        member: task, file name -> how the archive names it.
        in_one_file: all tasks in `data/train.parquet`, else a file each.
    """

    record: Callable[[Row, Sequence[str]], dict[str, Any]]
    path: Callable[[str, str], str]
    member: Callable[[str, str], str]
    in_one_file: bool = False


def write_replica(
    out: Path,
    rows: Mapping[str, Sequence[Row]],
    *,
    shape: str = "conversations",
    archive_order: ArchiveOrder = "rows",
    row_group_rows: int = 1000,
) -> None:
    """Write rows in the layout as published.

    Args:
        out: a folder; made if it is not there.
        rows: task -> its rows. A picture's file name is its row's id and its place in the row.
        shape: a key of REPLICA_SHAPES. All but "columns" hold any number of turns.
        archive_order: how members follow each other; "shuffled" is the worst case for a join.

    Raises:
        UsageError: a row has more turns than the shape holds.
    """
    chosen = REPLICA_SHAPES[shape]
    (out / "data").mkdir(parents=True, exist_ok=True)
    (out / "images").mkdir(exist_ok=True)
    records: dict[str, list[dict[str, Any]]] = {}
    for task, task_rows in rows.items():
        stem = archive_stem(task)
        file = "train" if chosen.in_one_file else stem
        members: list[Member] = []
        for row in task_rows:
            names = [file_name(row, number, image) for number, image in enumerate(row.images)]
            records.setdefault(file, []).append(chosen.record(row, [chosen.path(stem, name) for name in names]))
            members += [(chosen.member(stem, name), image.bytes) for name, image in zip(names, row.images, strict=True)]
        if PUBLISHED[task].archive:
            write_archive(out / "images" / PUBLISHED[task].archive, arrange(members, archive_order))
    for file, columns in records.items():
        pq.write_table(pa.Table.from_pylist(columns), out / "data" / f"{file}.parquet", row_group_size=row_group_rows)


def archive_stem(task: str) -> str:
    return PUBLISHED[task].archive.partition(".")[0] or task


def file_name(row: Row, number: int, image: EncodedImage) -> str:
    return f"{row.id}_{number}.{image.path.rpartition('.')[2]}"


def arrange(members: list[Member], order: ArchiveOrder) -> list[Member]:
    if order == "reversed":
        return members[::-1]
    return random.Random(0).sample(members, len(members)) if order == "shuffled" else members


def write_archive(path: Path, members: Iterable[Member]) -> None:
    """A tar.gz of regular files, the same bytes every time."""
    with (
        path.open("wb") as file,
        igzip.IGzipFile("", "wb", compresslevel=0, fileobj=file, mtime=0) as inflated,
        tarfile.open(fileobj=inflated, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _own_id(row: Row) -> str:
    return row.id.partition("-")[2]


def _tagged(row: Row, tag: Callable[[int], str]) -> list[tuple[str, str]]:
    """(role, text) of each message, with a placeholder where each picture stands."""
    numbers = count(1)
    return [
        (message.role, "".join(tag(next(numbers)) if part.type == "image" else part.text for part in message.content))
        for message in row.messages
    ]


SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def _llava(row: Row, tag: Callable[[int], str]) -> list[dict[str, str]]:
    return [{"from": SPEAKERS[role], "value": text} for role, text in _tagged(row, tag)]


def _conversations(row: Row, paths: Sequence[str]) -> dict[str, Any]:
    return {"id": _own_id(row), "image": list(paths), "conversations": _llava(row, lambda number: "<image>")}


def _messages(row: Row, paths: Sequence[str]) -> dict[str, Any]:
    coming = iter(paths)
    messages = [
        {
            "role": message.role,
            "content": [
                {"type": part.type, "text": part.text or None, "image": next(coming) if part.type == "image" else None}
                for part in message.content
            ],
        }
        for message in row.messages
    ]
    return {"messages": messages, "sample_id": _own_id(row), "task": archive_stem(row.task)}


def _columns(row: Row, paths: Sequence[str]) -> dict[str, Any]:
    """Prompt, rationale and answer apart; an answer that ends with a picture is that picture."""
    if [message.role for message in row.messages] != ["user", "assistant"]:
        raise UsageError(
            f"row {row.id!r} has {len(row.messages)} messages; columns hold one question and one answer; choose "
            f"another shape: {', '.join(name for name in REPLICA_SHAPES if name != 'columns')}"
        )
    question, reply = (text for _, text in _tagged(row, lambda number: "<image>"))
    answer = reply if not row.rationale else "<image>" if reply.endswith("<image>") else row.answer
    rationale = reply.removesuffix(answer).removesuffix("\n\n")
    return {
        "id": _own_id(row),
        "question": question,
        "rationale": rationale or None,
        "answer": answer,
        "images": [{"path": path} for path in paths],
    }


def _json(row: Row, paths: Sequence[str]) -> dict[str, Any]:
    return {
        "uid": _own_id(row),
        "data": json.dumps(_llava(row, lambda number: "[IMG]")),
        "images": json.dumps(list(paths)),
    }


def _numbered(row: Row, paths: Sequence[str]) -> dict[str, Any]:
    """Pictures in the columns are listed last first, and placeholders say which they mean."""
    last = len(paths) + 1
    return {
        "key": _own_id(row),
        "conversations": _llava(row, lambda number: f"<image_{last - number}>"),
        "image_paths": list(paths)[::-1],
    }


REPLICA_SHAPES: dict[str, ReplicaShape] = {
    "conversations": ReplicaShape(
        record=_conversations, path=lambda stem, name: f"{stem}/{name}", member=lambda stem, name: f"./{stem}/{name}"
    ),
    "messages": ReplicaShape(
        record=_messages,
        path=lambda stem, name: f"/home/author/{stem}/{name}",
        member=lambda stem, name: f"{stem}/{name}",
        in_one_file=True,
    ),
    "columns": ReplicaShape(
        record=_columns, path=lambda stem, name: name, member=lambda stem, name: f"{stem}/pictures/{name}"
    ),
    "json": ReplicaShape(
        record=_json, path=lambda stem, name: f"images/{stem}/{name}", member=lambda stem, name: f"{stem}/{name}"
    ),
    "numbered": ReplicaShape(
        record=_numbered, path=lambda stem, name: f"{stem}\\{name}", member=lambda stem, name: f"{stem}/{name}"
    ),
}
