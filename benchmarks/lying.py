"""Packed datasets that lie, each read by everything that reads one; prints a table of outcomes.

    python benchmarks/lying.py                          over 700 datasets, some minutes
    python benchmarks/lying.py --lies "row: answer"     those whose names begin so

No reader may end in anything but one of our errors, nor hang; and what `verify --deep` calls fine, all must read. Exit
code 1 if one does not.
"""

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.packed_lying import LIES, write_good
from tests.packed_readers import CHECK, FINE, READERS, REFUSED, faults, read_by


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lies", default="", help="how their names begin")
    parser.add_argument("--every", type=int, default=1, help="only each N-th")
    parser.add_argument("--readers", nargs="*", choices=READERS, default=[*READERS])
    parser.add_argument("--tell", action="store_true", help="what each outcome was")
    given = parser.parse_args()
    chosen = [name for name in LIES if name.startswith(given.lies)][:: given.every]
    outcomes: dict[str, Counter[str]] = {reader: Counter() for reader in (CHECK, *given.readers)}
    num_faults = 0
    with tempfile.TemporaryDirectory(prefix="lying-") as folder:
        good = write_good(Path(folder, "good"))
        for name in chosen:
            source, out = Path(folder, "source"), Path(folder, "out")
            shutil.copytree(good, source)
            out.mkdir()
            LIES[name](source)
            found = read_by(outcomes, source, out)
            for reader, (word, told) in found.items():
                outcomes[reader][word if word in (FINE, REFUSED) else "FAULT"] += 1
                if given.tell:
                    print(f"{name}: {reader}: {word}: {told.strip()[-300:]}", flush=True)
            for reader, (word, told) in faults(found).items():
                num_faults += 1
                print(f"--- {name}: {reader}: {word}\n{told.strip()[-1500:]}", flush=True)
            shutil.rmtree(source)
            shutil.rmtree(out)
    print(f"{'reader':24}{'fine':>8}{'refused':>9}{'faults':>8}")
    for reader, words in outcomes.items():
        print(f"{reader:24}{words[FINE]:8}{words[REFUSED]:9}{words['FAULT']:8}")
    print(f"{len(chosen)} datasets, {len(outcomes)} readers, {num_faults} faults")
    sys.exit(1 if num_faults else 0)


if __name__ == "__main__":
    main()
