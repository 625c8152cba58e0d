"""Messages back to rows: our lossless file exactly; any other file of OpenAI blocks, or of strings with <image>, as far
as it goes.
"""

import base64
import binascii
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from conversion.formats import Shard
from conversion.importing import ReadOptions, foreign_row, read_image, record_shards
from conversion.report import REPORT_NAME, Report
from conversion.text import IMAGE_ONLY, TAGS, turn_parts
from toolkit.errors import ImageError, RowError, shown
from toolkit.schema import COLUMNS, IMAGE_PART, EncodedImage, Message, Part, Row, table_to_rows
from toolkit.sources.parquet import open_parquet
from toolkit.sources.repository import LocalFolder


def read(src: Path, options: ReadOptions) -> list[Shard]:
    if tables := [src] if src.suffix == ".parquet" else sorted(src.glob("*.parquet")):
        return [partial(_table_rows, table) for table in tables]
    reader = partial(record_to_row, options=options, tags=_escaped_tags(src if src.is_dir() else src.parent))
    return record_shards(src, options, ("*.jsonl",), reader)


def _escaped_tags(folder: Path) -> tuple[str, ...]:
    """What was escaped in a file of strings: our report beside it says for whom it was written."""
    report = folder / REPORT_NAME
    profile = Report.read(report).options.get("profile") if report.is_file() else None
    return TAGS.get(str(profile), IMAGE_ONLY)


def _table_rows(path: Path) -> Iterator[Row]:
    with open_parquet(LocalFolder(path.parent), path.name) as file:
        for batch in file.iter_batches(batch_size=16, columns=list(COLUMNS), use_threads=False):
            yield from table_to_rows(pa.Table.from_batches([batch]))


def record_to_row(
    record: dict[str, Any], folder: Path, name: str, *, options: ReadOptions, tags: tuple[str, ...] = IMAGE_ONLY
) -> Row:
    """
    Raises:
        RowError: kinds "bad_part", "count_mismatch", "no_task", "bad_image_url", and those of `read_image`.
    """
    urls: list[str] = []
    messages = [Message(message["role"], _parts(message["content"], urls, tags)) for message in record["messages"]]
    # strings name their pictures in a list beside the messages
    images = [_image(folder, url) for url in urls or record.get("images") or []]
    if "image_names" not in record:
        return foreign_row(record, messages, images, options, name, "messages")
    columns = {column: value for column, value in record.items() if column in COLUMNS}
    columns["messages"] = [{"role": m.role, "content": [p._asdict() for p in m.content]} for m in messages]
    columns["images"] = [
        {"bytes": image.bytes, "path": path} for image, path in zip(images, record["image_names"], strict=False)
    ]
    return Row.from_dict(columns)


def _parts(content: str | list[dict[str, Any]], urls: list[str], tags: tuple[str, ...]) -> tuple[Part, ...]:
    if isinstance(content, str):
        return turn_parts(content, tags)
    parts: list[Part] = []
    for block in content:
        if block["type"] == "image_url":
            urls.append(block["image_url"]["url"])
            parts.append(IMAGE_PART)
        elif block["type"] == "text":
            parts.append(Part("text", block["text"]))
        else:
            raise RowError(f"a block has type {block['type']!r}; expected 'text' or 'image_url'", kind="bad_part")
    return tuple(parts)


def _image(folder: Path, url: str) -> EncodedImage:
    if not url.startswith("data:"):
        return read_image(folder, url)
    try:
        return EncodedImage(base64.b64decode(url.split(",", 1)[1], validate=True))
    except (IndexError, binascii.Error) as error:
        raise ImageError(f"a data: URL is not base64: {shown(url)}", kind="bad_image_url") from error
