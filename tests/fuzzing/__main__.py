"""Fuzzing by hand: a table of outcomes, and a ledger that goes on where it ended."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from tests.fuzzing import SURFACES
from tests.fuzzing.runs import Ledger, again, fuzz


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000, help="more of each surface")
    parser.add_argument("--surfaces", nargs="+", choices=sorted(SURFACES), default=sorted(SURFACES))
    parser.add_argument("--ledger", type=Path, help="a JSON file that counts; with it no input is made twice")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # of Pillow, about what it reads
    logging.disable()  # of the Hub client, about each answer that it asks for again
    ledger = Ledger(given.ledger)
    again(ledger, tell=lambda text: print(text, flush=True))
    for name in given.surfaces:
        fuzz(name, given.inputs, ledger, tell=lambda text: print(text, flush=True))
        one = ledger.of(name)
        shown = ", ".join(
            f"{what} {count:,}" for what, count in sorted(one["outcomes"].items(), key=lambda each: -each[1])
        )
        print(
            f"{name}: {sum(one['outcomes'].values()):,} in {one['cpu_s']:.0f} CPU seconds, the longest "
            f"{one['longest_s']:.2f} s, the most memory {one['most_bytes'] >> 20} MiB: {shown}",
            flush=True,
        )
    faults = sum(
        count for one in ledger.surfaces.values() for what, count in one["outcomes"].items() if "FAULT" in what
    )
    print(f"{sum(sum(one['outcomes'].values()) for one in ledger.surfaces.values()):,} inputs, {faults:,} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
