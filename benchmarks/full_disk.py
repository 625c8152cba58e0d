"""What commands do on a disk that fills up: a small one, made larger by a tenth of the result, or as `--steps` says,
after each error; prints a table. Needs root, for it mounts a tmpfs.

    python benchmarks/full_disk.py

Exit code 1 if a command fails with anything but one line that names path and need, or ends in other bytes than on a
large disk. `pack` and `import` look at the disk before they begin; `--no-check` leaves that out.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from writers import COMMANDS, clean_run, command, digest, fresh, is_one_error, prepare, start

WITHOUT_CHECK = (
    "import toolkit.packing.pack as p; p._check_disk = lambda *a: None; from toolkit.cli.app import main; main()"
)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def is_clear(text: str, disk: Path) -> bool:
    """One error that names path and need."""
    return is_one_error(text) and f"error: {disk}" in text and "the disk is full: " in text


def fill(name: str, folder: Path, steps: int, *, is_checked: bool) -> bool:
    """One line of the table; whether it is as it should be."""
    clean, disk = folder / "out", folder / "disk"
    _, wanted = clean_run(name, folder, clean)
    before = size_of(folder / "made") if name == "finalize" else 0
    step = max((size_of(clean) - before) // steps, 4096)
    disk.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={before * 11 // 10 + step}", "tmpfs", disk)
    errors: list[str] = []
    try:
        fresh(name, folder, disk / "out")
        while len(errors) < 100:
            arguments = command(name, disk / "out", 1)
            process = start(arguments if is_checked else [arguments[0], "-c", WITHOUT_CHECK, *arguments[3:]], folder)
            told, _ = process.communicate()
            if not process.returncode:
                break
            errors.append(told.decode())
            mount("-o", f"remount,size={before * 11 // 10 + (len(errors) + 1) * step}", disk)
        is_same = digest(disk / "out") == wanted
    finally:
        subprocess.run(["umount", disk], check=True)
    clear = [text for text in errors if is_clear(text, disk)]
    last = errors[-1].splitlines()[-1] if errors else ""
    print(f"{name:10}{len(errors):8}{len(clear):8}   {'same' if is_same else 'OTHER'}   {last}", flush=True)
    for text in errors:
        if text not in clear:
            print(text)
    return is_same and clear == errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30, help="of each task")
    parser.add_argument(
        "--commands", nargs="*", choices=COMMANDS, default=[each for each in COMMANDS if each != "push"]
    )
    parser.add_argument("--steps", type=int, default=10, help="in which the disk grows to the size of the result")
    parser.add_argument("--no-check", action="store_true")
    given = parser.parse_args()
    print(f"{'command':10}{'errors':>8}{'clear':>8}   bytes   the last error")
    with tempfile.TemporaryDirectory(prefix="full-disk-") as folder:
        prepare(Path(folder), given.commands, given.rows)
        good = [fill(name, Path(folder), given.steps, is_checked=not given.no_check) for name in given.commands]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
