"""MinHash: sets of texts -> numbers that near sets share.

Signatures are cut into bands, as many as let two sets of a Jaccard index of at least a threshold share one with a
probability of at least RECALL. Permutations a * h + b mod 2^32 of mixed hashes, those of datasketch 2.0 (scheme
"affine32"), which takes seconds to import.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import xxhash
from numpy.typing import NDArray

NUM_HASHES = 128
RECALL = 0.99
SEED = 1

Hashes = NDArray[np.uint32]


@cache
def band_rows(threshold: float) -> int:
    """Hashes in a band."""
    fitting = [rows for rows in range(1, NUM_HASHES) if 1 - (1 - threshold**rows) ** (NUM_HASHES // rows) >= RECALL]
    return max(fitting, default=1)


def bands(found: Iterable[str], threshold: float) -> list[int]:
    """A number of 64 bits for each band; [] for an empty set."""
    listed = [xxhash.xxh32_intdigest(each.encode("utf-8", "surrogatepass")) for each in found]
    if not listed:
        return []
    values = _signature(np.array(listed, np.uint32)).astype(np.uint64)
    rows = band_rows(threshold)
    return [
        xxhash.xxh64_intdigest(values[start : start + rows].tobytes(), seed=start)
        for start in range(0, NUM_HASHES - rows + 1, rows)
    ]


def _signature(hashes: Hashes) -> Hashes:
    """The least of each permutation of the hashes; (N,) -> (NUM_HASHES,)."""
    factors, terms = _permutations()
    mixed = _mixed(hashes)
    least = np.full(NUM_HASHES, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, len(mixed), 4096):  # 2 MB at once
        permuted = mixed[start : start + 4096, None] * factors + terms
        least = np.minimum(least, permuted.min(axis=0))
    return least


def _mixed(hashes: Hashes) -> Hashes:
    """Source: MurmurHash3.cpp, fmix32, https://github.com/aappleby/smhasher."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))


@cache
def _permutations() -> tuple[Hashes, Hashes]:
    """Factors are odd, so that no two hashes become one."""
    chance = np.random.RandomState(SEED)
    factors = chance.randint(0, 1 << 31, NUM_HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, chance.randint(0, 1 << 32, NUM_HASHES, dtype=np.uint32)
