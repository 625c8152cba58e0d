"""Runs that are killed with SIGKILL while they send, again and again, and then left to finish."""

import random
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True)
class Survived:
    """kills: that hit a live process; sends, calls: in the journal; in_doubt: as it shows them."""

    kills: int
    sends: int
    calls: int
    in_doubt: int


def run_with_kills(spec: Path, folder: Path, *, kills: int, total_sends: int, seed: int = 0) -> Survived:
    """Run to the end in processes of their own, killed after a random number of further sends each time."""
    dice = random.Random(seed)
    hit = 0
    while hit < kills:
        wanted = sends(folder) + dice.randint(1, max(1, 2 * total_sends // (kills + 2)))
        process = _start(spec, folder)
        while process.poll() is None and sends(folder) < wanted:
            time.sleep(0.002)
        time.sleep(dice.random() * 0.02)
        if process.poll() is not None:
            process.communicate()
            break
        process.kill()
        process.communicate()
        hit += 1
    process = _start(spec, folder)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out.decode()
    return Survived(kills=hit, sends=sends(folder), calls=_count(folder, "calls"), in_doubt=_count(folder, "attempts WHERE state = 'in_doubt'"))


def sends(folder: Path) -> int:
    return _count(folder, "attempts")


def _start(spec: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "toolkit.cli.app", "generate", "run", str(spec), "--out", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


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
