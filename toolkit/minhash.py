"""MinHash: sets of texts -> numbers that near sets share.

Signatures are cut into bands, as many as let two sets of a Jaccard index of at least a threshold share one with a
probability of at least RECALL.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np

from toolkit.errors import MissingExtra

NUM_HASHES = 128
RECALL = 0.99


@cache
def band_rows(threshold: float) -> int:
    """Hashes in a band."""
    fitting = [rows for rows in range(1, NUM_HASHES) if 1 - (1 - threshold**rows) ** (NUM_HASHES // rows) >= RECALL]
    return max(fitting, default=1)


def bands(found: Iterable[str], threshold: float) -> list[int]:
    """A number of 64 bits for each band; [] for an empty set.

    Raises:
        MissingExtra: datasketch is not installed.
    """
    listed = sorted(found)
    if not listed:
        return []
    empty = _empty_signature()
    import xxhash

    signature = empty.copy()
    signature.update_batch([each.encode("utf-8", "surrogatepass") for each in listed])
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
