"""Random numbers that depend on a seed and a purpose and on nothing else.

Every stream is BLAKE2b in counter mode over its key, so numbers are equal on every platform and Python, and drawing
more for one purpose never shifts another. `random` and numpy's generators are not used: their algorithms, and above all
the order of calls, are not a stable interface.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Stream:
    """An endless sequence of numbers named by (seed, *purpose)."""

    def __init__(self, *purpose: int | str) -> None:
        self._purpose = purpose
        self._key = b""  # made with the first number: many streams are only asked for children
        self._drawn = 0

    def child(self, *purpose: int | str) -> "Stream":
        """Another stream, independent of this one and of how much was drawn from it."""
        return Stream(*self._purpose, *purpose)

    def bits(self) -> int:
        """64 random bits."""
        if not self._drawn:
            self._key = hashlib.blake2b(json.dumps(self._purpose).encode(), digest_size=32).digest()
        self._drawn += 1
        digest = hashlib.blake2b(self._drawn.to_bytes(8, "little"), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "little")

    def below(self, limit: int) -> int:
        """An integer in [0, limit), without modulo bias worth the name (limit / 2**64)."""
        return self.bits() * limit >> 64

    def between(self, low: float, high: float) -> float:
        """A number in [low, high), rounded to 4 decimals so that it survives JSON unchanged."""
        return round(low + (high - low) * (self.bits() / 2**64), 4)

    def chance(self, probability: float) -> bool:
        return self.bits() < probability * 2**64

    def pick(self, items: Sequence[Item]) -> Item:
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Fisher-Yates, on a copy."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        """`count` different items, in random order."""
        return self.shuffled(items)[:count]
