"""What the commands share: one console, tables, progress that is quiet when nobody watches, JSON."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

# Wide enough for a table when the output goes to a file; a terminal keeps its own width.
console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
stages = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; cells are text, never markup."""
    drawn = Table(title=Text(title), title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    console.print(drawn)


def say(text: str) -> None:
    console.print(Text(text))


def problems(counts: Mapping[str, int], examples: Mapping[str, Sequence[str]], shown: int = 5) -> None:
    """Every kind of problem with how often it occurred and a few examples."""
    for kind, count in sorted(counts.items()):
        console.print(Text(f"{kind}: {count:,}", style="bold red"))
        for message in examples.get(kind, ())[:shown]:
            console.print(Text(f"  {message}"), soft_wrap=True)


def byte_progress() -> Progress:
    """A bar per file with rate and time left; silent when standard error is not a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=stages, disable=not sys.stderr.isatty())
