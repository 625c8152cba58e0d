"""`unifiedvisual info`: the table of tasks and the configs over it."""

from dataclasses import asdict

from toolkit.cli.terminal import print_json, published_count, say, table
from toolkit.published import PUBLISHED, UPSTREAM_REPOSITORY, published_rows
from toolkit.tasks import KNOWN_TASKS, NOT_STATED, configs_of, find_task


def run(*, as_json: bool) -> None:
    tasks = [find_task(name) for name in KNOWN_TASKS]
    configs, total = configs_of(tasks), published_rows(PUBLISHED)
    if as_json:
        published = {name: asdict(each) for name, each in PUBLISHED.items()}
        print_json(
            {
                "repository": UPSTREAM_REPOSITORY,
                "configs": configs,
                "tasks": [{**asdict(task), "published": published.get(task.name)} for task in tasks],
                "published_rows": total,
            }
        )
        return
    columns = ("task", "family", "quadrant", "rows", "archive", "drawn from", "licence of that source")
    cells = [(task.name, task.family, task.quadrant or "any", *_as_published(task.name)) for task in tasks]
    table("Tasks; rows, archive, source and licence as published", columns, cells, right=("rows",))
    groups = [(name, ", ".join(names)) for name, names in configs.items() if len(names) > 1]
    table("Configs", ("config", "tasks"), groups)
    say(f"Every task is a config too. Published counts sum to {total:,}, though the dataset is called 240K.")
    say(f"Check the dataset itself with: unifiedvisual inspect {UPSTREAM_REPOSITORY}")


def _as_published(task: str) -> tuple[object, ...]:
    if task not in PUBLISHED:
        return ("-",) * 4
    found = PUBLISHED[task]
    return published_count(task), found.archive or "-", found.source or NOT_STATED, found.license or NOT_STATED
