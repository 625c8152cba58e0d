"""Texts -> what near texts share: runs of words, and MinHash signatures of them cut into bands.

Two texts are near if the Jaccard index of their sets of runs is at least a threshold. Texts that share a band are
compared; there are as many bands as find at least RECALL of the pairs at the threshold.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from toolkit.errors import MissingExtra

RUN = 3  # words
NUM_HASHES = 128
RECALL = 0.99
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


@cache
def band_rows(threshold: float) -> int:
    """Hashes in a band."""
    fitting = [rows for rows in range(1, NUM_HASHES) if 1 - (1 - threshold**rows) ** (NUM_HASHES // rows) >= RECALL]
    return max(fitting, default=1)


def bands(found: Iterable[str], threshold: float) -> list[int]:
    """A number of 64 bits for each band; [] for no runs at all."""
    listed = sorted(found)
    if not listed:
        return []
    import xxhash

    signature = _empty_signature().copy()
    signature.update_batch([run.encode("utf-8", "surrogatepass") for run in listed])
    values = np.asarray(signature.hashvalues, np.uint64)
    rows = band_rows(threshold)
    return [
        xxhash.xxh64_intdigest(values[start : start + rows].tobytes(), seed=start)
        for start in range(0, NUM_HASHES - rows + 1, rows)
    ]


@cache
def _empty_signature() -> Any:
    try:
        import xxhash
        from datasketch import MinHash
    except ImportError as error:
        raise MissingExtra(error.name or "datasketch", "curate") from None
    return MinHash(num_perm=NUM_HASHES, seed=1, hashfunc=xxhash.xxh32_intdigest)
