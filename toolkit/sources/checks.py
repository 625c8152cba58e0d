"""How a check is run: unit by unit, here or elsewhere, and resumed if what is found is kept."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.errors import RowError, SourceError, UsageError
from toolkit.executors import Tell, run
from toolkit.schema import Row
from toolkit.sources.findings import Findings, Problem, image_problems
from toolkit.sources.skips import Skips
from toolkit.staging.files import write_whole
from toolkit.staging.jobs import Part, open_job

IDS = "ids.jsonl"


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found in one unit; as Findings, and ids of rows for the rule that each occurs once, which `run_check`
    moves to a file. `assumed`: kind of what was taken for granted -> rows.
    """

    rows: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    notes: Sequence[Problem] = ()
    ids: Sequence[str] = ()
    assumed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Check:
    """
    Attributes:
        source: name of what is checked.
        identity: changes when its content may have changed.
        units: how many there are.
        work: (unit, to be called with news) -> what is found there; must pickle.
        end: what is found in all, in order, and the file of the ids of each -> findings.
    """

    source: str
    identity: str
    units: int
    work: Callable[[int, Tell], Found]
    end: Callable[[list[Found], list[Path]], Findings]


def run_check(
    check: Check,
    *,
    workers: int = 1,
    executor: str = "local",
    part: Part | None = None,
    folder: Path | None = None,
    on_news: Tell = lambda news: None,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> Findings:
    """
    Args:
        workers, executor, on_news: see `toolkit.executors.run`.
        part: (i, N): only every N-th unit, from unit i.
        folder: where what is found is kept until all is, so that a check that was stopped is resumed.
        on_done: called with (units that are done, all units).

    Raises:
        UsageError: `part` without `folder`. PartDone: the part is.
    """
    if folder is None:
        if part:
            raise UsageError("a part of a check needs a folder for what it finds")
        found: dict[int, Found] = {}
        with tempfile.TemporaryDirectory() as temporary:
            kept = [Path(temporary, str(unit)) for unit in range(check.units)]
            for unit, each in run(check.work, range(check.units), executor=executor, workers=workers, on_news=on_news):
                found[unit] = _without_ids(each, kept[unit])
                on_done(len(found), check.units)
            return check.end([found[unit] for unit in range(check.units)], kept)
    with open_job(folder, {"check": check.source, "identity": check.identity}, part=part) as job:
        results = job.run(
            partial(_kept, check.work),
            range(check.units),
            executor=executor,
            workers=workers,
            on_news=on_news,
            on_done=on_done,
        )
        kept = [job.unit(unit) / IDS for unit in range(check.units)]
        findings = check.end([Found(**result) for result in results], kept)
        job.close()
    return findings


def _kept(work: Callable[[int, Tell], Found], unit: int, folder: Path, tell: Tell) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return asdict(_without_ids(work(unit, tell), folder / IDS))


def _without_ids(found: Found, path: Path) -> Found:
    """The rest; ids go to a file, a line each, in order."""
    write_whole(path, "".join(json.dumps(id) + "\n" for id in found.ids))
    return replace(found, ids=())


def read_ids(path: Path) -> Iterator[str]:
    """Ids of a unit, in order."""
    with path.open(encoding="ascii") as file:
        yield from map(json.loads, file)


def count_rows(rows: Iterable[Row | RowError], skips: Skips, *, deep: bool) -> Found:
    """What is found in rows that are read with `every_problem()`; `deep` also decodes every picture. A source that
    cannot be read to its end is a problem of its own, which does not hide what others hold.
    """
    num_rows, num_images = Counter[str](), Counter[str]()
    problems: list[Problem] = []
    try:
        for row in rows:
            if isinstance(row, RowError):
                skips.note(row.kind, str(row))
                continue
            num_rows[row.task] += 1
            num_images[row.task] += len(row.images)
            problems += image_problems(row, row.task) if deep else ()
    except SourceError as error:
        skips.note("unreadable", str(error))
    problems += [(kind, message) for kind, messages in skips.examples.items() for message in messages]
    return Found(rows=dict(num_rows), images=dict(num_images), problems=problems, assumed=dict(skips.assumed))


def summed(source: str, found: Iterable[Found], *, tasks: Iterable[str] = (), more: Iterable[Problem] = ()) -> Findings:
    """Findings of all units.

    Args:
        tasks: counted also where there is nothing of them.
        more: problems of no single unit.
    """
    rows, images = Counter[str](dict.fromkeys(tasks, 0)), Counter[str](dict.fromkeys(tasks, 0))
    problems: list[Problem] = []
    notes: list[Problem] = []
    for each in found:
        rows.update(each.rows)
        images.update(each.images)
        problems += [(kind, message) for kind, message in each.problems]
        notes += [(kind, message) for kind, message in each.notes]
    return Findings(
        source=source, rows=dict(rows), images=dict(images), problems=(*problems, *more), notes=tuple(notes)
    )
