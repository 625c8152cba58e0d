"""Runs that are killed with SIGKILL while they work, again and again, and then left to finish."""

import multiprocessing
import os
import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.summary import summarise

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

ROOT = Path(__file__).parent.parent
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["tests.generation_kills", "toolkit.cli.app", "toolkit.generation.runs.engine", "aiohttp"]
)


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
        while process.is_alive() and steps(folder) < wanted:
            time.sleep(0.002)
        time.sleep(dice.random() * 0.02)
        if not process.is_alive():
            break
        process.kill()
        process.join()
        hit += 1
    process = _start(spec, folder)
    process.join(timeout=300)
    assert process.exitcode == 0, _log(folder).read_text()
    in_doubt = summarise(read_spec(spec), folder).in_doubt
    return Survived(kills=hit, sends=_count(folder, "attempts"), calls=_count(folder, "calls"), in_doubt=in_doubt)


def steps(folder: Path) -> int:
    """How far a run is: sends, and finished samples."""
    return _count(folder, "attempts") + _count(folder, "samples")


def _start(spec: Path, folder: Path) -> "ForkServerProcess":
    process = _FORKS.Process(target=_generate, args=(spec, folder, dict(os.environ)))
    process.start()
    return process


def _generate(spec: Path, folder: Path, environment: dict[str, str]) -> None:
    """The command, in a process of its own that has its modules already."""
    from toolkit.cli.app import main

    os.environ.update(environment)
    log = os.open(_log(folder), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    main(["generate", "run", str(spec), "--out", str(folder)])


def _log(folder: Path) -> Path:
    return folder.with_suffix(".log")


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
