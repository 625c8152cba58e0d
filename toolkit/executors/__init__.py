"""Parts of a job, each somewhere else: "part i of N" of the same code. Knows jobs, not what they do.

local    a process each, on this machine
ray      a task each, on the cluster of RAY_ADDRESS or on this machine
slurm    a script: a job array that asks for its parts one by one

All of them write to one folder, which every machine must see.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from toolkit.registry import Registry

EXECUTORS = Registry("executors", {"local": "toolkit.executors.local:results", "ray": "toolkit.executors.ray:results"})
TICK_S = 2.0  # between two looks at what is done, for progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a part ended; `problem` "" = well."""

    counts: Counter[str] = field(default_factory=Counter)
    problem: str = ""


Part = Callable[[int], Ended]
Results = Callable[[Part, int, Callable[[], None]], Iterator[tuple[int, Ended]]]
