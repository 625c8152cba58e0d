"""Text that comes from data, made harmless in Markdown without losing any of it."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

# All but letters, digits, blanks, a few marks that mean nothing inside a line, "." before a digit, ":" before anything
# but "/", "_" inside a word.
_ACTIVE = re.compile(r"[^A-Za-z0-9 ,;/()=+_.:-]|\.(?!\d)|:(?=/)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
LINE = 120
_INVISIBLE = (
    "Cc",
    "Cf",
    "Zl",
    "Zp",
    "Cs",
)  # control, format (also text direction), line and paragraph separators, lone surrogates


def inline(value: object) -> str:
    """Text for a table cell or a sentence: what could be markup, HTML or a link becomes a character reference, what
    cannot be seen a JSON escape.
    """
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", _visible(str(value)))


def code_json(value: Any) -> str:
    """A fenced block of JSON that nothing inside can close: every line starts with a bracket, a blank or a quote, and
    line breaks are escaped.
    """
    lines = (_visible(line) for line in _layout(value).split("\n"))
    return "\n".join(("```json", *lines, "```"))


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose cells are Markdown already; integers are grouped and set to the right."""
    listed = list(rows)
    is_number = [bool(listed) and all(isinstance(row[n], int) for row in listed) for n in range(len(header))]
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in listed]
    marks = ["---:" if number else "---" for number in is_number]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, marks, *cells))


def _layout(value: Any, indent: str = "") -> str:
    """JSON in which whatever fits stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= LINE or not value or not isinstance(value, dict | list):
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        items, (start, end) = (
            [f"{json.dumps(key, ensure_ascii=False)}: {_layout(item, deeper)}" for key, item in value.items()],
            "{}",
        )
    else:
        items, (start, end) = [_layout(item, deeper) for item in value], "[]"
    return f"{start}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{end}"


def _visible(text: str) -> str:
    return "".join(
        json.dumps(character)[1:-1] if unicodedata.category(character) in _INVISIBLE else character
        for character in text
    )
