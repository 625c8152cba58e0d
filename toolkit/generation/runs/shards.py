"""All shards of a run at the same time, each somewhere else. What is made does not depend on how many."""

from collections import Counter
from functools import partial
from pathlib import Path

from toolkit.errors import RunStopped, UnifiedVisualError
from toolkit.executors import EXECUTORS, Tell, outcomes
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.journal.reading import journal_paths, spent, states
from toolkit.generation.runs.engine import OnSample, Progress, run
from toolkit.generation.runs.plans import agree, plan
from toolkit.staging.locks import hold


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
        UsageError: the spec is wrong, or makes other rows than are there, or another process makes the run. RunStopped:
            a shard stopped; run again to go on. MissingExtra: no ray.
    """
    EXECUTORS.check(executor)
    agree(folder, {each.recipe.name: each.key for each in plan(spec)}, fork=fork)
    shard = partial(run_shard, spec, folder.resolve(), num_shards, fork, replay and replay.resolve())
    before = states(folder)
    seen = Counter(before)
    problems: dict[int, str] = {}
    with hold(folder / "shards" / "LOCK", busy=f"{folder}: another process is making this run; wait for it"):
        ended = outcomes(
            shard,
            range(num_shards),
            executor=executor,
            workers=num_shards,
            on_tick=lambda: _tell(folder, seen, on_sample),
        )
        for number, each in ended:
            if each.error is not None:
                is_ours = isinstance(each.error, UnifiedVisualError)
                problems[number] = str(each.error) if is_ours else f"{type(each.error).__name__}: {each.error}"
    _tell(folder, seen, on_sample)
    if problems:
        first = min(problems)
        raise RunStopped(
            f"{len(problems)} of {num_shards} parts stopped, part {first}/{num_shards}: {problems[first]}; "
            "run the same command again to resume"
        )
    counts: Counter[str] = Counter()
    for (_, state), count in (seen - before).items():
        counts[state] += count
    return counts


def run_shard(
    spec: RunSpec, folder: Path, num_shards: int, fork: bool, replay: Path | None, number: int, tell: Tell
) -> None:
    """One shard, in whatever process it is. Of one that died and is done again, finished samples count."""
    run(spec, folder, shard=(number, num_shards), fork=fork, replay=replay)


def _tell(folder: Path, seen: Counter[tuple[str, str]], on_sample: OnSample) -> None:
    now = states(folder)
    cost = sum(map(spent, journal_paths(folder)))
    for recipe, state in (now - seen).elements():
        on_sample(Progress(recipe=recipe, state=state, spent_usd=cost))
    seen.update(now - seen)
