"""Shares with intervals, and tests of differences. Everything is seeded: the same results give the same figures."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
LEVEL = 0.95
_EXACT_UP_TO = 14  # pairs: 2**14 sign flips are counted one by one


class Share(NamedTuple):
    """A mean and its percentile bootstrap interval (Efron 1979) at `LEVEL`."""

    mean: float
    low: float
    high: float


def share(values: Sequence[float], seed: int = 0) -> Share:
    """The mean of some values, resampled with replacement; of none, it is 0."""
    if not values:
        return Share(0.0, 0.0, 0.0)
    found = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(found), (RESAMPLES, len(found)))
    low, high = np.quantile(found[draws].mean(axis=1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Share(float(found.mean()), float(low), float(high))


class Test(NamedTuple):
    """A paired sign-flip permutation test, two-sided (Fisher; Good, Permutation Tests).

    Attributes:
        difference: mean of the second minus mean of the first.
        p: how often flipping the signs of the differences at random gives one at least as large.
        n: pairs.
        least_p: the smallest p that so many pairs can give: with 3 seeds nothing is below 0.25.
    """

    difference: float
    p: float
    n: int
    least_p: float


def paired(one: Sequence[float], other: Sequence[float], seed: int = 0) -> Test:
    """Whether `other` differs from `one`, value by value: seeds, or items that both have answered.

    Raises:
        ValueError: not as many of the one as of the other, or none.
    """
    if len(one) != len(other) or not one:
        raise ValueError(f"{len(one)} and {len(other)} values; expected pairs")
    gaps = np.asarray(other, dtype=np.float64) - np.asarray(one, dtype=np.float64)
    signs: npt.NDArray[np.float64]
    if len(gaps) <= _EXACT_UP_TO:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(gaps))))
        least = 2 / len(signs)
        p = float((np.abs((signs * gaps).mean(axis=1)) >= abs(gaps.mean()) - 1e-12).mean())
    else:
        signs = np.random.default_rng(seed).choice((-1.0, 1.0), (10_000, len(gaps)))
        least = 1 / 10_001
        p = float((1 + (np.abs((signs * gaps).mean(axis=1)) >= abs(gaps.mean()) - 1e-12).sum()) / 10_001)
    return Test(float(gaps.mean()), p, len(gaps), min(least, 1.0))
