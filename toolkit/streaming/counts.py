"""Counts that the worker processes of a loader add to, and the process of the loop reads."""

import os
from collections import Counter
from contextlib import suppress
from threading import Lock
from typing import Any

import numpy as np
import torch

PROCESSES, KINDS, REST = 256, 16, b"other kinds"
TABLE = np.dtype([("process", np.int64), ("kinds", [("name", "S40"), ("count", np.int64)], KINDS)])


class SharedCounts:
    """Counts by kind, in memory that forked and spawned workers share.

    Each process writes to a line of its own, so a worker that is killed locks nobody out; lines of processes that have
    ended are used again, with what they counted. A copy made otherwise (pickle, deepcopy) counts for itself.
    """

    def __init__(self) -> None:
        # New, hence zeros. To fill or copy it would start the threads of OpenMP, which forks then wait for without end.
        storage = torch.UntypedStorage._new_shared(PROCESSES * TABLE.itemsize)  # type: ignore[no-untyped-call]
        self._memory = torch.empty(0, dtype=torch.uint8).set_(storage)
        self._own: tuple[int, int, Lock] | None = None  # process, its line, its threads' lock

    def add(self, kind: str, count: int = 1) -> None:
        line, lock = self._line()
        name = kind.encode()[: TABLE["kinds"].base["name"].itemsize]
        with lock:
            kinds = self._table[line]["kinds"]
            slot = next((n for n in range(KINDS - 1) if kinds[n]["name"] in (name, b"")), KINDS - 1)
            kinds[slot]["name"] = name if slot < KINDS - 1 else REST
            kinds[slot]["count"] += count

    def total(self) -> Counter[str]:
        """Of all processes."""
        kinds = self._table["kinds"].ravel()
        found: Counter[str] = Counter()
        for name, count in kinds[kinds["count"] > 0].tolist():
            found[name.decode(errors="replace")] += count
        return found

    @property
    def _table(self) -> Any:
        return self._memory.numpy().view(TABLE)

    def _line(self) -> tuple[int, Lock]:
        process = os.getpid()
        if self._own is None or self._own[0] != process:
            owners = self._table["process"]
            lines = ((process + step) % PROCESSES for step in range(PROCESSES))
            line = next((n for n in lines if owners[n] in (0, process) or not _is_alive(int(owners[n]))), 0)
            owners[line] = process
            self._own = (process, line, Lock())
        return self._own[1:]

    def __getstate__(self) -> dict[str, Any]:
        return {"_memory": self._memory, "_own": None}


def _is_alive(process: int) -> bool:
    with suppress(PermissionError):  # there, but somebody else's
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
