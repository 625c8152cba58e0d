"""Runs that are killed with SIGKILL while they work, again and again, and then left to finish."""

import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from tests.processes import Command
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.summary import summarise


@dataclass(frozen=True, kw_only=True)
class Survived:
    """kills: that hit a live process; sends, calls: in the journal; in_doubt: as `status` says."""

    kills: int
    sends: int
    calls: int
    in_doubt: int


def run_with_kills(spec: Path, folder: Path, *, kills: int, total: int, seed: int = 0) -> Survived:
    """Run to the end in processes of their own, killed after a random number of further steps each time.

    Args:
        total: steps of a run that is not killed.
    """
    dice = random.Random(seed)
    hit = 0
    while hit < kills:
        done = steps(folder)
        wanted = done + dice.randint(1, max(1, 2 * (total - done) // (kills - hit + 2)))
        process = _start(spec, folder)
        while process.poll() is None and steps(folder) < wanted:
            time.sleep(0.002)
        time.sleep(dice.random() * 0.02)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        hit += 1
    process = _start(spec, folder)
    assert process.wait(timeout=300) == 0, process.err
    in_doubt = summarise(read_spec(spec), folder).in_doubt
    return Survived(kills=hit, sends=_count(folder, "attempts"), calls=_count(folder, "calls"), in_doubt=in_doubt)


def steps(folder: Path) -> int:
    """How far a run is: sends, and finished samples."""
    return _count(folder, "attempts") + _count(folder, "samples")


def _start(spec: Path, folder: Path) -> Command:
    return Command("generate", "run", spec, "--out", folder)


def _count(folder: Path, table: str) -> int:
    total = 0
    for path in folder.glob("shards/*/journal.sqlite3"):
        try:
            db = sqlite3.connect(path)
            total += db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            db.close()
        except sqlite3.OperationalError:  # not made yet
            pass
    return total
