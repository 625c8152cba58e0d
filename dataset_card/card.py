"""README.md of a packed dataset, from its manifest and one row of every task.

manifest -> YAML (metadata.py) and tables  ->  template.md  ->  text          examples -> one worked row of every task
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from string import Template

from huggingface_hub import DatasetCard

from dataset_card.columns import MEANINGS, PICTURES, type_name
from dataset_card.markdown import code_json, inline, table
from dataset_card.metadata import card_data
from toolkit.errors import UsageError, shorten
from toolkit.schema import Row
from toolkit.sources.manifest import Manifest
from toolkit.sources.repository import REPO_ID
from toolkit.tasks import CONFIGS, NOT_STATED, QUADRANTS, TASKS, UPSTREAM_REPOSITORY

# Source: arXiv 2509.14738
AUTHORS = (
    ("Pengyu", "Wang"),
    ("Shaojun", "Zhou"),
    ("Chenkun", "Tan"),
    ("Xinghao", "Wang"),
    ("Wei", "Huang"),
    ("Zhen", "Ye"),
    ("Zhaowei", "Li"),
    ("Botian", "Jiang"),
    ("Dong", "Zhang"),
    ("Xipeng", "Qiu"),
)


def card_text(manifest: Manifest, examples: Mapping[str, Row], *, repo_id: str, plots: Sequence[str] = ()) -> str:
    """The card; the same text for the same arguments.

    Args:
        examples: task -> the row to show; every task of the manifest.
        repo_id: where the dataset is, or will be: "org/name".
        plots: paths in the dataset of pictures to show, as `stats --plots` writes them.

    Raises:
        UsageError: `repo_id` is no repository id, the manifest has no shards, or a task has no example.
    """
    if not REPO_ID.fullmatch(repo_id):
        raise UsageError(f"repo_id is {repo_id!r}; expected 'org/name'")
    if not manifest.shards:
        raise UsageError("the manifest has no shards; a card describes rows that are there")
    if missing := set(manifest.tasks) - set(examples):
        raise UsageError(f"no example row of {shorten(missing)}; expected one of every task of the manifest")
    shown = {task: examples[task] for task in manifest.tasks}
    metadata = card_data(manifest, origins={row.origin for row in shown.values()})
    body = Template(files(__package__).joinpath("template.md").read_text(encoding="utf-8")).substitute(
        _values(manifest, shown, repo_id), plots=_plots(plots)
    )
    return str(DatasetCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}"))


def _values(manifest: Manifest, examples: Mapping[str, Row], repo_id: str) -> dict[str, str]:
    with_pictures = [task for task in manifest.tasks if manifest.total("images", [task])]
    text_only = [task for task in manifest.tasks if TASKS[task].quadrant.endswith("-text")]
    return {
        "repo_id": repo_id,
        "config": min(
            with_pictures, key=lambda task: manifest.total("bytes", [task]), default="all"
        ),  # the least to download
        "train_config": next(iter(text_only), "all"),
        "upstream": UPSTREAM_REPOSITORY,
        "not_stated": NOT_STATED,
        "what_it_is": _what_it_is(examples),
        "counts_line": _counts_line(manifest),
        "families": ", ".join(f"`{family}`" for family in _families(manifest)) or "none here",
        "task_table": _task_table(manifest),
        "quadrant_table": _quadrant_table(manifest),
        "column_table": table(
            ("column", "type", "what it holds"),
            [(f"`{name}`", f"`{type_name(name)}`", text) for name, text in MEANINGS.items()],
        ),
        "worked_rows": "\n\n".join(_worked_row(task, row) for task, row in examples.items()),
        "source_table": _source_table(manifest),
        "conflicts": _conflicts(manifest),
        "built_table": table(
            ("task", "how the paper builds it"), [(f"`{task}`", TASKS[task].built) for task in manifest.tasks]
        ),
        "packing": code_json({"source": manifest.source, "options": manifest.options}),
        "skipped": _skipped(manifest),
        "authors": " and ".join(f"{family}, {given}" for given, family in AUTHORS),
        **_published(),
    }


def _families(manifest: Manifest) -> list[str]:
    return [
        name for name, tasks in CONFIGS.items() if name != "all" and len(tasks) > 1 and set(tasks) & set(manifest.tasks)
    ]


def _what_it_is(examples: Mapping[str, Row]) -> str:
    by_origin: dict[str, list[str]] = {}
    for task, row in examples.items():
        by_origin.setdefault(row.origin, []).append(task)
    if set(by_origin) == {"upstream"}:
        return (
            f"This is {UPSTREAM_REPOSITORY}, packed anew by the UnifiedVisual toolkit: one schema for all tasks, "
            "pictures inside the rows. Rows are of origin "
            "`upstream`, judged by the first of each task; the column `origin` says it of each row."
        )
    listed = "; ".join(f"{inline(origin)} ({', '.join(tasks)})" for origin, tasks in sorted(by_origin.items()))
    return (
        f"**Not all of this is the published {UPSTREAM_REPOSITORY}.** Origins, judged by the first row of each task: "
        f"{listed}. `generated` rows were made by "
        "models and `procedural` rows by a program, both with the UnifiedVisual toolkit, and neither count as "
        "published rows. The column `origin` says it of "
        "each row."
    )


def _counts_line(manifest: Manifest) -> str:
    rows, images, size = (manifest.total(column) for column in ("rows", "images", "bytes"))
    line = (
        f"{rows:,} rows with {images:,} pictures of {len(manifest.tasks)} tasks, in {len(manifest.shards):,} "
        f"Parquet files of {_bytes(size)} together."
    )
    published = sum(task.published_rows for task in TASKS.values())
    return (
        line
        if rows == published
        else (
            f"{line} **The published dataset has {published:,} rows of {len(TASKS)} tasks**; the table shows "
            "where they differ."
        )
    )


def _task_table(manifest: Manifest) -> str:
    rows: list[tuple[object, ...]] = [
        (
            f"`{task}`",
            TASKS[task].family,
            TASKS[task].quadrant,
            manifest.total("rows", [task]),
            TASKS[task].published_rows,
            manifest.total("images", [task]),
            _bytes(manifest.total("bytes", [task])),
        )
        for task in manifest.tasks
    ]
    published = sum(TASKS[task].published_rows for task in manifest.tasks)
    total = (
        "all",
        "",
        "",
        manifest.total("rows"),
        published,
        manifest.total("images"),
        _bytes(manifest.total("bytes")),
    )
    return table(("task", "family", "published quadrant", "rows", "published", "pictures", "size"), [*rows, total])


def _quadrant_table(manifest: Manifest) -> str:
    found: Counter[str] = Counter()
    published: Counter[str] = Counter()
    for task in manifest.tasks:
        found.update(manifest.quadrants(task))
        published[TASKS[task].quadrant] += TASKS[task].published_rows
    tasks = {
        quadrant: [f"`{task}`" for task in manifest.tasks if manifest.quadrants(task).get(quadrant)]
        for quadrant in found
    }
    names = (*QUADRANTS, *sorted(set(found) - set(QUADRANTS)))
    return table(
        ("quadrant", "rows", "published", "tasks with such rows"),
        [(inline(name), found[name], published[name], ", ".join(tasks.get(name, ["-"]))) for name in names],
    )


def _plots(paths: Iterable[str]) -> str:
    """Plots, then sheets; of a plot the version on light paper, which is readable everywhere."""
    chosen = sorted(
        (path for path in paths if not path.endswith("-dark.svg")), key=lambda path: ("/sheet-" in path, path)
    )
    shown = (f"![{path.rpartition('/')[2].rpartition('.')[0].removesuffix('-light')}]({path})" for path in chosen)
    return "".join(["\n\n### At a glance", *(f"\n\n{picture}" for picture in shown)]) if chosen else ""


def _worked_row(task: str, row: Row) -> str:
    columns = {
        **row.to_dict(),
        PICTURES: [{"bytes": f"{len(image.bytes):,} bytes", "path": image.path} for image in row.images],
    }
    pictures = ", ".join(row.image_roles) or "none"
    summary = (
        f"{inline(task)}: {inline(row.id)}, {inline(row.quadrant)}, origin {inline(row.origin)}, pictures: "
        f"{inline(pictures)}"
    )
    return f"<details>\n<summary>{summary}</summary>\n\n{code_json(columns)}\n\n</details>"


def _source_table(manifest: Manifest) -> str:
    rows = [(f"`{task}`", _link(TASKS[task].source), TASKS[task].license or NOT_STATED) for task in manifest.tasks]
    return table(("task", "drawn from", "licence of that source"), rows)


def _conflicts(manifest: Manifest) -> str:
    """Sources whose own statements disagree are told, not resolved."""
    listed = [
        f"- {_link(TASKS[task].source)}: {TASKS[task].license}."
        for task in manifest.tasks
        if TASKS[task].license.startswith("conflicting")
    ]
    return (
        "Statements that conflict, told here and not resolved:\n\n" + "\n".join(listed)
        if listed
        else "No conflicting statements were found."
    )


def _link(source: str) -> str:
    return f"[{source}](https://huggingface.co/datasets/{source})" if source else NOT_STATED


def _skipped(manifest: Manifest) -> str:
    rows = [
        (inline(task), inline(kind), count)
        for task, kinds in sorted(manifest.skipped.items())
        for kind, count in sorted(kinds.items())
        if count
    ]
    return table(("task", "why", "rows"), rows) if rows else "None."


def _published() -> dict[str, str]:
    """What is published of the whole dataset, whichever tasks are packed."""
    made = [task.published_rows for task in TASKS.values() if task.family != "understanding"]
    imported = [task.published_rows for task in TASKS.values() if task.family == "understanding"]
    return {
        "misspelt": TASKS["image_correction"].archive,
        "published_rows": f"{sum(made) + sum(imported):,}",
        "published_generated": f"{sum(made):,}",
        "published_understanding": f"{sum(imported):,}",
    }


def _bytes(size: int) -> str:
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1000 and (larger := next(units, "")):
        value, unit = value / 1000, larger
    return f"{value:,.1f} {unit}" if unit != "B" else f"{size} B"
