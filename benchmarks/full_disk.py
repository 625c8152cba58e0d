"""What commands do on a disk that fills up: a small one that is full to begin with, made larger after each error by a
tenth of what a run takes at its peak, or as `--steps` says; prints a table. Needs root, for it mounts a tmpfs.

    python benchmarks/full_disk.py

Exit code 1 if a command fails with anything but one line that names path and need, or ends in other bytes than on a
large disk. `pack` and `import` look at the disk before they begin, and what asks models wants 64 MiB for answers;
`--no-check` leaves both out, so that writes themselves fail.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from writers import COMMANDS, USUAL, command, digest, end, fresh, is_one_error, prepare, start

from toolkit.generation.calls.sending import LEAST_FREE_BYTES

WITHOUT_CHECK = (
    "import toolkit.packing.pack as p; p._check_disk = lambda *a: None; "
    "import toolkit.generation.calls.sending as s; s.LEAST_FREE_BYTES = 0; "
    "from toolkit.cli.app import main; main()"
)
ASKING = {"run", "trial", "topics", "demo", "retry"}  # which ask models, and want room for answers
PAGE = 4096
LARGE = 2 << 30
ON_NO_DISK = {"push", "browse"}  # that write elsewhere: to a Hub, beside their source


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def is_clear(text: str, disk: Path) -> bool:
    """One error that names path and need."""
    return is_one_error(text) and f"error: {disk}" in text and "the disk is full: " in text


@contextmanager
def disk_of(disk: Path, size: int) -> Iterator[None]:
    disk.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk)
    try:
        (disk / "ballast").write_bytes(bytes(PAGE))  # a disk has one page at least, and it is to be full
        yield
    finally:
        subprocess.run(["umount", disk], check=True)


def on_large_disk(name: str, folder: Path, disk: Path) -> tuple[str, int]:
    """What comes of a command, and the most bytes it takes on the way."""
    with disk_of(disk, LARGE):
        fresh(name, folder, disk / "out")
        before = peak = shutil.disk_usage(disk).used
        process = start(command(name, disk / "out"), folder)
        while process.poll() is None:
            peak = max(peak, shutil.disk_usage(disk).used)
            time.sleep(0.002)
        end(process)
        return digest(disk / "out"), peak - before


def fill(name: str, folder: Path, steps: int, *, is_checked: bool) -> bool:
    """One line of the table; whether it is as it should be."""
    disk = folder / "disk"
    wanted, taken = on_large_disk(name, folder, disk)
    step = max(-(-taken // steps), PAGE)
    errors: list[str] = []
    with disk_of(disk, LARGE):
        fresh(name, folder, disk / "out")
        room = shutil.disk_usage(disk).used
        while len(errors) < 10 * steps:
            mount("-o", f"remount,size={room}", disk)
            arguments = command(name, disk / "out")
            process = start(arguments if is_checked else [arguments[0], "-c", WITHOUT_CHECK, *arguments[3:]], folder)
            told, _ = process.communicate()
            if not process.returncode:
                break
            errors.append(told.decode())
            if is_checked and name in ASKING and len(errors) == 1:
                room += LEAST_FREE_BYTES - step
            room += step
        mount("-o", f"remount,size={LARGE}", disk)  # to look at a journal takes a page too
        is_same = digest(disk / "out") == wanted
    clear = [text for text in errors if is_clear(text, disk)]
    last = errors[-1].splitlines()[-1] if errors else ""
    print(f"{name:20}{len(errors):8}{len(clear):8}   {'same' if is_same else 'OTHER'}   {last}", flush=True)
    for text in errors:
        if text not in clear:
            print(text)
    return is_same and clear == errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30, help="of each task")
    parser.add_argument(
        "--commands", nargs="*", choices=COMMANDS, default=[each for each in USUAL if each not in ON_NO_DISK]
    )
    parser.add_argument("--steps", type=int, default=10, help="in which the disk grows to the size of the result")
    parser.add_argument("--no-check", action="store_true")
    given = parser.parse_args()
    print(f"{'command':20}{'errors':>8}{'clear':>8}   bytes   the last error")
    with tempfile.TemporaryDirectory(prefix="full-disk-") as folder:
        prepare(Path(folder), given.commands, given.rows)
        good = [fill(name, Path(folder), given.steps, is_checked=not given.no_check) for name in given.commands]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
