"""Messages as one string with placeholders, and back.

A part ends where a line break and the next part begin: "<image>\\nWhat is this?". A literal "<image>" in a text gets a
backslash, "<\\image>"; the escape is reversible whatever the text holds, for a text that already has backslashes there
gets one more.
"""

import re
from collections.abc import Iterable

from toolkit.schema import IMAGE_PART, Message, Part, Row

IMAGE_TAG = "<image>"
# What one reader or another takes for a picture, a film, a sound or a box; escaped for all, so that there is one way
# back.
# Source: llamafactory 0.9.5 extras/constants.py#L24; ms-swift 4.6 template/base.py#L58
_LITERAL = re.compile(r"<(\\*)(image|video|audio|bbox|ref-object|cot-process|start-image)>")


def escape(text: str) -> str:
    return _LITERAL.sub(r"<\1\\\2>", text)


def unescape(text: str) -> str:
    return _LITERAL.sub(lambda found: f"<{found[1][1:]}{found[2]}>", text)


def turn_text(parts: Iterable[Part]) -> str:
    """One string, a placeholder for each picture, parts separated by line breaks."""
    return "\n".join(IMAGE_TAG if part.type == "image" else escape(part.text) for part in parts)


def turn_parts(text: str) -> tuple[Part, ...]:
    """The inverse of `turn_text`, but for texts that lay side by side, which stay joined."""
    pieces = re.split(r"(\n?<image>\n?)", text)
    parts = (IMAGE_PART if number % 2 else Part("text", unescape(piece)) for number, piece in enumerate(pieces))
    return tuple(part for part in parts if part.type == "image" or part.text)


def has_literal(row: Row) -> bool:
    """Whether a text of the row holds what would read as a placeholder."""
    return any(_LITERAL.search(part.text) for message in row.messages for part in message.content)


def has_neighbours(row: Row) -> bool:
    """Whether two texts lie side by side, so that a format of strings joins them."""
    return any(
        first.type == second.type == "text"
        for message in row.messages
        for first, second in zip(message.content, message.content[1:], strict=False)
    )


def fold_system(row: Row) -> tuple[Message, ...]:
    """The messages with a system message put in front of the first user message."""
    if row.messages[0].role != "system":
        return row.messages
    system, user, *rest = row.messages
    return (Message("user", (*system.content, *user.content)), *rest)
