"""Which samples are rows of a run: those that were accepted, in order, up to as many as the spec wants.

A sample is not begun once enough before it were accepted, whoever made them. So it does not depend on concurrency or
parts which rows there are, only which further samples were tried.
"""

import bisect
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from toolkit.generation.journal import Finished, finished
from toolkit.generation.runs.plans import Planned

LOOK_S = 5.0  # between looks at what other parts have made


def accepted(planned: Planned, folder: Path, *, with_rows: bool = False) -> Iterator[Finished]:
    """Samples of a recipe that became rows of this very spec, by index."""
    found = (
        sample
        for sample in finished(folder, planned.recipe.name, with_rows=with_rows)
        if sample.state == "ok" and sample.idx < planned.n and sample.id == planned.id(sample.idx)
    )
    return islice(found, planned.accept)


class Rows:
    """Accepted samples of a run under way, as far as they are known here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._indices: dict[str, list[int]] = {}
        self._looked: dict[str, float] = {}

    def add(self, sample: Finished) -> None:
        if sample.state == "ok" and sample.recipe in self._indices:
            bisect.insort(self._indices[sample.recipe], sample.idx)

    def are_enough(self, planned: Planned, index: int) -> bool:
        """Whether as many were accepted before this one as are wanted."""
        if planned.accept is None:
            return False
        name, now = planned.recipe.name, time.monotonic()
        if now - self._looked.get(name, -LOOK_S) >= LOOK_S:
            self._looked[name] = now
            self._indices[name] = [sample.idx for sample in accepted(planned, self._folder)]
        return bisect.bisect_left(self._indices[name], index) >= planned.accept
