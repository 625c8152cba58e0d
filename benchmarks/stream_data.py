"""Rows that stream.py reads: 1 to 4 photographs each, as a packed dataset."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from toolkit.photos import photos
from toolkit.schema import ARROW_SCHEMA, IMAGE_PART, EncodedImage, Message, Part, Row, rows_to_table
from toolkit.sources.manifest import Manifest, Shard

PER_GROUP, PER_SHARD = 50, 250  # rows


def samples(count: int) -> Iterator[tuple[str, list[bytes]]]:
    """Photographs of 512 to 1024 pixels with some grain, about 100 kB each."""
    chance = np.random.default_rng(0)
    pictures = [Image.open(io.BytesIO(photo.bytes)).convert("RGB") for photo in photos()]
    for number in range(count):
        yield (
            f"r-{number:06d}",
            [_jpeg(pictures[int(chance.integers(len(pictures)))], chance) for _ in range(int(chance.integers(1, 5)))],
        )


def _jpeg(picture: Image.Image, chance: np.random.Generator) -> bytes:
    side = int(chance.integers(512, 1025))
    scale = side / max(picture.size)
    pixels = np.asarray(picture.resize((round(picture.width * scale), round(picture.height * scale))), np.int16)
    pixels = pixels + chance.normal(0, 6, (*pixels.shape[:2], 1)).astype(np.int16)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def write_packed(folder: Path, count: int) -> None:
    (folder / "data" / "llava_cot").mkdir(parents=True)
    source, shards = samples(count), []
    for start in range(0, count, PER_SHARD):
        path = folder / "data" / "llava_cot" / f"train-{start // PER_SHARD:05d}.parquet"
        groups = [min(PER_GROUP, count - first) for first in range(start, min(start + PER_SHARD, count), PER_GROUP)]
        with pq.ParquetWriter(path, ARROW_SCHEMA, compression="none", use_dictionary=False) as writer:
            for rows in groups:
                writer.write_table(rows_to_table([row_of(*next(source)) for _ in range(rows)]))
        shards.append(shard_of(folder, path, "llava_cot", groups))
    (folder / "MANIFEST.json").write_text(Manifest(source={}, options={}, shards=tuple(shards)).to_json())


def shard_of(folder: Path, path: Path, task: str, groups: list[int]) -> Shard:
    """What a manifest says of a file, but for what streaming does not look at."""
    return Shard(
        path=path.relative_to(folder).as_posix(),
        task=task,
        rows=sum(groups),
        images=0,
        image_bytes=0,
        bytes=path.stat().st_size,
        sha256="0" * 64,
        row_groups=tuple(groups),
        quadrants={},
    )


def row_of(id_: str, images: list[bytes]) -> Row:
    prompt = Message("user", (*[IMAGE_PART] * len(images), Part("text", "What is this?")))
    pictures = tuple(EncodedImage(data, f"{number}.jpg") for number, data in enumerate(images))
    roles = ("input",) * len(images)
    captions = ("",) * len(images)
    messages = (prompt, Message("assistant", (Part("text", "A place."),)))
    return Row(
        id=id_,
        task="llava_cot",
        quadrant="mm-text",
        messages=messages,
        images=pictures,
        image_roles=roles,
        image_captions=captions,
    )


def encoded_rows(folder: Path) -> list[list[bytes]]:
    """Encoded images of every row of a packed dataset."""
    tables = (pq.read_table(path, columns=["images"]) for path in sorted(folder.rglob("*.parquet")))
    return [[image["bytes"] for image in row["images"]] for table in tables for row in table.to_pylist()]
