"""`unifiedvisual inspect`: how a source would be read, counts beside the published ones, problems by kind."""

from dataclasses import asdict
from pathlib import Path

import yaml

from toolkit.cli.terminal import print_json, print_problems, published_count, say, stages, table
from toolkit.errors import UsageError, shorten
from toolkit.published import PUBLISHED
from toolkit.sources.layout import packed_shards
from toolkit.sources.published.inspection import Inspection, inspect_upstream
from toolkit.sources.published.mapping import read_mapping
from toolkit.sources.repository import open_repository


def run(
    source: str,
    *,
    mapping: str | None,
    write_mapping: Path | None,
    revision: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    overrides = read_mapping(mapping) if mapping else None
    repository = open_repository(source, revision=revision, token=token)
    if packed_shards(repository):
        raise UsageError(
            f"{repository.name} is in the packed layout, which needs no guessing; check it with `unifiedvisual verify "
            f"{source}`"
        )
    with stages.status("looking") as status:
        found = inspect_upstream(repository, overrides, on_progress=lambda stage: status.update(f"looking at {stage}"))
    if write_mapping:
        write_mapping.write_text(yaml.safe_dump(found.mapping(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    if as_json:
        print_json({**asdict(found), "mapping": found.mapping()})
    else:
        _print(found, write_mapping)
    if found.counts:
        raise SystemExit(1)


def _print(found: Inspection, written: Path | None) -> None:
    say(f"{found.name}\n")
    by_reasons: dict[tuple[str, ...], list[str]] = {}
    for plan in found.plans:
        by_reasons.setdefault(plan.reasons, []).append(plan.path)
    for reasons, paths in by_reasons.items():  # shards of one set are told once
        say("\n".join([shorten(paths), *(f"  {reason}" for reason in reasons)]))
    rows = [
        (name, found.rows.get(name, 0), published_count(name), _archive(found, name))
        for name in (*PUBLISHED, *(task for task in found.rows if task not in PUBLISHED))
    ]
    table("\nRows", ("task", "found", "published", "archive"), rows, right=("found", "published"))
    print_problems(found.counts, found.problems)
    say(
        f"{len(found.counts)} kinds of problem"
        if found.counts
        else "No problems found. `unifiedvisual verify` reads every picture as well."
    )
    if written:
        say(f"Wrote what was guessed to {written}; change it and pass it as --mapping.")


def _archive(found: Inspection, task: str) -> str:
    finding = found.archives.get(task)
    if not finding:
        return "no pictures" if task in PUBLISHED and not PUBLISHED[task].archive else "-"
    rule = finding.rule
    moved = (
        f"; rows begin {rule.row_prefix!r} where members begin {rule.member_prefix!r}"
        if rule.row_prefix or rule.member_prefix
        else ""
    )
    matched = f"{finding.matched} of the first {len(finding.members)} members"
    return f"{finding.path} ({finding.size / 1e6:,.1f} MB): rows name {finding.named:,} pictures, {matched}{moved}"
