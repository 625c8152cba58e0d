"""WebDataset tars back to rows: our lossless samples exactly, and the pairs of a picture and a text that text-to-image
sets hold.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from conversion.formats import Shard
from conversion.importing import ReadOptions, checked, foreign_row
from toolkit.errors import ArchiveError, ImageError, RowError, SourceError, reason_of, shown
from toolkit.parsing import load_json
from toolkit.schema import COLUMNS, IMAGE_PART, EncodedImage, Message, Part, Row
from toolkit.sources.dialects.records import MEMBER
from toolkit.sources.published.members import Watch
from toolkit.sources.published.tars import read_tar

TEXTS = ("txt", "text", "caption")
PICTURES = ("jpg", "jpeg", "png", "webp")

Sample = dict[str, bytes]


def read(src: Path, options: ReadOptions) -> list[Shard]:
    """One shard per tar: `src` itself, or the tars in it."""
    tars = [src] if src.is_file() else sorted(src.glob("*.tar"))
    if not tars:
        raise SourceError(f"{src} is no tar, and no folder with *.tar")
    return [partial(_rows_of, tar, options) for tar in tars]


def _rows_of(tar: Path, options: ReadOptions) -> Iterator[Row | RowError]:
    for key, sample in samples(tar):
        try:
            row = checked(lambda record, folder, name: sample_to_row(record, name, options), sample, tar.parent, key)
        except RowError as error:
            yield RowError(f"{tar}, sample {key!r}: {error}", kind=error.kind)
        else:
            yield row


def samples(tar: Path) -> Iterator[tuple[str, Sample]]:
    """(key, suffix -> content) of members that lie side by side; one sample is held at a time.

    Raises:
        ArchiveError: the tar cannot be opened, is cut off or not a tar, holds a device or a member that is too large,
            or a sample has a member twice.
    """
    key, sample = "", Sample()
    with _opened(tar) as file:
        for member in read_tar(file, str(tar), Watch(on_refused=partial(_refuse, tar))):
            if not (found := MEMBER.match(member.name)):
                continue
            if found[1] != key and sample:
                yield key, sample
                sample = {}
            key = found[1]
            if found[2] in sample:
                raise ArchiveError(f"{tar}: sample {key!r} has two members {found[2]!r}; is a key used twice?")
            sample[found[2]] = member.data
    if sample:
        yield key, sample


def _opened(tar: Path) -> BinaryIO:
    try:
        return tar.open("rb")
    except OSError as error:
        raise ArchiveError(f"{tar}: cannot be opened: {reason_of(error)}") from error


def _refuse(tar: Path, kind: str, name: str) -> None:
    raise ArchiveError(f"{tar}: member {shown(name)}: {kind}; no tar of samples holds one")


def sample_to_row(sample: Sample, key: str, options: ReadOptions) -> Row:
    """
    Raises:
        RowError: kinds "bad_record", "missing_image", "bad_part", "no_task".
    """
    if "json" in sample and "image_names" in (record := _json(sample["json"])):
        return _our_row(record, sample)
    text = next((sample[name] for name in TEXTS if name in sample), None)
    picture = next(((name, sample[name]) for name in PICTURES if name in sample), None)
    if text is None or picture is None:
        raise RowError(
            f"has members {sorted(sample)}; expected our json, or one of {TEXTS} and one of {PICTURES}",
            kind="bad_record",
        )
    messages = (Message("user", (Part("text", text.decode()),)), Message("assistant", (IMAGE_PART,)))
    name, content = picture
    return foreign_row({"id": key}, messages, [EncodedImage(content, f"{key}.{name}")], options, key, "webdataset")


def _json(content: bytes) -> dict[str, object]:
    try:
        record: dict[str, object] = load_json(content)
    except ValueError as error:
        raise RowError(f"its json is not JSON: {error}", kind="bad_record") from error
    return record


def _our_row(record: dict[str, object], sample: Sample) -> Row:
    images: list[bytes] = []
    columns = {column: value for column, value in record.items() if column in COLUMNS}
    for message in columns["messages"]:  # type: ignore[attr-defined]
        for part in message["content"]:
            if part["type"] == "image":
                name = part.pop("image")
                if name not in sample:
                    raise ImageError(
                        f"picture {name!r} is not in the sample; it has {sorted(sample)}", kind="missing_image"
                    )
                images.append(sample[name])
                part["text"] = ""
    names: Any = record["image_names"]
    columns["images"] = [{"bytes": image, "path": path} for image, path in zip(images, names, strict=False)]
    return Row.from_dict(columns)
