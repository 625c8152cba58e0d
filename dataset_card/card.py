"""README.md of a packed dataset, from its manifest and one row of every task.

manifest -> YAML (metadata.py) and tables  ->  template.md  ->  text          examples -> one worked row of every task
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from string import Template

from dataset_card.claims import (
    built_table,
    conflicts,
    counts_beside,
    link,
    source_of,
    teaches_table,
    totals,
    what_it_is,
    without_claims,
)
from dataset_card.columns import MEANINGS, PICTURES, type_name
from dataset_card.markdown import code_json, inline, table
from dataset_card.metadata import card_data, split_of
from toolkit.errors import UsageError, shorten
from toolkit.published import PUBLISHED, published_rows
from toolkit.schema import Row
from toolkit.sources.manifest import Manifest
from toolkit.sources.repository import REPO_ID
from toolkit.tasks import NOT_STATED, QUADRANTS, TASKS, Task, configs_of, task_named

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
        examples: task -> the row to show; every task of the manifest that has rows.
        repo_id: where the dataset is, or will be: "org/name".
        plots: paths in the dataset of images to show, as `stats --plots` writes them.

    Raises:
        UsageError: `repo_id` is no repository id, the manifest has no shards, or a task has no example.
    """
    from huggingface_hub import DatasetCard

    if not REPO_ID.fullmatch(repo_id):
        raise UsageError(f"repo_id is {repo_id!r}; expected 'org/name'")
    if not manifest.shards:
        raise UsageError("the manifest has no shards; a card describes rows that are there")
    if missing := {task for task in manifest.tasks if manifest.total("rows", [task])} - set(examples):
        raise UsageError(f"no example row of {shorten(missing)}; expected one of every task of the manifest")
    shown = {task: examples[task] for task in manifest.tasks if task in examples}
    metadata = card_data(manifest, shown, title=_title(manifest, repo_id))
    template = files(__package__).joinpath("template.md").read_text(encoding="utf-8")
    body = Template(without_claims(template, manifest.tasks)).substitute(
        _values(manifest, shown, repo_id), plots=_plots(plots)
    )
    return str(DatasetCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}"))


def _title(manifest: Manifest, repo_id: str) -> str:
    return "UnifiedVisual" if published_rows(manifest.tasks) else repo_id.rpartition("/")[2]


def _values(manifest: Manifest, examples: Mapping[str, Row], repo_id: str) -> dict[str, str]:
    with_pictures = [task for task in manifest.tasks if manifest.total("images", [task])]
    text_only = [task for task in manifest.tasks if _task(manifest, task).quadrant.endswith("-text")]
    return {
        "repo_id": repo_id,
        "title": _title(manifest, repo_id),
        "split": split_of(manifest),
        "config": min(
            with_pictures, key=lambda task: manifest.total("bytes", [task]), default="all"
        ),  # the least to download
        "train_config": next(iter(text_only), "all"),
        "not_stated": NOT_STATED,
        "what_it_is": what_it_is(examples),
        "counts_line": _counts_line(manifest),
        "families": ", ".join(f"`{family}`" for family in _families(manifest)) or "none here",
        "task_table": _task_table(manifest),
        "quadrant_table": _quadrant_table(manifest),
        "column_table": table(
            ("column", "type", "what it holds"),
            [(f"`{name}`", f"`{type_name(name)}`", text) for name, text in MEANINGS.items()],
        ),
        "worked_rows": "\n\n".join(_worked_row(task, row) for task, row in examples.items()),
        "source_basis": ", as its rows say"
        if manifest.drawn_from
        else ", for rows that are not as published\nby the first row of each task",
        "source_table": _source_table(examples, manifest),
        "conflicts": conflicts(examples),
        "built_table": built_table(manifest.tasks),
        "teaches_table": teaches_table(manifest.tasks),
        "viewer_line": _viewer_line(manifest),
        "other_tasks": _other_tasks(manifest),
        "packing": code_json({"source": manifest.source, "options": manifest.options}),
        "skipped": _skipped(manifest),
        "authors": " and ".join(f"{family}, {given}" for given, family in AUTHORS),
        **totals(),
    }


VIEWER_BYTES = 300_000_000  # read for a page of rows; source: the viewer's own error, "limit is 300000000 bytes"


def _viewer_line(manifest: Manifest) -> str:
    """How large the largest row group is, by the average row of its shard, beside what the Hub's viewer reads."""
    largest = max(max(shard.row_groups, default=0) * shard.bytes // max(1, shard.rows) for shard in manifest.shards)
    return (
        f"The dataset viewer of the Hub reads at most {_bytes(VIEWER_BYTES)} for a page of rows. The largest row group "
        f"here has about {_bytes(largest)}, and the files have a page index, so images are shown."
        if largest < VIEWER_BYTES
        else f"The largest row group has about {_bytes(largest)}; the dataset viewer of the Hub reads at most "
        f"{_bytes(VIEWER_BYTES)} for a page of rows, and may show none."
    )


def _families(manifest: Manifest) -> list[str]:
    configs = configs_of((*TASKS.values(), *manifest.vocabulary.values()))
    return [
        name for name, tasks in configs.items() if name != "all" and len(tasks) > 1 and set(tasks) & set(manifest.tasks)
    ]


def _task(manifest: Manifest, name: str) -> Task:
    return task_named(name, manifest.vocabulary)


def _counts_line(manifest: Manifest) -> str:
    rows, images, size = (manifest.total(column) for column in ("rows", "images", "bytes"))
    line = (
        f"{rows:,} rows with {images:,} images of {len(manifest.tasks)} tasks, in {len(manifest.shards):,} "
        f"Parquet files of {_bytes(size)} together."
    )
    return counts_beside(rows, line) if published_rows(manifest.tasks) else line


def _task_table(manifest: Manifest) -> str:
    rows: list[tuple[object, ...]] = [
        (
            f"`{task}`",
            _task(manifest, task).family,
            manifest.total("rows", [task]),
            PUBLISHED[task].rows if task in PUBLISHED else "-",
            manifest.total("images", [task]),
            _bytes(manifest.total("bytes", [task])),
        )
        for task in manifest.tasks
    ]
    total = (
        "all",
        "",
        manifest.total("rows"),
        published_rows(manifest.tasks) or "-",
        manifest.total("images"),
        _bytes(manifest.total("bytes")),
    )
    return table(("task", "family", "rows", "published", "images", "size"), [*rows, total])


def _quadrant_table(manifest: Manifest) -> str:
    found: Counter[str] = Counter()
    published: Counter[str] = Counter()
    for task in manifest.tasks:
        found.update(manifest.quadrants(task))
        published[_task(manifest, task).quadrant] += published_rows([task])
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
        f"{inline(task)}: {inline(row.id)}, {inline(row.quadrant)}, origin {inline(row.origin)}, images: "
        f"{inline(pictures)}"
    )
    return f"<details>\n<summary>{summary}</summary>\n\n{code_json(columns)}\n\n</details>"


def _source_table(examples: Mapping[str, Row], manifest: Manifest) -> str:
    """As the rows say, counted, where the manifest has that; else as the first row of each task says."""
    columns = ("task", "drawn from", "licence of that source", "rows")
    if manifest.drawn_from:
        return table(
            columns,
            [
                (f"`{task}`", link(source), inline(license) if license else NOT_STATED, rows)
                for task in manifest.tasks
                for source, license, rows in manifest.drawn_from.get(task, ())
            ],
        )
    stated = {task: source_of(row) for task, row in examples.items()}
    return table(
        columns[:3],
        [
            (f"`{task}`", link(source), inline(license) if license else NOT_STATED)
            for task, (source, license) in stated.items()
        ],
    )


def _other_tasks(manifest: Manifest) -> str:
    """Tasks that are not of the published dataset, as their definitions describe them."""
    rows = [
        (f"`{task.name}`", inline(task.description) if task.description else "-")
        for task in manifest.vocabulary.values()
    ]
    return (
        "\nTasks that are not of the published dataset:\n\n" + table(("task", "what its rows are"), rows) + "\n"
        if rows
        else ""
    )


def _skipped(manifest: Manifest) -> str:
    rows = [
        (inline(task), inline(kind), count)
        for task, kinds in sorted(manifest.skipped.items())
        for kind, count in sorted(kinds.items())
        if count
    ]
    return table(("task", "why", "rows"), rows) if rows else "None."


def _bytes(size: int) -> str:
    value, units = float(size), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 1000 and (larger := next(units, "")):
        value, unit = value / 1000, larger
    return f"{value:,.1f} {unit}" if unit != "B" else f"{size} B"
