"""`unifiedvisual inspect`: how a source would be read, counts beside the published ones, problems by kind."""

from pathlib import Path

import yaml

from toolkit.cli.terminal import print_json, print_problems, published_count, say, stages, table
from toolkit.errors import UsageError, shorten
from toolkit.published import PUBLISHED
from toolkit.sizes import show_bytes
from toolkit.sources.layout import packed_shards
from toolkit.sources.published.inspection import How, Inspection, inspect_upstream
from toolkit.sources.published.mapping import read_mapping
from toolkit.sources.published.plan import FilePlan
from toolkit.sources.repository import LocalFolder, open_repository
from toolkit.staging.files import check_kind, write_whole


def run(
    source: str,
    *,
    mapping: str | None,
    write_mapping: Path | None,
    archives: str | None,
    revision: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    if write_mapping:
        check_kind(write_mapping, ".yaml", ".yml")
    overrides = read_mapping(mapping) if mapping else None
    repository = open_repository(source, revision=revision, token=token)
    if packed_shards(repository):
        raise UsageError(
            f"{repository.name} is in the packed layout, which needs no guessing; check it with `unifiedvisual verify "
            f"{source}`"
        )
    if archives not in (None, "all", "front"):
        raise UsageError(f"--archives is {archives!r}; expected 'all' or 'front'")
    how: How = "all" if archives == "all" or (archives is None and isinstance(repository, LocalFolder)) else "front"
    with stages.status("looking") as status:
        found = inspect_upstream(
            repository, overrides, archives=how, on_progress=lambda stage: status.update(f"looking at {stage}")
        )
    if write_mapping:
        write_whole(write_mapping, yaml.safe_dump(found.mapping(), sort_keys=False, allow_unicode=True))
    if as_json:
        print_json(found.to_json())
    else:
        _print(found, write_mapping)
    if found.counts:
        raise SystemExit(1)


def _print(found: Inspection, written: Path | None) -> None:
    say(f"{found.name}\n")
    by_reasons: dict[tuple[str, ...], list[FilePlan]] = {}
    for plan in found.plans:
        by_reasons.setdefault(plan.reasons, []).append(plan)
    for reasons, plans in by_reasons.items():  # files that are read alike are told together
        say("\n".join([shorten(plan.path for plan in plans), *(f"  {reason}" for reason in reasons)]))
        say(
            "\n".join(
                f"  {plan.path}: {plan.split}, {plan.rows:,} rows; {'; '.join(plan.signs_told)}" for plan in plans
            )
        )
    for split, rows in found.rows.items():
        tasks = (*PUBLISHED, *(task for task in rows if task not in PUBLISHED))
        cells = [(task or "told by archives", rows.get(task, 0), published_count(task)) for task in tasks]
        table(f"\nRows of {split}", ("task", "found", "published"), cells, right=("found", "published"))
    archives = [
        (
            each.name,
            each.task or "-",
            show_bytes(each.size),
            f"{each.matched:,} of {each.members:,}" + ("" if each.is_whole else " looked at"),
        )
        for each in found.archives.values()
    ]
    if archives:
        table("\nArchives and folders of images", ("name", "task", "size", "members that rows name"), archives)
    for note in found.notes:
        say(f"Note: {note}")
    print_problems(found.counts, found.problems)
    say(
        f"{len(found.counts)} kind{'s' if len(found.counts) > 1 else ''} of problem"
        if found.counts
        else "No problems found. `unifiedvisual verify` reads every image as well."
    )
    if written:
        say(f"Wrote how it would be read to {written}; change it and pass it as --mapping.")
