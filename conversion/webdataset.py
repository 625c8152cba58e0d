"""WebDataset: tar files whose members of one key make a sample.

    rows   <id>.json, <id>.0.jpg, <id>.1.png ...   lossless: the JSON holds every column, its picture parts name their
           members
    pairs  <id>-<n>.jpg, <id>-<n>.txt              a picture and its text, for text-to-image trainers; one sample per
           output picture

Keys hold no dot, for readers cut a member's name at the first. features.json names every member that occurs, because
`datasets` would otherwise guess from five samples and drop what those lack.

Source: https://github.com/webdataset/webdataset src/webdataset/tariterators.py#L25; datasets 5.2
packaged_modules/webdataset/webdataset.py#L79
"""

import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from conversion.energon import COOKER, DATASET_YAML, PREPARE, PREPARE_NOTES, split_yaml
from conversion.formats import ALL_COLUMNS, Format, Holds, choose
from conversion.importing import ReadOptions
from conversion.pairs import check_pair_options, count_pairs, output_pairs, refuse
from conversion.report import Report
from conversion.shard import Notes, ShardFolder, json_line, suffix_of
from conversion.webdataset_import import read
from toolkit.errors import ImageError
from toolkit.images import decode_image
from toolkit.schema import Row
from toolkit.sizes import read_bytes
from toolkit.staging.files import write_whole

JPEG_QUALITY = 95  # the highest that Pillow's documentation advises
PAIR_SUFFIXES = ("jpg", "png", "webp")  # Source: https://github.com/showlab/Show-o@45a5a2d training/data.py#L185
WRITE_BACK = (
    32 << 20
)  # bytes after which the disk is told to start; the flush at the end then finds little left to wait for
END = b"\0" * 1024  # two empty blocks end a tar
EMPTY = tarfile.TarInfo().tobuf(tarfile.PAX_FORMAT)  # name at 0, size at 124 in 11 octal digits, checksum at 148
EMPTY_SUM = sum(EMPTY[:148]) + 8 * ord(" ") + sum(EMPTY[156:])
NAME_BYTES, MAX_SIZE = 100, 0o77777777777


@dataclass(frozen=True, kw_only=True)
class Options:
    """
    Attributes:
        profile: "rows" or "pairs".
        shard_size: a tar is ended once it is larger than this: bytes, or a text as "500MB".
        text: profile pairs: "instruction" or "caption".
        input_images: profile pairs: "error" or "drop", for pictures in the prompt.
        images: profile pairs: "original" bytes, or "jpg": what is no JPEG is encoded anew, with a loss, and counted.
    """

    ONLY: ClassVar = {"text": ("pairs",), "input_images": ("pairs",), "images": ("pairs",)}
    profile: str = "rows"
    shard_size: int | str = "500MB"
    text: str = "instruction"
    input_images: str = "error"
    images: str = "original"

    def __post_init__(self) -> None:
        check_pair_options(self, PROFILES)
        choose("images", self.images, ("original", "jpg"))
        read_bytes(self.shard_size)


PROFILES = {
    "rows": Holds(
        consumers="webdataset, datasets (with features.json), Megatron-Energon (with the cooker beside the tars)",
        use='`webdataset.WebDataset(glob.glob("OUT/*.tar"))`; `datasets.load_dataset("OUT")`; for Megatron-Energon '
        f"`{PREPARE}`, and the `COOKERS` of `OUT/cooker.py` in your task encoder",
        trained="what the trainer chooses; the roles of messages and pictures are in the JSON",
        lossless=True,
        prompt_images="any number, anywhere",
        answer_images="any number, anywhere",
        trains_output_images=True,
        columns=ALL_COLUMNS,
        notes=(
            "the JSON names the members; do not rely on their order",
            '`load_dataset("webdataset", ...)` needs the features of features.json: without them it fails, or drops '
            "pictures in silence",
            *PREPARE_NOTES,
        ),
    ),
    "pairs": Holds(
        consumers="text-to-image trainers: Show-o; BLIP3o with `images=jpg`",
        use="name the tars in `train_t2i_shards_path_or_url` of Show-o's config, in `data_files` of BLIP3o's "
        "blip3o/data/dataset.py",
        trained="the picture; not its text",
        prompt_images="none",
        answer_images="one a sample",
        trains_output_images=True,
        columns=("id", "instruction", "images"),
        notes=(
            "BLIP3o fails on tars with another picture than jpg: pass `images=jpg`; without it such rows are counted "
            "under warned",
            f"`images=jpg` encodes others anew, quality {JPEG_QUALITY}, over white; counted as `images_changed`",
        ),
    ),
}


class TarShards:
    """Numbered tars with members of one date and owner, so that the same rows give the same bytes."""

    def __init__(self, shard: ShardFolder, max_bytes: int) -> None:
        self.names: list[str] = []
        self._shard, self._max_bytes, self._size = shard, max_bytes, 0
        self._file: BinaryIO | None = None

    def write(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Adds the members of one sample to one tar, side by side."""
        file = self._file if self._file and self._size < self._max_bytes else self._next()
        before = self._size
        for name, content in members:
            self._size += _write_member(file, name, content)
        if self._size // WRITE_BACK > before // WRITE_BACK and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        if self._file:
            self._file.write(END)
            self._file.close()

    def _next(self) -> BinaryIO:
        self.close()
        self.names.append(f"train-{self._shard.number:05d}-{len(self.names):03d}.tar")
        self._file, self._size = self._shard.open(self._shard.path(self.names[-1])), 0
        return self._file


def _write_member(file: BinaryIO, name: str, content: bytes) -> int:
    """Bytes written."""
    pieces = (_header(name, len(content)), content, b"\0" * (-len(content) % tarfile.BLOCKSIZE))
    file.writelines(pieces)
    return sum(map(len, pieces))


def _header(name: str, size: int) -> bytes:
    """Of a member with date 0 and no owner: the bytes of tarfile, where they are one block in a tenth of its time.

    Source: POSIX.1-1988, ustar.
    """
    if len(name) > NAME_BYTES or size > MAX_SIZE or not name.isascii():
        info = tarfile.TarInfo(name)
        info.size = size
        return info.tobuf(tarfile.PAX_FORMAT)
    stored, digits = name.encode("ascii"), b"%011o" % size
    checksum = EMPTY_SUM + sum(stored) + sum(digits) - sum(EMPTY[124:135])
    return b"".join(
        (stored.ljust(NAME_BYTES, b"\0"), EMPTY[100:124], digits, EMPTY[135:148], b"%06o\0 " % checksum, EMPTY[156:])
    )


class WebDatasetWriter:
    def __init__(self, shard: ShardFolder, options: Options) -> None:
        self.shard, self.options = shard, options
        self.tars = TarShards(shard, read_bytes(options.shard_size))
        self.fields: set[str] = set()

    def write(self, row: Row) -> None:
        samples = [self._row_sample(row)] if self.options.profile == "rows" else self._pair_samples(row)
        for sample in samples:
            self.tars.write(sample)
            self.fields.update(name.split(".", 1)[1] for name, _ in sample)
        self.shard.tally.records_out += len(samples)

    def close(self) -> Notes:
        self.tars.close()
        return {"fields": sorted(self.fields), "tars": self.tars.names}

    def _row_sample(self, row: Row) -> list[tuple[str, bytes]]:
        members = [(f"{number}.{suffix_of(image)}", image.bytes) for number, image in enumerate(row.images)]
        self.shard.tally.images_out += len(members)
        record = sample_record(row, [name for name, _ in members])
        return [(f"{row.id}.json", json_line(record)), *((f"{row.id}.{name}", content) for name, content in members)]

    def _pair_samples(self, row: Row) -> list[list[tuple[str, bytes]]]:
        pairs = output_pairs(row, text=self.options.text, input_images=self.options.input_images)
        pictures = [self._picture(row, pair.image) for pair in pairs]
        count_pairs(self.shard.tally, row, pairs)
        self.shard.tally.images_out += len(pairs)
        self.shard.tally.count("warned", "not_jpg", row.id, any(suffix != "jpg" for suffix, _ in pictures))
        changed = sum(
            content is not row.images[pair.image].bytes for pair, (_, content) in zip(pairs, pictures, strict=True)
        )
        self.shard.tally.count("images_changed", "encoded_as_jpg", row.id, changed)
        keys = [f"{row.id}-{pair.image}" for pair in pairs]
        return [
            [(f"{key}.{suffix}", content), (f"{key}.txt", pair.text.encode())]
            for key, (suffix, content), pair in zip(keys, pictures, pairs, strict=True)
        ]

    def _picture(self, row: Row, number: int) -> tuple[str, bytes]:
        """Suffix and bytes."""
        image = row.images[number]
        suffix = suffix_of(image)
        if self.options.images == "jpg":
            return "jpg", image.bytes if suffix == "jpg" else as_jpeg(row, number)
        if suffix not in PAIR_SUFFIXES:
            raise refuse(
                row,
                "picture_format",
                f"an output picture is {suffix!r}; text-to-image trainers read {', '.join(PAIR_SUFFIXES)}; pass "
                "images='jpg' to encode it anew",
            )
        return suffix, image.bytes


def as_jpeg(row: Row, number: int) -> bytes:
    """`row.images[number]` as a JPEG; what is transparent becomes white.

    Raises:
        RowError: kind "picture_format", it cannot be decoded.
    """
    try:
        picture = decode_image(row.images[number].bytes, f"{row.task}: row {row.id!r}: images[{number}]")
    except ImageError as error:
        raise refuse(row, "picture_format", f"an output picture cannot be encoded as JPEG: {error}") from error
    file = io.BytesIO()
    picture.save(file, "jpeg", quality=JPEG_QUALITY, subsampling=0)  # 0: colours as sharp as brightness
    return file.getvalue()


def sample_record(row: Row, members: Sequence[str]) -> dict[str, Any]:
    """Every column of the row; its picture parts name their members: {"type": "image", "image": "0.jpg"}."""
    columns = row.to_dict()
    names = iter(members)
    for message in columns["messages"]:
        message["content"] = [
            part if part["type"] == "text" else {"type": "image", "image": next(names)} for part in message["content"]
        ]
    columns["image_names"] = [image["path"] for image in columns.pop("images")]
    return columns


def finish(out: Path, notes: Sequence[Notes], options: Options, report: Report) -> None:
    write_whole(out / "features.json", json.dumps(hf_features(_fields(notes)), indent=2) + "\n")
    if options.profile == "rows":
        tars = [name for note in notes for name in note["tars"]]
        write_whole(out / ".nv-meta" / "dataset.yaml", DATASET_YAML)
        write_whole(out / ".nv-meta" / "split.yaml", split_yaml(tars))
        write_whole(out / "cooker.py", COOKER)


def front_matter(notes: Sequence[Notes], options: Options) -> dict[str, Any]:
    """For load_dataset(<this folder, or a Hub repository that holds it>)."""
    features = hf_features(_fields(notes)).items()
    kinds = {name: feature.get("dtype") or feature["_type"].lower() for name, feature in features}
    return {
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "*.tar"}]}],
        "dataset_info": {"features": [{"name": name, "dtype": kind} for name, kind in kinds.items()]},
    }


def _fields(notes: Sequence[Notes]) -> list[str]:
    """Every suffix that occurs, texts first, pictures in the order of their numbers."""
    fields = {field for note in notes for field in note["fields"]}
    return sorted(fields, key=lambda name: ("." in name, len(name), name))


# Suffix -> the feature `datasets` reads it with; any other is a picture.
_FEATURES = {
    "json": {"_type": "Json"},
    "txt": {"dtype": "string", "_type": "Value"},
    "bin": {"dtype": "binary", "_type": "Value"},
}
_KEYS = ("__key__", "__url__")


def hf_features(fields: Sequence[str]) -> dict[str, Any]:
    """For load_dataset("webdataset", data_files=..., features=Features.from_dict(json.load(...)))."""
    columns = {name: _FEATURES.get(name.rsplit(".", 1)[-1], {"_type": "Image"}) for name in fields}
    return {**columns, **dict.fromkeys(_KEYS, _FEATURES["txt"])}


FORMAT = Format(
    name="webdataset",
    options=Options,
    profiles=PROFILES,
    writer=WebDatasetWriter,
    finish=finish,
    front_matter=front_matter,
    read=read,
    read_options=ReadOptions,
)
