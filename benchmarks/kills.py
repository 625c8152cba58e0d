"""Are the commands safe from kill -9? Each is killed at random moments and must end in the bytes of a clean run; prints
a table.

    python benchmarks/kills.py                            20 kills a command, some minutes on two cores
    python benchmarks/kills.py --kills 2 --rows 8 --commands convert
    python benchmarks/kills.py --workers 4 --of workers --executor ray

Every other kill takes the workers along; the others leave them to notice. A command that ends is begun anew in an empty
folder, until it was killed often enough. With `--of workers` one worker is killed each time, and the command must go on
by itself. Exit code 1 if a command ends in other bytes, or leaves anything behind.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from writers import (
    COMMANDS,
    JOBS,
    ONCE,
    USUAL,
    clean_run,
    command,
    digest,
    end,
    fresh,
    prepare,
    start,
    wait_until_begun,
)


def workers_of(folder: Path) -> list[int]:
    """Processes that do units of a command at work here."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_worker = any(name in (place / "cmdline").read_bytes() for name in (b"_from_here", b"spawn_main"))
            if is_worker and f"KILLS={folder}\0".encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


def kill_worker(process: "subprocess.Popen[bytes]", folder: Path, wait_s: float) -> bool:
    """Kill a worker some time after the first is there."""
    while process.poll() is None and not workers_of(folder):
        time.sleep(0.005)
    time.sleep(wait_s)
    for worker in workers_of(folder)[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            return True
    return False


def kill_command(process: "subprocess.Popen[bytes]", hits: int, wait_s: float) -> bool:
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        os.kill(process.pid if hits % 2 else -process.pid, signal.SIGKILL)
        return True
    return False


def kill_often(name: str, folder: Path, given: argparse.Namespace, workers: int) -> bool:
    """One line of the table; whether all ends were the same."""
    started, out, dice = time.monotonic(), folder / "out", random.Random(given.seed)
    work_s, clean = clean_run(name, folder, out)
    hits = ends = 0
    is_same, is_unfinished = True, False
    fresh(name, folder, out)
    while hits < given.kills or is_unfinished:
        process = start(command(name, out, workers, given.executor), folder)
        wait_until_begun(process, name, out)
        if hits < given.kills and given.of == "commands":
            hits += kill_command(process, hits, dice.uniform(0, work_s))
        elif hits < given.kills:
            hits += kill_worker(process, folder, dice.uniform(0, work_s / workers))
        was_killed = process.wait() == -signal.SIGKILL
        if was_killed:
            process.communicate()
        else:
            end(process)
        is_unfinished = was_killed and not (name in ONCE and digest(out) == clean)
        if not is_unfinished:
            ends += 1
            is_same &= digest(out) == clean
            fresh(name, folder, out)
    print(
        f"{name:12}{workers:8}{work_s:10.1f}{hits:7}{ends:6}   {'same' if is_same else 'OTHER'}"
        f"{time.monotonic() - started:8.0f} s",
        flush=True,
    )
    return is_same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rows", type=int, default=60, help="of each task")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--of", choices=("commands", "workers"), default="commands")
    parser.add_argument("--executor", default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="*", choices=COMMANDS, default=USUAL)
    given = parser.parse_args()
    print(f"{'command':12}{'workers':>8}{'work, s':>10}{'kills':>7}{'ends':>6}   bytes")
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        prepare(Path(folder), given.commands, given.rows)
        good = [
            kill_often(name, Path(folder), given, workers)
            for name in given.commands
            for workers in (given.workers if name in JOBS else [1])
        ]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
