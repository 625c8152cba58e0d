"""A simple checker of interleaved documents: reads passages and pictures, and names what does not fit. It knows nothing
of what was planted.
"""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.scene.verify.pixels import read_picture
from toolkit.scene.verify.text import COLOUR_WORDS, SHAPE_WORDS, read_things

Pixels: TypeAlias = npt.NDArray[np.uint8]
_NAMED = re.compile(rf"\b({COLOUR_WORDS}) ({'|'.join(sorted(SHAPE_WORDS, key=len, reverse=True))})\b")


def find_defects(question: str, passages: Sequence[tuple[str, Pixels | None]]) -> set[str]:
    """Which of "swapped", "duplicate", "off_topic", "unanswerable" a document shows.

    Args:
        passages: text, and the picture that follows it, in reading order.
    """
    found = set()
    pictures = [picture.tobytes() for _, picture in passages if picture is not None]
    if len(set(pictures)) < len(pictures):
        found.add("duplicate")
    if any(not named(text) for text, _ in passages):
        found.add("off_topic")
    if any(picture is not None and not _shows(text, picture) for text, picture in passages):
        found.add("swapped")
    if not named([question]) <= named(text for text, _ in passages):
        found.add("unanswerable")
    return found


def named(texts: str | Iterable[str]) -> set[tuple[str, str]]:
    """Colour and shape of everything that is mentioned."""
    return {
        (colour, SHAPE_WORDS[shape])
        for text in ([texts] if isinstance(texts, str) else texts)
        for colour, shape in _NAMED.findall(text.lower())
    }


def _shows(text: str, picture: Pixels) -> bool:
    """Whether everything the text places is in the picture."""
    seen = list(read_picture(picture).things)
    for thing in read_things(text):
        if thing not in seen:
            return False
        seen.remove(thing)
    return True
