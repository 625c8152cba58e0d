"""What a repository in the published layout holds, how it would be read, and what is wrong with it: nothing stops at
the first fault.
"""

import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

from toolkit.errors import ArchiveError, LayoutError, MappingError, ShardError, UnifiedVisualError
from toolkit.published import PUBLISHED
from toolkit.sources.published.archives import read_members
from toolkit.sources.published.join import LEARN_MEMBERS, PathRule, learn_rule
from toolkit.sources.published.look import look
from toolkit.sources.published.mapping import FilePlan, Overrides
from toolkit.sources.published.source import UpstreamSource, find_archives, source_of
from toolkit.sources.repository import Repository
from toolkit.sources.skips import Skips


@dataclass(frozen=True, kw_only=True)
class ArchiveFinding:
    """One archive, judged by its first members."""

    path: str
    size: int
    members: tuple[str, ...]
    named: int  # pictures rows name in it
    matched: int  # of the first members, those some row names
    rule: PathRule


@dataclass(kw_only=True)
class Inspection:
    """Findings; `problems` maps a kind to messages, `counts` says how often each occurred."""

    name: str
    plans: tuple[FilePlan, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    archives: dict[str, ArchiveFinding] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, message: str) -> None:
        self.add_many(kind, 1, [message])

    def add_many(self, kind: str, count: int, examples: list[str]) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.problems.setdefault(kind, []).extend(examples)

    def mapping(self) -> dict[str, object]:
        """A mapping file that says what was guessed; a start for the user's own."""
        return {"files": {plan.path: plan.to_yaml() for plan in self.plans}}


def inspect_upstream(
    repository: Repository,
    overrides: Overrides | None = None,
    *,
    on_progress: Callable[[str], None] = lambda stage: None,
) -> Inspection:
    """Look at every file, read every row's text, and the first members of every archive.

    Args:
        on_progress: told what comes next.
    """
    found = Inspection(name=repository.name)
    files = repository.list_files()
    found.plans = tuple(_look_at_all(repository, files, overrides or {}, found, on_progress))
    try:
        source = source_of(repository, found.plans, find_archives(files))
    except UnifiedVisualError as error:
        found.add("layout", str(error))
        return found
    for task in source.tasks:
        if task in PUBLISHED and PUBLISHED[task].archive and task not in source.archives:
            found.add("missing_archive", f"{task}: images/{PUBLISHED[task].archive} is not there")
    named = _read_texts(source, found, on_progress)
    for task, path in source.archives.items():
        on_progress(path)
        try:
            found.archives[task] = _peek(repository, path, files[path], named.get(path, {}))
        except (ArchiveError, UnifiedVisualError) as error:
            found.add("bad_archive", str(error))
    for finding in found.archives.values():
        if finding.members and not finding.matched:
            found.add(
                "unmatched_archive",
                f"{finding.path}: no row names any of its first {len(finding.members)} members, e.g. "
                f"{finding.members[0]!r}",
            )
    return found


def _look_at_all(
    repository: Repository,
    files: Iterable[str],
    overrides: Overrides,
    found: Inspection,
    on_progress: Callable[[str], None],
) -> Iterable[FilePlan]:
    for path in (path for path in files if path.endswith(".parquet")):
        on_progress(path)
        try:
            yield look(repository, path, overrides)
        except MappingError:
            raise
        except LayoutError as error:
            found.add("unknown_columns", str(error))
        except ShardError as error:
            found.add("bad_parquet", str(error))


def _read_texts(
    source: UpstreamSource, found: Inspection, on_progress: Callable[[str], None]
) -> dict[str, dict[str, int]]:
    """Counts rows and their problems; returns archive -> names that rows look for in it."""
    named: dict[str, dict[str, int]] = {}
    for number, task in enumerate(source.tasks):
        on_progress(f"texts of {task}")
        skips = Skips(on_missing="skip", on_bad_row="skip", max_in_a_row=sys.maxsize)
        found.rows[task] = 0
        try:
            for sketch in source.sketches(task, skips, owns_unknown=not number):
                found.rows[task] += 1
                for place in filter(None, sketch.places):
                    named.setdefault(place.archive, {})[place.name] = 1
        except LayoutError as error:
            found.add("missing_archive", str(error))
        for kind, count in skips.counts.items():
            found.add_many(kind, count, skips.examples[kind])
    return named


def _peek(repository: Repository, path: str, size: int, named: dict[str, int]) -> ArchiveFinding:
    with closing(repository.stream(path)) as raw:
        members = tuple(member.name for member in islice(read_members(raw, path), LEARN_MEMBERS))
    rule = learn_rule(named, members)
    expected = {rule.member_name(name) for name in named}
    return ArchiveFinding(
        path=path, size=size, members=members, named=len(named), matched=len(expected & set(members)), rule=rule
    )
