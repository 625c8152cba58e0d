"""All shards of a run at the same time, each somewhere else. What is made does not depend on how many."""

from collections import Counter
from functools import partial
from pathlib import Path

from toolkit.errors import RunStopped, UnifiedVisualError
from toolkit.executors import EXECUTORS, Ended, Results
from toolkit.generation.core.journal import journal_paths, query
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.runs.engine import OnSample, Progress, run
from toolkit.generation.runs.plans import agree, plan


def run_shards(
    spec: RunSpec,
    folder: Path,
    *,
    num_shards: int,
    executor: str = "local",
    fork: bool = False,
    replay: Path | None = None,
    on_sample: OnSample = lambda progress: None,
) -> Counter[str]:
    """Make the samples that are not there yet, N shards at the same time; the others go on when one stops.

    Args:
        folder, fork, replay: as for `engine.run`.
        on_sample: told in this process, some seconds late.

    Returns:
        How many samples ended in which state.

    Raises:
        UsageError: the spec is wrong, or makes other rows than are there. RunStopped: a shard stopped; run again to go
            on. MissingExtra: no ray.
    """
    results: Results = EXECUTORS.load(executor)
    agree(folder, {each.recipe.name: each.key for each in plan(spec)}, fork=fork)
    shard = partial(run_shard, spec, folder.resolve(), num_shards, fork, replay and replay.resolve())
    seen = Counter(_finished(folder))
    counts: Counter[str] = Counter()
    problems: dict[int, str] = {}
    for number, ended in results(shard, num_shards, lambda: _tell(folder, seen, on_sample)):
        counts.update(ended.counts)
        if ended.problem:
            problems[number] = ended.problem
    _tell(folder, seen, on_sample)
    if problems:
        first = min(problems)
        raise RunStopped(
            f"{len(problems)} of {num_shards} shards stopped, shard {first}/{num_shards}: {problems[first]}; the same "
            "command again goes on"
        )
    return counts


def run_shard(spec: RunSpec, folder: Path, num_shards: int, fork: bool, replay: Path | None, number: int) -> Ended:
    """One shard, in whatever process it is; what a user can mend comes back as words, since not every error survives
    the way back.
    """
    counts: Counter[str] = Counter()

    def count(progress: Progress) -> None:
        counts[progress.state] += 1

    try:
        run(spec, folder, shard=(number, num_shards), fork=fork, replay=replay, on_sample=count)
    except UnifiedVisualError as error:
        return Ended(counts=counts, problem=str(error))
    return Ended(counts=counts)


def _finished(folder: Path) -> Counter[tuple[str, str]]:
    """(recipe, state) -> samples, over all shards."""
    totals: Counter[tuple[str, str]] = Counter()
    for path in journal_paths(folder):
        for recipe, state, count in query(path, "SELECT recipe, state, count(*) FROM samples GROUP BY recipe, state"):
            totals[recipe, state] += count
    return totals


def _tell(folder: Path, seen: Counter[tuple[str, str]], on_sample: OnSample) -> None:
    now = _finished(folder)
    spent = sum(
        next(query(path, "SELECT coalesce(sum(cost), 0) FROM attempts"), (0.0,))[0] for path in journal_paths(folder)
    )
    for recipe, state in (now - seen).elements():
        on_sample(Progress(recipe=recipe, state=state, spent_usd=spent))
    seen.update(now - seen)
