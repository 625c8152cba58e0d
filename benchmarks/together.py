"""Two processes of one command, with one output: each must end well or with one line, and the bytes be those of one
process; prints a table.

    python benchmarks/together.py                       10 pairs a command, some minutes on two cores

The second begins while the first is at work. Exit code 1 if a pair ends in other bytes, or with anything but a line.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from writers import COMMANDS, USUAL, clean_run, command, digest, fresh, is_one_error, prepare, start, wait_until_begun


def pair(name: str, folder: Path, out: Path, wait_s: float) -> list[tuple[int, str]]:
    """Exit code and output of each."""
    fresh(name, folder, out)
    first = start(command(name, out), folder)
    if wait_s:
        wait_until_begun(first, name, out)
        time.sleep(wait_s)
    both = [first, start(command(name, out), folder)]
    told = [process.communicate()[0].decode() for process in both]
    return [(process.returncode, text) for process, text in zip(both, told, strict=True)]


def try_pairs(name: str, folder: Path, given: argparse.Namespace) -> bool:
    """One line of the table; whether it is as it should be."""
    out, dice = folder / "out", random.Random(given.seed)
    work_s, clean = clean_run(name, folder, out)
    both = others = odd = 0
    last = ""
    for number in range(given.pairs):
        ends = pair(name, folder, out, dice.uniform(0, work_s) if number % 2 else 0)
        refused = [text for code, text in ends if code]
        both += not refused
        others += digest(out) != clean
        is_odd = len(refused) > 1 or not all(map(is_one_error, refused))
        odd += is_odd
        last = (refused[-1].splitlines() or [""])[-1] if refused else last
        if is_odd:
            print("".join(refused))
    print(f"{name:12}{given.pairs:7}{both:10}{odd:6}{others:8}   {last}", flush=True)
    return not (odd or others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--rows", type=int, default=30, help="of each task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="*", choices=COMMANDS, default=USUAL)
    given = parser.parse_args()
    print(f"{'command':12}{'pairs':>7}{'both done':>10}{'odd':>6}{'other':>8}   the last error")
    with tempfile.TemporaryDirectory(prefix="together-") as folder:
        prepare(Path(folder), given.commands, given.rows)
        good = [try_pairs(name, Path(folder), given) for name in given.commands]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
