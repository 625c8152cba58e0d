"""The way back: what every reader of foreign records needs to make rows of them."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from conversion.formats import Shard
from conversion.report import REPORT_NAME
from toolkit.errors import ImageError, RowError, SourceError, UnifiedVisualError
from toolkit.rules import MAX_ID, check_row
from toolkit.schema import ID_PATTERN, EncodedImage, Message, Row, image_roles, quadrant_of, text_of
from toolkit.sources.dialects.records import read_records
from toolkit.sources.dialects.tasks import imported_task
from toolkit.sources.repository import LocalFolder
from toolkit.tasks import KNOWN_TASKS, TASK_NAME, Task, find_task

RecordReader = Callable[
    [dict[str, Any], Path, str], Row
]  # (record, folder of the pictures, a name for a record without id)


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """
    Attributes:
        task: task of records that name none: a name, also a new one, or "module:NAME" or "path/to/file.py:NAME" of a
            `Task`.
        image_folder: where relative picture paths start; "" = the folder of the file.
        any_task: whether a record may name a task that is defined nowhere; for checks, since such a row cannot be
            packed.
    """

    task: str = ""
    image_folder: str = ""
    any_task: bool = False

    def __post_init__(self) -> None:
        if self.task:
            imported_task(self.task)

    def task_of(self, record: Mapping[str, Any]) -> Task:
        """The task that a record names, else the one given. Only the option may name a module.

        Raises:
            RowError: kind "no_task".
        """
        given = imported_task(self.task) if self.task else None
        name = str(record.get("task") or "") or (given.name if given else "")
        if given and name == given.name:
            return given
        if name in KNOWN_TASKS:
            return find_task(name)
        if self.any_task and TASK_NAME.fullmatch(name):
            return Task(name=name)
        raise RowError(
            f"the record names {f'task {name!r}, which we do not know' if name else 'no task'}; pass task= with one of "
            f"{', '.join(KNOWN_TASKS)}, or with 'module:NAME' of your own",
            kind="no_task",
        )


def record_shards(src: Path, options: ReadOptions, patterns: Sequence[str], reader: RecordReader) -> list[Shard]:
    """One shard per file: `src` itself, or the files in it that match a pattern."""
    files = (
        [src]
        if src.is_file()
        else sorted({path for pattern in patterns for path in src.glob(pattern) if path.name != REPORT_NAME})
    )
    if not files:
        raise SourceError(f"{src} is no file, and no folder with {' or '.join(patterns)}")
    return [partial(_rows_of, path, Path(options.image_folder or path.parent), reader) for path in files]


def _rows_of(path: Path, folder: Path, reader: RecordReader) -> Iterator[Row | RowError]:
    for number, record in enumerate(read_records(LocalFolder(path.parent), path.name)):
        try:
            if isinstance(record, RowError):
                raise record
            row = checked(reader, record.values, folder, f"{path.stem}-{number:08d}")
        except RowError as error:
            yield RowError(f"{path}, record {number}: {error}", kind=error.kind)
        else:
            yield row


def checked(reader: RecordReader, record: Any, folder: Path, name: str) -> Row:
    """A row by the rules of the record, or RowError."""
    try:
        row = reader(record, folder, name)
    except UnifiedVisualError:
        raise
    except Exception as error:  # whatever a record holds is a bad record
        shown = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise RowError(
            f"not a record of this format ({type(error).__name__}: {error!s:.200}); found {shown}", kind="bad_record"
        ) from error
    check_row(row)
    return row


def legal_id(original: object, otherwise: str) -> str:
    """`original` if it is a legal id, else one made of it and a hash of it, so that different ids stay different."""
    text = str(otherwise if original in (None, "") else original)
    if ID_PATTERN.fullmatch(text) and len(text) <= MAX_ID:
        return text
    plain = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-")[:100]
    return f"{plain}-{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=6).hexdigest()}"


def read_image(folder: Path, name: str) -> EncodedImage:
    """The bytes of a picture below a folder.

    Raises:
        ImageError: kinds "remote_image", "image_outside", "missing_image".
    """
    if "://" in name:
        raise ImageError(f"picture {name!r} is on the network; download it and name the file", kind="remote_image")
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(os.path.normpath(folder)):
        raise ImageError(
            f"picture {name!r} lies outside {folder}; pass image_folder= with the folder that holds all pictures",
            kind="image_outside",
        )
    try:
        if path.exists() and not path.is_file():  # a device or a pipe is read for ever
            raise OSError("it is not a file")
        return EncodedImage(path.read_bytes(), name)
    except (
        OSError,
        ValueError,
    ) as error:  # ValueError: no name that a file can have, with NUL or half a surrogate pair
        raise ImageError(
            f"picture {name!r} cannot be read from {folder}: {getattr(error, 'strerror', None) or error}",
            kind="missing_image",
        ) from error


def foreign_row(
    record: dict[str, Any],
    messages: Sequence[Message],
    images: Sequence[EncodedImage],
    options: ReadOptions,
    name: str,
    kind: str,
) -> Row:
    """A row from a record that holds messages and pictures only; the roles of pictures follow the task.

    Raises:
        RowError: kind "no_task".
    """
    task = options.task_of(record)
    row_id = legal_id(record.get("id"), name)
    return Row(
        id=row_id,
        task=task.name,
        quadrant=quadrant_of(messages),
        messages=tuple(messages),
        images=tuple(images),
        image_roles=image_roles(messages, task),
        image_captions=("",) * len(images),
        instruction=text_of(messages, "user"),
        answer=text_of(messages, "assistant"),
        provenance=json.dumps({"imported_from": kind, "record": name, "id": str(record.get("id", ""))}),
    )
