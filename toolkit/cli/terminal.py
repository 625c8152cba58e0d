"""What the commands share: one console, tables, progress that is quiet when nobody watches, JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from toolkit.cli.plain import visible
from toolkit.published import PUBLISHED
from toolkit.sizes import show_bytes, show_seconds

# Wide enough for a table when the output goes to a file; a terminal keeps its own width.
console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
stages = Console(stderr=True, highlight=False)
LONGEST_WORD, LONGEST_NAME = 20, 32  # characters that a column, a bar gives way to


def print_json(value: Any) -> None:
    """Text as it is where standard output is UTF-8, else as escapes of JSON."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not is_utf8, default=str) + "\n")


INDENT: Any = {"initial_indent": "  ", "subsequent_indent": "  ", "break_on_hyphens": False}


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print a table, or where it is too wide for the terminal each row as a paragraph; cells are text, never markup."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else visible(str(cell)) for cell in row] for row in rows]
    console.print(Text(visible(title), style="italic"))
    least = [_least_width(column) for column in zip_longest(columns, *cells, fillvalue="")]
    if sum(least) + 3 * len(least) >= console.width:  # with borders
        for first, *others in cells:
            named = "; ".join(f"{name}: {cell}" for name, cell in zip(columns[1:], others, strict=False))
            console.print(
                Text(first, style="bold"), Text(fill(named, console.width, **INDENT)), sep="\n", soft_wrap=True
            )
        return
    drawn = Table(header_style="bold")
    for column, width in zip(columns, least, strict=True):
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold", min_width=width)
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(drawn)


def _least_width(column: Sequence[str]) -> int:
    """Of a column that breaks no word, but for very long ones."""
    words = (word for cell in column for word in cell.split())
    return min(max(map(len, words), default=0), LONGEST_WORD)


def published_count(task: str) -> int | str:
    """A cell: rows of a task as published, "-" for one that is not of the published dataset."""
    return PUBLISHED[task].rows if task in PUBLISHED else "-"


def say(text: str) -> None:
    console.print(Text(visible(text)))


def hint(text: str) -> None:
    """What to do next."""
    if not loudness.is_quiet:
        say(text)


def print_problems(counts: Mapping[str, int], examples: Mapping[str, Sequence[str]]) -> None:
    """Every kind of problem, how often it occurred, and all the messages there are of it."""
    for kind, count in sorted(counts.items()):
        console.print(Text(f"{kind}: {count:,}", style="bold red"))
        for message in examples.get(kind, ()):
            console.print(Text(f"  {visible(message)}"), soft_wrap=True)


@dataclass
class Loudness:
    is_quiet: bool = False
    is_verbose: bool = False


loudness = Loudness()
LINE_S, VERBOSE_LINE_S = 30.0, 5.0  # between two lines of progress where there is no terminal


class Bars(Progress):
    """Bars on a terminal; elsewhere, and with --verbose, a line every so often; nothing with --quiet."""

    def __init__(self, *columns: ProgressColumn, counts_bytes: bool = False) -> None:
        self._in_lines = loudness.is_verbose or not sys.stderr.isatty()
        super().__init__(
            *(columns or self.get_default_columns()), console=stages, disable=loudness.is_quiet or self._in_lines
        )
        self._show: Callable[[float], str] = show_bytes if counts_bytes else lambda count: f"{count:,.0f}"
        self._line_s = VERBOSE_LINE_S if loudness.is_verbose else LINE_S
        self._said_at = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._say(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        if not self._in_lines or loudness.is_quiet or (now := time.monotonic()) < self._said_at + self._line_s:
            return
        self._said_at = now
        print(visible(progress_line(self._tasks[task_id], self._show)), file=sys.stderr, flush=True)


def progress_line(task: Task, show: Callable[[float], str]) -> str:
    """What is done, of how much, and at this rate how long the rest takes."""
    if not task.total:
        return f"{task.description}: {show(task.completed)}"
    line = f"{task.description}: {show(task.completed)} of {show(task.total)} ({task.percentage:.0f} %)"
    if not task.completed or task.elapsed is None:
        return line
    return f"{line}, {show_seconds(task.elapsed * (task.total - task.completed) / task.completed)} left"


@contextmanager
def byte_progress(sizes: Mapping[str, int]) -> Iterator[Callable[[str, int], None]]:
    """A bar for each file while it is read, with rate and time left.

    Args:
        sizes: path -> bytes.

    Yields:
        To be called with (path, bytes just read).
    """
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, counts_bytes=True) as progress:
        bars: dict[str, TaskID] = {}

        def on_read(path: str, size: int) -> None:
            if path not in bars:
                bars[path] = progress.add_task(_end_of(path), total=sizes.get(path))
            progress.advance(bars[path], size)
            if progress.tasks[progress.task_ids.index(bars[path])].finished:
                progress.update(bars[path], visible=False)

        yield on_read


def _end_of(path: str) -> str:
    return path if len(path) <= LONGEST_NAME else "..." + path[3 - LONGEST_NAME :]


@contextmanager
def item_progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """One bar over files or images; the function it yields is called with how many more are done."""
    with Bars() as progress:
        bar = progress.add_task(what, total=total)
        yield lambda more: progress.advance(bar, more)


@contextmanager
def done_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """One bar; the function it yields is called with (finished, all)."""
    with Bars() as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


@contextmanager
def phase_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each phase; the function it yields is called with (phase, finished, all)."""
    with Bars() as progress:
        bars: dict[str, TaskID] = {}

        def on_done(phase: str, done: int, total: int) -> None:
            if phase not in bars:
                bars[phase] = progress.add_task(phase, total=total)
            progress.update(bars[phase], completed=done, total=total)

        yield on_done


def warn_each(told: Iterable[str]) -> None:
    for each in told:
        stages.print(Text(f"warning: {each}"), soft_wrap=True)
