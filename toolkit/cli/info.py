"""`unifiedvisual info`: the task table and the configs over it."""

from dataclasses import asdict

from toolkit.cli.terminal import print_json, say, table
from toolkit.tasks import CONFIGS, NOT_STATED, TASKS, UPSTREAM_REPOSITORY


def run(*, as_json: bool) -> None:
    total = sum(task.published_rows for task in TASKS.values())
    if as_json:
        print_json(
            {
                "repository": UPSTREAM_REPOSITORY,
                "configs": CONFIGS,
                "tasks": [asdict(task) for task in TASKS.values()],
                "published_rows": total,
            }
        )
        return
    rows = [
        (
            task.name,
            task.family,
            task.quadrant,
            task.published_rows,
            task.archive or "-",
            task.source or NOT_STATED,
            task.license or NOT_STATED,
        )
        for task in TASKS.values()
    ]
    table(
        "Tasks, as published",
        ("task", "family", "quadrant", "rows", "archive", "drawn from", "licence of that source"),
        rows,
        right=("rows",),
    )
    table(
        "Configs", ("config", "tasks"), [(name, ", ".join(tasks)) for name, tasks in CONFIGS.items() if len(tasks) > 1]
    )
    say(f"Every task is a config too. Published counts sum to {total:,}, though the dataset is called 240K.")
    say(f"Check the dataset itself with: unifiedvisual inspect {UPSTREAM_REPOSITORY}")
