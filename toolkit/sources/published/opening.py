"""A repository looked at as a whole -> the source that reads it."""

from collections.abc import Callable, Iterable

from toolkit.errors import LayoutError, shorten
from toolkit.sources.published.cache import cached
from toolkit.sources.published.holdings import Holdings, find_holdings
from toolkit.sources.published.mapping import Overrides
from toolkit.sources.published.plan import FilePlan, explain, group_files, shape_plan
from toolkit.sources.published.shapes.table import Table
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.published.survey import FileSurvey, survey_files
from toolkit.sources.published.telling import check_splits, tell_tasks
from toolkit.sources.repository import Repository
from toolkit.sources.skips import MAX_IN_A_ROW, OnBad, Skips


def open_upstream(
    repository: Repository,
    files: Iterable[str],
    *,
    overrides: Overrides | None = None,
    split: str | None = None,
    on_missing: OnBad = "raise",
    on_bad_row: OnBad = "raise",
    max_in_a_row: int = MAX_IN_A_ROW,
) -> UpstreamSource:
    """Look at every row of every Parquet file, or take what an earlier look found, and make a plan for each.

    Args:
        split: whose rows are read; default: train.

    Raises:
        LayoutError: no Parquet, a file that cannot be told how to read, or no row in any.
    """
    Skips(
        on_missing=on_missing, on_bad_row=on_bad_row, max_in_a_row=max_in_a_row
    )  # a wrong policy is told now, not at the first bad row
    overrides = overrides or Overrides()
    files = list(files)
    overrides.check(files)
    holdings = find_holdings(repository.name, files, overrides)
    plans, tables = make_plans(surveyed(repository, holdings), overrides, holdings)
    for plan in plans:
        if plan.problems:
            raise explain(repository.name, plan, tables[plan.path])
    if not any(plan.rows for plan in plans):
        raise LayoutError(f"{repository.name}: no row in any Parquet file: {shorten(plan.path for plan in plans)}")
    source = UpstreamSource(
        repository=repository,
        plans=tuple(plans),
        holdings=holdings,
        on_missing=on_missing,
        on_bad_row=on_bad_row,
        max_in_a_row=max_in_a_row,
    )
    return source.of_split(split) if split else source


def surveyed(
    repository: Repository, holdings: Holdings, on_progress: Callable[[str], None] = lambda path: None
) -> list[FileSurvey]:
    """The survey of all Parquet files, made if there is none of these files yet."""
    return cached(
        repository.fingerprint(holdings.texts),
        lambda: list(survey_files(repository, holdings.texts, on_progress=on_progress)),
    )


def make_plans(
    surveys: Iterable[FileSurvey], overrides: Overrides, holdings: Holdings
) -> tuple[list[FilePlan], dict[str, Table]]:
    """A plan for each file in path order, and the table each file is part of.

    Raises:
        MappingError: an override does not fit a file.
    """
    plans: list[FilePlan] = []
    tables: dict[str, Table] = {}
    for group in group_files(surveys, overrides):
        plans += tell_tasks(shape_plan(group), group, holdings.tasks)
        tables |= {file.path: group.table for file in group.files}
    return check_splits(sorted(plans, key=lambda plan: plan.path), overrides), tables
