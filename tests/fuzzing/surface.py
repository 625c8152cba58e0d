"""What is fuzzed: a table of surfaces, and what they share."""

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from toolkit.errors import UnifiedVisualError
from toolkit.evaluation.answers import Fault
from toolkit.generation.core.protocol import CallError
from toolkit.generation.core.replies import ReplyProblem

ERRORS = (UnifiedVisualError, CallError, ReplyProblem, Fault)


@dataclass(frozen=True)
class Surface:
    """
    Attributes:
        make: an input, by dice.
        read: gives an outcome in a word; raises one of ERRORS.
        of_values: inputs are structures, which dice of hypothesis can make too.
    """

    make: Callable[[Random], Any]
    read: Callable[[Any], str]
    of_values: bool = False


SURFACES: dict[str, Surface] = {}


def surface(
    make: Callable[[Random], Any], *, of_values: bool = False
) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    def add(read: Callable[[Any], str]) -> Callable[[Any], str]:
        SURFACES[read.__name__] = Surface(make, read, of_values)
        return read

    return add


@cache
def scratch() -> Path:
    """A folder in memory, of this process."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="uvfuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def put(name: str, data: bytes) -> Path:
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def as_json(value: Any) -> bytes:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 20_000))  # for what is deep
    try:
        return json.dumps(value, default=lambda each: each.decode("latin-1")).encode("utf-8", "surrogatepass")
    finally:
        sys.setrecursionlimit(before)


def outcome_of(error: BaseException) -> str:
    kind = getattr(error, "kind", "") or getattr(error, "problem", "")
    return f"{type(error).__name__} {kind}".strip()
