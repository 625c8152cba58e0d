"""What a repository in the layout as published holds, how it would be read, and what is wrong with it: nothing stops at
the first fault.

The rows are really made, with one byte in place of each picture: what is counted here is what reading would meet.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from toolkit.errors import ArchiveError, LayoutError, ShardError, SourceError, shorten
from toolkit.published import PUBLISHED
from toolkit.sources.published.archives import read_archive
from toolkit.sources.published.holdings import Archive, Holdings, find_holdings
from toolkit.sources.published.mapping import Overrides
from toolkit.sources.published.matching import Names
from toolkit.sources.published.members import Member, Watch
from toolkit.sources.published.opening import make_plans, surveyed
from toolkit.sources.published.plan import FilePlan, explain
from toolkit.sources.published.shapes.assumed import lines_of
from toolkit.sources.published.source import TOGETHER, UpstreamSource
from toolkit.sources.published.survey import FileSurvey, survey_files
from toolkit.sources.repository import Repository
from toolkit.sources.skips import Skips

How = Literal["all", "front"]
FRONT_MEMBERS = 32


@dataclass(kw_only=True)
class ArchiveFinding:
    """One archive.

    Attributes:
        members: that were looked at; all of them, or the first few.
        named: pictures that rows look for in it, and perhaps in others too.
        matched: members that some row names.
    """

    name: str
    task: str
    size: int
    members: int = 0
    named: int = 0
    matched: int = 0
    is_whole: bool = True


@dataclass(kw_only=True)
class Inspection:
    """Findings; `problems` maps a kind to messages, `counts` says how often each occurred.

    Attributes:
        rows: split -> task -> rows that can be read; "" = of a task that only the archives tell.
        notes: what is not read, and what is odd, with the file it is about; what is taken by position.
        pictures: task -> pictures that its rows hold, or that were found; without archives, only those that they hold.
        assumed: kind of what is taken by position -> rows.
    """

    name: str
    plans: tuple[FilePlan, ...] = ()
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    archives: dict[str, ArchiveFinding] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pictures: Counter[str] = field(default_factory=Counter)
    assumed: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    problems: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, message: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.problems.setdefault(kind, []).append(message)

    def add_skips(self, skips: Skips) -> None:
        self.assumed.update(skips.assumed)
        for kind, count in skips.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.problems.setdefault(kind, []).extend(skips.examples[kind])

    def mapping(self) -> dict[str, object]:
        """A mapping file that says what was told from the data; a start for the user's own."""
        return {"files": {plan.path: plan.to_yaml() for plan in self.plans}}

    def to_json(self) -> dict[str, Any]:
        plans = [
            {
                "path": plan.path,
                "split": plan.split,
                "rows": plan.rows,
                "tasks": plan.counts,
                "reasons": [*plan.reasons, *plan.signs_told],
            }
            for plan in self.plans
        ]
        archives = {name: vars(finding) for name, finding in self.archives.items()}
        return {**vars(self), "plans": plans, "archives": archives, "mapping": self.mapping()}


def inspect_upstream(
    repository: Repository,
    overrides: Overrides | None = None,
    *,
    archives: How = "all",
    on_progress: Callable[[str], None] = lambda stage: None,
) -> Inspection:
    """Look at every file, every row, and the names of all pictures.

    Args:
        archives: "all" of their members, or only those at the "front", where that would take too long.
        on_progress: told what comes next.

    Raises:
        MappingError: an override does not fit. LayoutError: no Parquet.
    """
    overrides = overrides or Overrides()
    found = Inspection(name=repository.name)
    files = repository.list_files()
    overrides.check(files)
    holdings = find_holdings(repository.name, files, overrides)
    surveys = _survey(repository, holdings, found, on_progress)
    plans, tables = make_plans(surveys, overrides, holdings)
    for plan in plans:
        if plan.problems:
            found.add("unknown_columns", str(explain(repository.name, plan, tables[plan.path])))
    if plans and not any(plan.rows for plan in plans):
        found.add("no_rows", f"no row in any Parquet file: {shorten(plan.path for plan in plans)}")
    found.plans = tuple(plans)
    found.notes += UpstreamSource(repository=repository, plans=tuple(plans), holdings=holdings).notes()
    good = tuple(plan for plan in plans if not plan.problems)
    source = UpstreamSource(repository=repository, plans=good, holdings=holdings)
    for archive in holdings.archives:
        size = sum(files[path] for path in archive.files)
        found.archives[archive.name] = ArchiveFinding(name=archive.name, task=archive.task, size=size, members=0)
    for split in source.splits:
        _look(source.of_split(split), found, archives, on_progress)
    _judge(source, found)
    found.notes += lines_of(found.assumed)
    return found


def _survey(
    repository: Repository, holdings: Holdings, found: Inspection, on_progress: Callable[[str], None]
) -> list[FileSurvey]:
    try:
        return surveyed(repository, holdings, on_progress)
    except SourceError:
        pass  # one broken file does not hide what the others hold
    surveys: list[FileSurvey] = []
    for path in holdings.texts:
        try:
            surveys += survey_files(repository, [path], on_progress=on_progress)
        except LayoutError as error:
            found.add("unknown_columns", str(error))
        except ShardError as error:
            found.add("bad_parquet", str(error))
    return surveys


def _look(source: UpstreamSource, found: Inspection, how: How, on_progress: Callable[[str], None]) -> None:
    """Make every row of a split, as far as names go."""
    rows = found.rows.setdefault(source.split, {})
    for number, shard in enumerate(source.shards(source.tasks)):
        on_progress(f"{source.split}: {shard.replace(TOGETHER, ', ')}")
        skips = Skips(on_missing="skip", on_bad_row="skip", max_in_a_row=sys.maxsize)
        try:
            if how == "all":
                reader = _NameReader(source.repository, found.archives)
                for row in source.read(shard, skips, owns_unknown=not number, reader=reader.read):
                    rows[row.task] = rows.get(row.task, 0) + 1
                    found.pictures[row.task] += len(row.images)
            else:
                _look_at_front(source, shard, skips, found, owns_unknown=not number)
        except (LayoutError, ArchiveError) as error:
            found.add("bad_archive" if isinstance(error, ArchiveError) else "layout", str(error))
        found.add_skips(skips)


class _NameReader:
    """Reads members' names, and gives a byte in place of each picture; counts what it sees."""

    def __init__(self, repository: Repository, findings: dict[str, ArchiveFinding]) -> None:
        self._repository, self._findings = repository, findings

    def read(self, archive: Archive, watch: Watch) -> Iterator[Member]:
        finding = self._findings[archive.name]
        finding.members = finding.matched = 0  # read once for each split and shard that needs it

        def wanted(name: str) -> bool:
            is_wanted = watch.wanted(name)
            finding.members += 1
            finding.matched += is_wanted
            return is_wanted

        return read_archive(self._repository, archive, watch._replace(wanted=wanted, names_only=True))


def _look_at_front(source: UpstreamSource, shard: str, skips: Skips, found: Inspection, *, owns_unknown: bool) -> None:
    """Count rows by their texts, and compare their pictures' names with the first members of each archive."""
    rows = found.rows[source.split]
    names: dict[str, dict[str, None]] = {}
    for sketch in source.sketches(shard, skips, owns_unknown=owns_unknown):
        rows[sketch.task] = rows.get(sketch.task, 0) + 1
        names.setdefault(sketch.task, {}).update(dict.fromkeys(sketch.names.values()))
        found.pictures[sketch.task] += sum(bool(each.bytes) for each in sketch.draft.references())
    for archive in source.archives(shard.split(TOGETHER)):
        finding = found.archives[archive.name]
        wanted = list(dict.fromkeys([*names.get(archive.task, ()), *names.get("", ())]))
        finding.named += len(wanted)
        if not wanted or finding.members:
            continue
        search = Names(archive.name, archive.task, enumerate(wanted), is_folder=archive.kind == "folder")
        members = read_archive(source.repository, archive, Watch(names_only=True))
        with closing(members):  # type: ignore[type-var]  # an Iterator that is a generator
            first = [member.name for member in islice(members, FRONT_MEMBERS + 1)]
        finding.is_whole = len(first) <= FRONT_MEMBERS
        finding.members = min(len(first), FRONT_MEMBERS)
        finding.matched = sum(bool(search.find(name)[1]) for name in first[:FRONT_MEMBERS])


def _judge(source: UpstreamSource, found: Inspection) -> None:
    for finding in found.archives.values():
        if finding.members and not finding.matched:
            what = "members" if finding.is_whole else f"first {finding.members} members"
            found.add("unmatched_archive", f"{finding.name}: no row names any of its {what}")
        elif not finding.members and "bad_archive" not in found.counts:
            found.notes.append(f"{finding.name}: not read: no row names a picture that may be in it")
    for task in source.tasks:
        archive = PUBLISHED[task].archive if task in PUBLISHED else ""
        is_elsewhere = found.pictures[task] and source.holdings.of_task("")
        if archive and not source.holdings.of_task(task) and not is_elsewhere:
            found.add("missing_archive", f"{task}: images/{archive} is not there")
