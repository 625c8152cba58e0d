"""Rows of a packed dataset -> a packed dataset of those that are chosen.

text columns of every shard -> which rows stay -> shards -> MANIFEST.json
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.curation.choosing import Choice, choose
from toolkit.curation.inputs import PackedInput, open_inputs
from toolkit.curation.look import IMAGE_FACTS, Piece, look, pieces_of
from toolkit.curation.phases import OnDone, Phases, Spread, finish, open_phases, quiet, read_finished
from toolkit.curation.scores import Scored, scored_by
from toolkit.curation.writing import KEPT, Sizes, write_kept
from toolkit.errors import UsageError
from toolkit.sources.manifest import Manifest, Shard
from toolkit.staging.jobs import Job, Part
from toolkit.tasks import in_order, tasks_of


def select(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    where: str = "",
    scores: Sequence[str | os.PathLike[str]] = (),
    tasks: Iterable[str] = ("all",),
    sample: float | None = None,
    per_task: int | None = None,
    split: Mapping[str, float] | None = None,
    max_image_bytes: int | None = None,
    seed: int = 0,
    shard_bytes: int = Sizes.shard_bytes,
    row_group_bytes: int = Sizes.row_group_bytes,
    token: str | bool | None = None,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    on_done: OnDone = quiet,
) -> Manifest:
    """Write the chosen rows of a packed dataset as another one. Rows keep their order, pictures their bytes; what was
    left out is counted by reason in the manifest. The same call gives the same bytes; one that was stopped is resumed.

        select("packed", "short", where="length(answer) < 500", split={"train": 0.98, "validation": 0.02})

    Args:
        source: a folder, `org/name` or an hf:// URL.
        where: a condition in duckdb's SQL over all columns but `images`, and `num_images`, `split`; `image_bytes`,
            `image_widths`, `image_heights` and `image_sha256`, lists with an entry for each picture; with `scores` also
            `alignment`, the least score of a row, and `alignment_<kind>`. Subqueries see all rows as `rows`.
        scores: folders that `align` wrote.
        tasks: configs or tasks.
        sample: rows in all, or a share below 1.
        per_task: rows of each task, at most.
        split: split -> its share, by hash of the id. Rows that share a picture stay in one split.
        max_image_bytes: rows with a larger picture are left out.
        seed: another seed, another sample and other splits.
        shard_bytes, row_group_bytes: see PackOptions.
        workers, executor, part: see `toolkit.executors`.
        on_done: called with (phase, finished units, all units).

    Raises:
        UsageError: a condition that duckdb does not understand; the source is not packed; `out` holds something else,
            or another process is at work there.
        UnifiedVisualError: no row is left. MissingExtra: duckdb is not installed.
    """
    [opened] = open_inputs([source], token=token)
    choice = Choice(
        where=where, max_image_bytes=max_image_bytes, sample=sample, per_task=per_task, split=split or None, seed=seed
    )
    sizes = Sizes(shard_bytes=shard_bytes, row_group_bytes=row_group_bytes)
    wanted = chosen_tasks(opened, tasks)
    scored = scored_by(scores)
    chosen_by = {"tasks": wanted, "choice": choice.to_dict(), "scores": scored.fingerprint, "sizes": sizes.to_dict()}
    plan = {"select": opened.fingerprint, **chosen_by}
    spread = Spread(workers=workers, executor=executor, part=part, on_done=on_done)
    with open_phases(Path(out), plan, [opened], spread) as phases:
        if phases is None:
            return read_finished(Path(out))
        pieces = pieces_of(opened, wanted)
        folder, chosen = _chosen(phases, pieces, choice, scored)
        options = {"select": {**choice.to_dict(), **({"scores": scored.described} if scored.tables else {})}}
        return write_selected(phases, pieces, folder / KEPT, chosen, sizes, options, plan)


def _chosen(phases: Phases, pieces: Sequence[Piece], choice: Choice, scored: Scored) -> tuple[Path, dict[str, Any]]:
    looked = phases.run("rows", partial(look, pieces, _facts(choice)), len(pieces))
    work = partial(choose, [folder for folder, _ in looked], choice, scored.tables)
    [(folder, chosen)] = phases.run("choice", work, 1)
    return folder, chosen


def count_selected(
    source: str | os.PathLike[str],
    folder: Path,
    *,
    scores: Sequence[str | os.PathLike[str]] = (),
    tasks: Iterable[str] = ("all",),
    token: str | bool | None = None,
    on_done: OnDone = quiet,
    **choice: Any,
) -> dict[str, Any]:
    """What `select` would choose, as a `Chosen` in a dict.

    Args:
        folder: for temporary files.
    """
    [opened] = open_inputs([source], token=token)
    phases = Phases(job=Job(folder, folder), spread=Spread(on_done=on_done))
    return _chosen(phases, pieces_of(opened, chosen_tasks(opened, tasks)), Choice(**choice), scored_by(scores))[1]


def chosen_tasks(source: PackedInput, configs: Iterable[str]) -> list[str]:
    """
    Raises:
        UnknownName: no such config. UsageError: the dataset has none of them.
    """
    vocabulary = source.manifest.vocabulary
    wanted = {task for config in configs for task in tasks_of(config.strip(), vocabulary)}
    found = [task for task in source.manifest.tasks if task in wanted]
    if not found:
        raise UsageError(f"{source.name} has none of these tasks; it has: {', '.join(source.manifest.tasks)}")
    return found


def _facts(choice: Choice) -> list[str]:
    named = [fact for fact in IMAGE_FACTS if re.search(rf"\b{fact}\b", choice.where)]
    return list(dict.fromkeys([*choice.facts, *named]))


def write_selected(
    phases: Phases,
    pieces: Sequence[Piece],
    kept: Path,
    chosen: Mapping[str, Any],
    sizes: Sizes,
    options: Mapping[str, Any],
    plan: Mapping[str, Any],
) -> Manifest:
    """Write the rows that stay, and the manifest.

    Args:
        pieces: of one dataset.
        kept: see `writing.KEPT`.
        chosen: a Chosen as a dict.
        options: what the manifest says of how they were chosen.
    """
    before = pieces[0].source.manifest
    staged = write_kept(phases, pieces, kept, chosen["counts"], sizes)

    def describe(shards: tuple[Shard, ...]) -> Manifest:
        present = {shard.task for shard in shards}
        return Manifest(
            source=pieces[0].source.described,
            options={**sizes.to_dict(), **options, "selected_from": before.options},
            shards=shards,
            skipped=added(before.skipped, chosen["left_out"]),
            vocabulary={name: task for name, task in before.vocabulary.items() if name in present},
            drawn_from=chosen["drawn_from"],
        )

    return finish(phases.job, staged, describe, plan)


def added(one: Mapping[str, Mapping[str, int]], other: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Task -> reason -> rows of both."""
    reasons = {task: [*one.get(task, {}), *other.get(task, {})] for task in in_order({*one, *other})}
    return {
        task: {each: one.get(task, {}).get(each, 0) + other.get(task, {}).get(each, 0) for each in dict.fromkeys(named)}
        for task, named in reasons.items()
    }
