"""Other ways to say what the scene engine says, sentence by sentence, so that a thousand questions do not sound alike.

What is said stays the same: every way names all that the first one names. Captions are not among them: they read back
to a graph word by word.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import yaml

from toolkit.scene.language import sentence
from toolkit.scene.streams import Stream

_ONE_OF = {"relation": "to the left of|to the right of|above|below", "be": "was|were"}
_OPENINGS = ("", "", "", "Look closely: ", "Tell me: ", "One question: ", "Please have a look: ", "Quick question: ")


@cache
def ways() -> dict[str, tuple[str, ...]]:
    """A sentence with names in braces -> other ways to say it."""
    text = files(__package__).joinpath("wording.yaml").read_text(encoding="utf-8")
    return {first: tuple(others) for first, others in yaml.safe_load(text).items()}


def reworded(text: str, stream: Stream, *, with_opening: bool = False) -> str:
    """The same, said in one of its ways.

    Args:
        with_opening: the text is a question, before which something may be said.
    """
    told = [_one(each, stream) for each in re.split(r"(?<=[.?!])\s+", text)]
    opening = stream.pick(_OPENINGS) if with_opening else ""
    if opening:
        told[0] = opening + _inner(told[0])
    return " ".join(told)


def _one(text: str, stream: Stream) -> str:
    for pattern, told in _rules():
        if found := pattern.fullmatch(text):
            way = stream.pick(told)
            return sentence(way.format(**{name: _inner(value) for name, value in found.groupdict().items()}))
    return text


def _inner(text: str) -> str:
    """As it stands inside a sentence; names keep their capitals."""
    first = text.partition(" ")[0]
    is_name = first in ("I", *_DAYS) or (len(first) > 1 and first[1:] != first[1:].lower())
    return text if is_name else text[0].lower() + text[1:]


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


@cache
def _rules() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((re.compile("".join(_pattern(first))), (first, *others)) for first, others in ways().items())


def _pattern(template: str) -> Iterator[str]:
    for part in re.split(r"(\{\w+\})", template):
        if part.startswith("{"):
            name = part[1:-1]
            yield f"(?P<{name}>{_ONE_OF.get(name, '.+?')})"
        else:
            yield re.escape(part)
