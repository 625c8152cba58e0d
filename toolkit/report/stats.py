"""Rows -> what they hold, in one pass and little memory: counts, and a bounded sample of every measure for its
quantiles.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from toolkit.errors import ImageError
from toolkit.images import image_format, image_size
from toolkit.schema import IMAGE_ROLES, Row
from toolkit.tasks import NOT_STATED

SAMPLE = 10_000
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Sample:
    """Exact least, largest, count and sum; quantiles from a uniform sample of at most SAMPLE values (reservoir
    sampling, seeded).
    """

    def __init__(self) -> None:
        self.count, self.sum = 0, 0.0
        self._kept: list[float] = []
        self._least, self._largest = float("inf"), float("-inf")
        self._chance = random.Random(0)

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self._least, self._largest = min(self._least, value), max(self._largest, value)
        if len(self._kept) < SAMPLE:
            self._kept.append(value)
        elif (place := self._chance.randrange(self.count)) < SAMPLE:
            self._kept[place] = value

    @property
    def values(self) -> tuple[float, ...]:
        """The sample. Measures that are added to together keep the same items, in the same order."""
        return tuple(self._kept)

    def quantiles(self) -> list[float]:
        """Least, quartiles, largest."""
        if not self._kept:
            return []
        ordered = sorted(self._kept)
        inner = [ordered[round(q * (len(ordered) - 1))] for q in QUANTILES[1:-1]]
        return [self._least, *inner, self._largest]


@dataclass(kw_only=True)
class TaskStats:
    """Of one task. Sizes in pixels and bytes, text in characters."""

    rows: int = 0
    quadrants: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)
    roles: Counter[str] = field(default_factory=Counter)  # images per role
    formats: Counter[str] = field(default_factory=Counter)
    images_per_row: Counter[int] = field(default_factory=Counter)
    roles_per_row: defaultdict[str, Counter[int]] = field(
        default_factory=lambda: defaultdict(Counter)
    )  # role -> images of it in a row -> rows
    unreadable_images: int = 0
    measures: defaultdict[str, Sample] = field(default_factory=lambda: defaultdict(Sample))

    def add(self, row: Row) -> None:
        self.rows += 1
        self.quadrants[row.quadrant] += 1
        self.origins[row.origin] += 1
        self.licenses[f"{row.source or NOT_STATED}: {row.license or NOT_STATED}"] += 1
        self.roles.update(row.image_roles)
        self.images_per_row[len(row.images)] += 1
        for role in IMAGE_ROLES:
            self.roles_per_row[role][row.image_roles.count(role)] += 1
        for name in ("instruction", "rationale", "answer"):
            self.measures[f"{name} characters"].add(len(getattr(row, name)))
        for image in row.images:
            self._add_image(image.bytes or b"")

    def _add_image(self, data: bytes) -> None:
        self.formats[image_format(data) or "unknown"] += 1
        self.measures["image bytes"].add(len(data))
        try:
            width, height = image_size(data)
        except ImageError:
            self.unreadable_images += 1
            return
        self.measures["image width"].add(width)
        self.measures["image height"].add(height)


def collect(rows: Iterable[Row]) -> dict[str, TaskStats]:
    """Statistics per task, in the order tasks are first seen."""
    found: dict[str, TaskStats] = {}
    for row in rows:
        found.setdefault(row.task, TaskStats()).add(row)
    return found
