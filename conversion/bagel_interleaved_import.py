"""ThinkMorph's Parquet and Zebra-CoT's JSON Lines back to rows, ours or others'."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from conversion.formats import Shard
from conversion.importing import ReadOptions, foreign_row, read_image, record_shards
from toolkit.errors import ImageError, RowError
from toolkit.images import image_format
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row

# How ThinkMorph's data marks its texts; Zebra-CoT has the second pair around the key of a picture.
THINK, ANSWER = ("<think>", "</think>"), ("<answer>", "</answer>")
DRAW, DRAWN = "<image_start>", "<image_end>"
MARKED = re.compile(
    r"(<image_end>)?(?:<think>(?P<think>.*?)</think>)?(?:<answer>(?P<answer>.*)</answer>)?(<image_start>)?", re.DOTALL
)
PICTURE = re.compile(r"\n?<image_start>\[([^\]]+)\]<image_end>\n?")


def read(src: Path, options: ReadOptions) -> list[Shard]:
    """Shards of either profile; what a record has tells which."""
    return record_shards(src, options, ("*.parquet", "*.jsonl"), partial(record_to_row, options=options))


def record_to_row(record: dict[str, Any], folder: Path, name: str, *, options: ReadOptions) -> Row:
    """
    Raises:
        RowError: kinds "bad_record", "count_mismatch", "no_task", and those of `read_image`.
    """
    if "output_text_list" in record:
        return _thinkmorph(record, name, options)
    return _zebra(record, folder, name, options)


def _thinkmorph(record: dict[str, Any], name: str, options: ReadOptions) -> Row:
    images = [image["bytes"] if isinstance(image, dict) else image for image in record["image_list"]]
    texts = [_unmarked(text) for text in record["output_text_list"]]
    if not 1 <= len(images) <= len(texts) + 1:
        raise RowError(
            f"has {len(images)} pictures and {len(texts)} texts; expected one picture, and at most one after each text",
            kind="count_mismatch",
        )
    (question,) = record["instruction_list"]
    answer: list[Part] = []
    for number, (reason, final) in enumerate(texts):
        answer += [Part("text", reason + final), *([IMAGE_PART] if number + 1 < len(images) else [])]
    messages = (
        Message("user", (IMAGE_PART, *([Part("text", question)] if question else []))),
        Message("assistant", tuple(answer)),
    )
    encoded = [EncodedImage(image, f"{number}.{image_format(image) or 'bin'}") for number, image in enumerate(images)]
    row = foreign_row(record, messages, encoded, options, name, "thinkmorph")
    return _told_apart(row, "\n".join(reason for reason, _ in texts if reason), texts[-1][1])


def _unmarked(text: str) -> tuple[str, str]:
    """Reasoning and answer of a text; one without marks is reasoning."""
    found = MARKED.fullmatch(text)
    if found and (found["think"] is not None or found["answer"] is not None):
        return found["think"] or "", found["answer"] or ""
    return text.removeprefix(DRAWN).removesuffix(DRAW), ""


def _zebra(record: dict[str, Any], folder: Path, name: str, options: ReadOptions) -> Row:
    question, trace, final = (record[key] for key in ("Question", "Text Reasoning Trace", "Final Answer"))
    keys: list[str] = []
    messages = (
        Message("user", _parts(question, keys)),
        Message("assistant", (*_parts(trace, keys), *([Part("text", final)] if final else []))),
    )
    images = [_image(record, key, folder) for key in keys]
    row = foreign_row(record, messages, images, options, name, "zebra-cot")
    return _told_apart(row, "\n".join(part.text for part in _parts(trace, []) if part.type == "text"), final)


def _parts(text: str, keys: list[str]) -> tuple[Part, ...]:
    """Texts and pictures of a text with references; adds the keys of the pictures."""
    pieces = PICTURE.split(text)  # every second is a key
    keys += pieces[1::2]
    parts = (IMAGE_PART if number % 2 else Part("text", piece) for number, piece in enumerate(pieces))
    return tuple(part for part in parts if part.type == "image" or part.text)


def _image(record: dict[str, Any], key: str, folder: Path) -> EncodedImage:
    if not record.get(key):
        raise ImageError(f"refers to picture {key!r}, but has no such key", kind="missing_image")
    return read_image(folder, record[key])


def _told_apart(row: Row, rationale: str, answer: str) -> Row:
    return replace(row, rationale=rationale, answer=answer) if rationale and answer else row
