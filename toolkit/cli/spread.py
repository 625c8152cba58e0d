"""How a command is spread over workers: the options `--workers`, `--executor` and `--part`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.errors import UsageError

Workers = Annotated[
    int,
    typer.Option("--workers", min=1, help="At the same time: processes here, tasks of Ray, jobs of a Slurm array."),
]
Executor = Annotated[
    str,
    typer.Option(
        "--executor", metavar="local|ray|slurm", help="Where workers are; slurm prints a script that submits them."
    ),
]
Part = Annotated[
    str,
    typer.Option(
        "--part",
        metavar="I/N",
        help="Do the I-th of N parts, I from 0, on any machine; the command without it ends the job.",
        show_default=False,
    ),
]

arguments: list[str] = []  # of the command line, as `main` got them


def spread(
    workers: int,
    executor: str,
    part: str,
    out: Path | None,
    *,
    end: Callable[[Sequence[str]], Sequence[str]] = lambda command: command,
    only_after_success: bool = False,
) -> dict[str, Any]:
    """The keyword arguments workers, executor and part; for Slurm a script is printed, and the command is over.

    Args:
        out: beside which Slurm writes its logs.
        end: arguments of a part -> those of what ends the job; see `toolkit.executors.slurm.script`.

    Raises:
        UsageError: a wrong part, or a script that would hold a secret.
    """
    if part and (workers > 1 or executor != "local"):
        raise UsageError("--part does one part here, --workers does all of them; give one of the two")
    if executor != "slurm":
        return {"workers": workers, "executor": executor, "part": _parse(part) if part else None}
    from toolkit.executors.slurm import script

    command = _without(arguments, "--executor", "--workers")
    if any(each.partition("=")[0] == "--token" for each in command):
        raise UsageError("--token would be written into the script; set HF_TOKEN on the nodes instead")
    if out is None:
        raise UsageError("--executor slurm needs a folder that all jobs see; see --help")
    name = "-".join(["unifiedvisual", *_words(command)])
    sys.stdout.write(script(name, command, end(command), jobs=workers, log=out, only_after_success=only_after_success))
    raise typer.Exit


def _parse(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise UsageError(f"--part is {text!r}; expected I/N with I from 0 to N - 1, as in 0/4")
    return int(part), int(parts)


def _without(given: Sequence[str], *options: str) -> list[str]:
    """Arguments without some options and their values."""
    kept: list[str] = []
    values = iter(given)
    for each in values:
        if each in options:
            next(values, None)
        elif each.partition("=")[0] not in options:
            kept.append(each)
    return kept


def _words(command: Sequence[str]) -> Sequence[str]:
    """The command's own name: "pack", or "generate", "run"."""
    return command[:2] if command[0] == "generate" else command[:1]
