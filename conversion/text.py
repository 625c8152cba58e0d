"""Messages as one string with placeholders, and back.

A part ends where a line break and the next part begin: "<image>\\nWhat is this?". A literal "<image>" in a text gets a
backslash, "<\\image>"; the escape is reversible whatever the text holds, for a text that already has backslashes there
gets one more. Only tags that the reader knows are escaped; any other text stays as it is.
"""

import re
from collections.abc import Iterable
from functools import cache

from conversion.report import Tally
from toolkit.schema import IMAGE_PART, Message, Part, Row

IMAGE_TAG = "<image>"
IMAGE_ONLY = ("image",)
# What readers of strings take for a picture, a film, a sound or a box.
# Source: llamafactory 0.9.5 extras/constants.py#L24, #L52, #L123; ms-swift 4.6 template/base.py#L58
TAGS = {
    "llama-factory": ("image", "video", "audio"),
    "ms-swift": ("image", "video", "audio", "bbox", "ref-object", "cot-process", "start-image"),
}
# Tokens that a processor puts in for a picture, and control tokens of chat templates: in a text they are read as
# themselves, so a reader sees one picture more, or a turn that ends.
# Source: llamafactory 0.9.5 data/template.py (image_token of its templates)
SPECIAL_TOKEN = re.compile(r"<\|[^|<>\s]+\|>|<image_soft_token>|<IMG_CONTEXT>|</?img>|\[IMG\]")


@cache
def _literal(tags: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"<(\\*)({'|'.join(tags)})>")


def escape(text: str, tags: tuple[str, ...] = IMAGE_ONLY) -> str:
    return _literal(tags).sub(r"<\1\\\2>", text)


def unescape(text: str, tags: tuple[str, ...] = IMAGE_ONLY) -> str:
    """The inverse of `escape` with the same tags."""
    return _literal(tags).sub(lambda found: f"<{found[1][1:]}{found[2]}>", text)


def turn_text(parts: Iterable[Part], tags: tuple[str, ...] = IMAGE_ONLY) -> str:
    """One string, a placeholder for each picture, parts separated by line breaks.

    Args:
        tags: names of all placeholders that the reader knows; in texts they are escaped.
    """
    return "\n".join(IMAGE_TAG if part.type == "image" else escape(part.text, tags) for part in parts)


def turn_parts(text: str, tags: tuple[str, ...] = IMAGE_ONLY) -> tuple[Part, ...]:
    """The inverse of `turn_text`, but for texts that lay side by side, which stay joined, and empty ones, which go."""
    pieces = re.split(r"(\n?<image>\n?)", text)
    parts = (IMAGE_PART if number % 2 else Part("text", unescape(piece, tags)) for number, piece in enumerate(pieces))
    return tuple(part for part in parts if part.type == "image" or part.text)


def texts_of(row: Row) -> list[str]:
    return [part.text for message in row.messages for part in message.content if part.type == "text"]


def has_literal(row: Row, tags: tuple[str, ...] = IMAGE_ONLY) -> bool:
    """Whether a text of the row holds what would read as a placeholder."""
    return any(_literal(tags).search(text) for text in texts_of(row))


def has_special_token(row: Row) -> bool:
    """Whether a text of the row holds what a tokenizer of one model or another reads as a special token."""
    return any(SPECIAL_TOKEN.search(text) for text in texts_of(row))


def has_neighbours(row: Row) -> bool:
    """Whether two texts lie side by side, so that a format of strings joins them."""
    return any(
        first.type == second.type == "text"
        for message in row.messages
        for first, second in zip(message.content, message.content[1:], strict=False)
    )


def count_strings(tally: Tally, row: Row, tags: tuple[str, ...] = IMAGE_ONLY) -> None:
    """What `turn_text` changes of a row."""
    tally.count("flattened", "literal_tag", row.id, has_literal(row, tags))
    tally.count("flattened", "neighbouring_texts", row.id, has_neighbours(row))
    tally.count("flattened", "empty_text", row.id, "" in texts_of(row))


def fold_system(row: Row) -> tuple[Message, ...]:
    """The messages with a system message put in front of the first user message."""
    if row.messages[0].role != "system":
        return row.messages
    system, user, *rest = row.messages
    return (Message("user", (*system.content, *user.content)), *rest)
