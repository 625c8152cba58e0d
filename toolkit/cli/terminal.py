"""What the commands share: one console, tables, progress that is quiet when nobody watches, JSON."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from toolkit.cli.plain import visible
from toolkit.published import PUBLISHED

# Wide enough for a table when the output goes to a file; a terminal keeps its own width.
console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
stages = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Text as it is where standard output is UTF-8, else as escapes of JSON."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not is_utf8, default=str) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table; cells are text, never markup."""
    drawn = Table(title=Text(visible(title)), title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else visible(str(cell))) for cell in row))
    console.print(drawn)


def published_count(task: str) -> int | str:
    """A cell: rows of a task as published, "-" for one that is not of the published dataset."""
    return PUBLISHED[task].rows if task in PUBLISHED else "-"


def say(text: str) -> None:
    console.print(Text(visible(text)))


def print_problems(counts: Mapping[str, int], examples: Mapping[str, Sequence[str]]) -> None:
    """Every kind of problem, how often it occurred, and all the messages there are of it."""
    for kind, count in sorted(counts.items()):
        console.print(Text(f"{kind}: {count:,}", style="bold red"))
        for message in examples.get(kind, ()):
            console.print(Text(f"  {visible(message)}"), soft_wrap=True)


@contextmanager
def byte_progress(sizes: Mapping[str, int]) -> Iterator[Callable[[str, int], None]]:
    """A bar for each file once it is read from, with rate and time left; silent when standard error is not a terminal.

    Args:
        sizes: path -> bytes.

    Yields:
        To be called with (path, bytes just read).
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stages, disable=not sys.stderr.isatty()) as progress:
        bars: dict[str, TaskID] = {}

        def on_read(path: str, size: int) -> None:
            if path not in bars:
                bars[path] = progress.add_task(path, total=sizes.get(path))
            progress.advance(bars[path], size)

        yield on_read


@contextmanager
def item_progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """One bar over files or pictures; the function it yields is called with how many more are done."""
    with Progress(*Progress.get_default_columns(), console=stages, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(what, total=total)
        yield lambda more: progress.advance(bar, more)


@contextmanager
def done_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """One bar; the function it yields is called with (finished, all)."""
    with Progress(*Progress.get_default_columns(), console=stages, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


@contextmanager
def phase_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each phase; the function it yields is called with (phase, finished, all)."""
    with Progress(*Progress.get_default_columns(), console=stages, disable=not sys.stderr.isatty()) as progress:
        bars: dict[str, TaskID] = {}

        def on_done(phase: str, done: int, total: int) -> None:
            if phase not in bars:
                bars[phase] = progress.add_task(phase, total=total)
            progress.update(bars[phase], completed=done, total=total)

        yield on_done


def warn_each(told: Iterable[str]) -> None:
    for each in told:
        stages.print(Text(f"warning: {each}"), soft_wrap=True)
