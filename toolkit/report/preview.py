"""Rows -> one HTML file that shows them: no network, no server, nothing of a row read as anything but text.

sample -> Row -> images as data URIs -> RowView -> templates/preview.html
"""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from toolkit.published import PUBLISHED
from toolkit.report.embedding import embedded
from toolkit.report.plots import inline_plots
from toolkit.report.rendering import Links, RowView, Shown, templates, view_row
from toolkit.report.sampling import Sampled
from toolkit.report.stats import collect
from toolkit.schema import Row
from toolkit.staging.files import write_whole
from toolkit.tasks import NO_TASKS, Task, Vocabulary, task_named

STYLES, SCRIPTS = ("style.css", "preview.css"), ("page.js", "preview.js")
CODE = """from unifiedvisual import load_dataset

rows = load_dataset({address!r}, {task!r}, {more}streaming=True, split="train")
row = next(row for row in rows if row["id"] == {id!r})
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a preview holds.

    Attributes:
        rows: task -> rows shown.
        problems: why images are not shown, one for each.
        bytes: of the file.
    """

    rows: dict[str, int]
    images: int
    problems: tuple[str, ...]
    bytes: int


@dataclass(frozen=True, kw_only=True)
class _Task:
    name: str
    family: str
    quadrant: str
    built: str
    published: int | None
    total: int | None
    rows: tuple[RowView, ...]

    @property
    def shown(self) -> int:
        return len(self.rows)

    @property
    def pictures(self) -> int:
        return sum(len(row.pictures) for row in self.rows)


def write_preview(
    out: Path,
    sampled: Mapping[str, Sampled],
    *,
    source: str,
    seed: int,
    per_task: int,
    address: str | None = None,
    mapping: str | None = None,
    vocabulary: Vocabulary = NO_TASKS,
    on_row: Callable[[], None] = lambda: None,
) -> Written:
    """Write the page; a file that was there stays until the new one is whole.

    Args:
        source: what the page calls the dataset.
        seed, per_task: that the rows were drawn with.
        address, mapping: with which `load_dataset` finds the rows; default: `source`, and none.
        vocabulary: definitions of tasks that are not of the nine.
        on_row: called after each row.

    Raises:
        MissingExtra: jinja2 or matplotlib is not installed.
    """
    template = templates().get_template("preview.html")
    rows = [row for each in sampled.values() for row in each.rows]
    views = iter(_views(rows, on_row))
    tasks = [
        _task(task_named(name, vocabulary), each.total, [next(views) for _ in each.rows])
        for name, each in sampled.items()
        if each.rows
    ]
    shown = [row for task in tasks for row in task.rows]
    page = template.render(
        source=source,
        code_of=partial(_code, address or source, mapping),
        seed=seed,
        per_task=per_task,
        is_uniform=all(each.is_uniform for each in sampled.values()),
        tasks=tasks,
        rows=shown,
        **_counts(shown),
        plots=inline_plots(collect(rows), totals={task: each.total for task, each in sampled.items() if each.total}),
        **_assets(),
    )
    write_whole(out, page)
    return Written(
        rows={task.name: task.shown for task in tasks},
        images=sum(task.pictures for task in tasks),
        problems=tuple(problem for row in shown for problem in row.problems),
        bytes=out.stat().st_size,
    )


def _views(rows: Sequence[Row], on_row: Callable[[], None]) -> list[RowView]:
    views = []
    with embedded(rows) as pictures:
        for row, made in zip(rows, pictures, strict=True):
            views.append(view_row(row, _links(made)))
            on_row()
    return views


def _links(made: Sequence[Future[Shown]]) -> Links:
    return lambda row, number: made[number].result()


def _task(task: Task, total: int | None, rows: Sequence[RowView]) -> _Task:
    published = PUBLISHED.get(task.name)
    return _Task(
        name=task.name,
        family=task.family,
        quadrant=task.quadrant,
        built=published.built if published else task.description,
        published=published.rows if published else None,
        total=total,
        rows=tuple(rows),
    )


def _code(address: str, mapping: str | None, row: RowView) -> str:
    more = f"mapping={mapping!r}, " if mapping else ""
    return CODE.format(address=address, task=row.task, more=more, id=row.id)


def _counts(rows: Sequence[RowView]) -> dict[str, Any]:
    return {
        "num_pictures": sum(len(row.pictures) for row in rows),
        "num_problems": sum(len(row.problems) for row in rows),
        "quadrants": _counted(row.quadrant for row in rows),
        "origins": _counted(row.origin for row in rows),
    }


def _counted(values: Any) -> list[tuple[str, int]]:
    return sorted(Counter(values).items())


def _assets() -> dict[str, str]:
    """Style and script as they stand in the page, and the hashes by which its policy lets exactly these through."""
    return {**inlined("style", STYLES), **inlined("script", SCRIPTS)}


def inlined(kind: str, names: Iterable[str]) -> dict[str, Any]:
    """Files of `templates` as the style or script of a page, and their hash for its policy."""
    from markupsafe import Markup  # comes with jinja2

    folder = files(__package__).joinpath("templates")
    text = "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
    return {kind: Markup(text), f"{kind}_hash": _hash(text)}


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
