"""How much alike texts are: distinct ones, distinct runs of three words, sentence frames, near-duplicates."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.generation.runs.duplicates import runs_of
from toolkit.scene.colours import COLOURS
from toolkit.scene.graph import BACKGROUNDS, PATTERNS, SIZES
from toolkit.scene.hints import COLOUR_HINTS, OCCASIONS, SHAPE_HINTS, STYLE_HINTS
from toolkit.scene.language import NUMBERS, PLACE_PHRASES, plural
from toolkit.scene.shapes import SHAPES
from toolkit.scene.styles import STYLES

SLOT = "_"
_PHRASES = (
    *(phrase for ways in PLACE_PHRASES.values() for phrase in ways),
    *(*SHAPE_HINTS.values(), *COLOUR_HINTS.values(), *STYLE_HINTS.values(), *OCCASIONS),
)
_WORDS = {
    *SHAPES,
    *map(plural, SHAPES),
    *(*COLOURS, *SIZES, *PATTERNS, *BACKGROUNDS, *STYLES, *NUMBERS, *_PHRASES),
    *("big", "little", "medium-sized", "thing", "things", "to the left of", "to the right of", "above", "below"),
    *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "kites", "pies", "atlases", "paintings", "shells"),
}
_SLOTS = re.compile(
    rf"\b(?:{'|'.join(sorted(map(re.escape, _WORDS), key=len, reverse=True))}|\d[\d:]*|[A-E]\d)\b", re.I
)
_LISTS = re.compile(
    rf"(?:(?:\b(?:a|an|the|and|with|inside it|{SLOT})\b|,)\s*)*\b{SLOT}\b(?:(?:\s*,)?\s*\b(?:a|an|the|and|{SLOT})\b)*"
)


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """
    Attributes:
        distinct: texts; distinct_3: runs of three words, as a share of all.
        frames: sentences that differ in more than what is named in them: shapes, colours, places, numbers, lists.
        most: share of the most frequent frame.
    """

    count: int
    distinct: int
    distinct_3: float
    frames: int
    most: float


def diversity(texts: Iterable[str]) -> Diversity:
    count, seen, runs, total, frames = 0, set[str](), set[str](), 0, Counter[str]()
    for text in texts:
        count += 1
        seen.add(text)
        mine = runs_of(text)
        runs |= mine
        total += len(mine)
        frames.update(map(frame, sentences(text)))
    most = max(frames.values(), default=0) / max(1, frames.total())
    return Diversity(
        count=count, distinct=len(seen), distinct_3=len(runs) / max(1, total), frames=len(frames), most=most
    )


def sentences(text: str) -> list[str]:
    return [each for each in re.split(r"(?<=[.?!])\s+", text.strip()) if each]


def frame(sentence: str) -> str:
    """A sentence with one mark for what is named in it, however much."""
    return _LISTS.sub(SLOT, _SLOTS.sub(SLOT, sentence).lower())
