"""What goes to a terminal is text and nothing else."""

import io
import re
import sys

from toolkit.errors import reason_of

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def escape_what_cannot_be_written() -> None:
    """Characters that standard output has none for, because it is not UTF-8, are written as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def visible(text: str) -> str:
    """Text in which control characters, which a terminal would obey, are escapes; line breaks and tabs stay."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def in_words(error: OSError | RecursionError) -> str:
    """What the system refused, and why, without its number."""
    if isinstance(error, RecursionError):
        return "a path, or a value in a file, is nested more deeply than Python follows: about 1,000 levels"
    paths = " -> ".join(str(path) for path in (error.filename, error.filename2) if path is not None)
    return f"{paths}: {reason_of(error)}" if paths else reason_of(error)
