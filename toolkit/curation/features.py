"""What is compared of rows and of benchmarks, a file for each shard: texts with their bands, pictures with their
hashes. A picture that a shard holds twice is decoded once.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from toolkit.curation.inputs import check_shards
from toolkit.curation.look import Piece, TableWriter, read_columns
from toolkit.curation.texts import runs, words
from toolkit.errors import ImageError
from toolkit.executors import Tell
from toolkit.images import decode_image
from toolkit.images.hash import phash_of, thumbnail
from toolkit.minhash import bands
from toolkit.staging.files import whole_file

ITEMS, PICTURES = "items.parquet", "pictures.parquet"
BATCH = 256
COMPARED = ("instruction", "rationale", "answer")
ITEM_SCHEMA = pa.schema(
    [
        ("piece", pa.int32()),
        ("row", pa.int32()),
        ("id", pa.string()),  # of a benchmark: where the item stands
        ("task", pa.string()),
        ("source", pa.string()),
        ("license", pa.string()),
        ("split", pa.string()),
        ("text", pa.string()),
        ("text_sha256", pa.string()),
        ("bands", pa.list_(pa.uint64())),
        ("asked", pa.string()),  # the instruction alone, which benchmarks have too
        ("asked_sha256", pa.string()),
        ("asked_bands", pa.list_(pa.uint64())),
        ("asked_words", pa.int32()),
        ("images", pa.list_(pa.string())),  # sha256 of each
    ]
)
PICTURE_SCHEMA = pa.schema(
    [
        ("piece", pa.int32()),
        ("sha256", pa.string()),
        ("phash", pa.uint64()),  # null: it cannot be decoded
        ("tint", pa.int32()),  # mean of the thumbnail, RGB: what is sorted by where many hashes are the same
        ("thumbnail", pa.binary(768)),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row, or an item of a benchmark.

    Attributes:
        texts: what is compared within a dataset; "" for a benchmark.
        asked: what is compared with a benchmark.
        images: encoded.
    """

    row: int
    id: str
    asked: str
    images: Sequence[bytes]
    texts: str = ""
    task: str = ""
    source: str = ""
    license: str = ""
    split: str = ""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """
    Attributes:
        threshold: of the Jaccard index of texts.
        pictures: whether near pictures are looked for, so that they must be decoded.
        benchmark: whether there is one.
    """

    threshold: float
    pictures: bool
    benchmark: bool


def items_of(piece: Piece) -> Iterator[Item]:
    """Rows of a shard."""
    check_shards(piece.source.repository, [piece.shard])
    columns = ["id", "task", "source", "license", *COMPARED, "images"]
    number = 0
    for batch in read_columns(piece, columns):
        texts = batch.select(columns[:-1]).to_pylist()
        for row, pictures in zip(texts, batch["images"], strict=True):
            yield Item(
                row=number,
                texts="\n".join(row[name] for name in COMPARED if row[name]),
                asked=row["instruction"],
                images=[each["bytes"].as_py() or b"" for each in pictures],
                split=piece.split,
                **{name: row[name] for name in columns[:4]},
            )
            number += 1


Items = Callable[[], Iterable[Item]]


def describe(pieces: Sequence[Items], how: Compared, unit: int, folder: Path, tell: Tell) -> dict[str, int]:
    """Write `items.parquet` and `pictures.parquet` of a piece; returns how many items, and pictures that cannot be
    decoded.
    """
    counts = {"items": 0, "undecodable": 0}
    seen: set[str] = set()
    with (
        whole_file(folder / ITEMS) as item_file,
        whole_file(folder / PICTURES) as picture_file,
        TableWriter(item_file) as items,
        TableWriter(picture_file) as pictures,
    ):
        items.write(ITEM_SCHEMA.empty_table())
        pictures.write(PICTURE_SCHEMA.empty_table())
        for batch in _batched(pieces[unit]()):
            new = []
            lines = []
            for item in batch:
                listed = [hashlib.sha256(image).hexdigest() for image in item.images]
                lines.append(_item_line(item, listed, unit, how))
                for sha256, image in zip(listed, item.images, strict=True):
                    if sha256 not in seen:
                        seen.add(sha256)
                        new.append({"piece": unit, **_picture_line(sha256, image, how)})
            counts["items"] += len(lines)
            counts["undecodable"] += sum(line["phash"] is None for line in new) if how.pictures else 0
            items.write(pa.Table.from_pylist(lines, schema=ITEM_SCHEMA))
            pictures.write(pa.Table.from_pylist(new, schema=PICTURE_SCHEMA))
    return counts


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    waiting: list[Item] = []
    for item in items:
        waiting.append(item)
        if len(waiting) == BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _item_line(item: Item, images: list[str], piece: int, how: Compared) -> dict[str, Any]:
    return {
        "piece": piece,
        **{name: getattr(item, name) for name in ("row", "id", "task", "source", "license", "split")},
        "text": item.texts,
        "text_sha256": _sha256(item.texts),
        "bands": bands(runs(item.texts), how.threshold) if item.texts else [],
        "asked": item.asked if how.benchmark else "",
        "asked_sha256": _sha256(item.asked) if how.benchmark else "",
        "asked_bands": bands(runs(item.asked), how.threshold) if how.benchmark else [],
        "asked_words": len(words(item.asked)) if how.benchmark else 0,
        "images": images,
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _picture_line(sha256: str, image: bytes, how: Compared) -> dict[str, Any]:
    line: dict[str, Any] = {"sha256": sha256, "phash": None, "tint": None, "thumbnail": None}
    if how.pictures:
        try:
            picture = decode_image(image, "picture")
        except ImageError:
            return line
        small = thumbnail(picture)
        tint = sum((sum(small[channel::3]) // 256) << shift for channel, shift in enumerate((16, 8, 0)))
        line |= {"phash": phash_of(picture), "tint": tint, "thumbnail": small}
    return line
