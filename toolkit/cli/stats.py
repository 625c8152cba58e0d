"""`unifiedvisual stats`: what a source holds, per task."""

from collections import Counter
from pathlib import Path
from typing import Any

from toolkit.cli.terminal import byte_progress, print_json, say, table
from toolkit.report.contact_sheet import keep_first, write_sheets
from toolkit.report.plots import check_installed, write_plots
from toolkit.report.stats import TaskStats, collect
from toolkit.schema import IMAGE_ROLES, Row
from toolkit.sizes import show_bytes
from toolkit.sources.layout import choose_tasks, open_source
from toolkit.sources.skips import Skips
from toolkit.tasks import QUADRANTS


def run(
    source: str,
    tasks: str,
    *,
    plots: Path | None,
    mapping: str | None,
    revision: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    if plots:
        check_installed()
    opened = open_source(source, revision=revision, token=token, mapping=mapping)
    wanted = choose_tasks(opened, tasks.split(","))
    skips = Skips(on_missing="skip", on_bad_row="skip")
    firsts: dict[str, list[Row]] = {}
    with byte_progress(opened.repository.list_files()) as on_read:
        found = collect(
            keep_first((row for task in wanted for row in opened.read(task, skips, on_read=on_read)), firsts)
        )
    written = [*write_plots(found, plots), *write_sheets(firsts, plots, opened.vocabulary)] if plots and found else []
    if as_json:
        counted = {task: _as_dict(each) for task, each in found.items()}
        print_json(
            {
                "source": opened.repository.name,
                "tasks": counted,
                "left_out": skips.counts,
                "plots": [str(path) for path in written],
            }
        )
        return
    _print(found)
    if written:
        say(
            f"Wrote {len(written)} files to {plots}: plots as SVG on light and on dark paper, and a sheet of rows of "
            "each task."
        )
    if skips.counts:
        say(f"Left out: {skips.summary()}")


def _as_dict(stats: TaskStats) -> dict[str, Any]:
    counters = {name: dict(value) for name, value in vars(stats).items() if isinstance(value, Counter)}
    measures = {
        name: {"count": each.count, "sum": each.sum, "quantiles": each.quantiles()}
        for name, each in stats.measures.items()
    }
    by_role = {role: dict(counts) for role, counts in stats.roles_per_row.items()}
    return {
        "rows": stats.rows,
        "unreadable_images": stats.unreadable_images,
        **counters,
        "roles_per_row": by_role,
        "measures": measures,
    }


def _print(found: dict[str, TaskStats]) -> None:
    columns = ("task", "rows", *QUADRANTS, *IMAGE_ROLES, "images a row", "bytes", "formats")
    rows = [
        (
            task,
            each.rows,
            *(each.quadrants[quadrant] for quadrant in QUADRANTS),
            *(each.roles[role] for role in IMAGE_ROLES),
            f"{min(each.images_per_row)} to {max(each.images_per_row)}",
            show_bytes(each.measures["image bytes"].sum),
            ", ".join(f"{name} {count:,}" for name, count in each.formats.most_common()) or "-",
        )
        for task, each in found.items()
    ]
    table("Rows by quadrant, images by role", columns, rows, right=columns[1:-1])
    sizes = ("least", "25 %", "median", "75 %", "largest")
    samples = [(task, name, sample) for task, each in found.items() for name, sample in each.measures.items()]
    measures = [(task, name, *(f"{value:,.0f}" for value in sample.quantiles())) for task, name, sample in samples]
    table("Sizes (quantiles)", ("task", "measure", *sizes), measures, right=sizes)
    sources = [(task, name, count) for task, each in found.items() for name, count in each.licenses.items()]
    table("Sources and their licences", ("task", "source: licence", "rows"), sources, right=("rows",))
