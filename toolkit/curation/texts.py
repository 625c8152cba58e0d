"""Texts -> runs of words, by which they are compared: two are near if the Jaccard index of their sets of runs is at
least a threshold. toolkit/minhash.py finds those worth comparing.
"""

import re
import unicodedata

RUN = 3  # words
# Scripts without spaces between words: each character counts as one.
WORD = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]|[^\\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]+"
)


def words(text: str) -> list[str]:
    """Without case, punctuation and forms of the same character (Unicode NFKC)."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def runs(text: str) -> set[str]:
    """Runs of RUN words; all words where there are fewer, nothing where there are none."""
    found = words(text)
    return {" ".join(found[start : start + RUN]) for start in range(max(len(found) - RUN + 1, 1))} - {""}


def jaccard(one: set[str], other: set[str]) -> float:
    """1.0 where both are empty."""
    return len(one & other) / len(one | other) if one or other else 1.0
