"""Answers -> verdicts -> scores: by part, by attribute, and for what no model can have seen."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.errors import UnknownName
from toolkit.evaluation.answers import Answers, Fault
from toolkit.evaluation.checks import Check, Verdict, worst
from toolkit.evaluation.items import VERSION, Item
from toolkit.evaluation.parts import PARTS
from toolkit.evaluation.statistics import Share, share
from toolkit.executors import Tell, run

SIZE = 50  # items of each part
_UNIT = 25  # items a worker takes at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one item.

    Attributes:
        verdict: right where every check is; unsure counts as not right.
        fault: kind of what is wrong with the answer itself, as "missing"; "" = it could be read.
        why: of the fault.
    """

    id: str
    part: str
    kind: str
    verdict: Verdict
    checks: tuple[Check, ...] = ()
    fault: str = ""
    why: str = ""
    chance: float
    is_held_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of one part, attribute or slice: items right, with an interval over items, and what the rest is.

    Attributes:
        chance: what a blind guesser gets.
    """

    items: int
    right: Share
    unsure: float
    chance: float


def names_of(wanted: Sequence[str]) -> list[str]:
    """Names of parts; none given = all.

    Raises:
        UnknownName: there is no such part; lists the known.
    """
    for name in wanted:
        if name not in PARTS:
            raise UnknownName("part", name, PARTS)
    return [name for name in PARTS if not wanted or name in wanted]


def item_ids(wanted: Sequence[str], size: int) -> list[tuple[str, str, int]]:
    """(id, part, number) of every item, in order."""
    return [
        (f"uvbench{VERSION}-{part.replace('_', '-')}-{number:05d}", part, number)
        for part in wanted
        for number in range(size)
    ]


def make_item(id: str, part: str, number: int) -> Item:
    return PARTS[part](id, number)


def score(
    path: Path,
    *,
    wanted: Sequence[str] = (),
    size: int = SIZE,
    workers: int = 1,
    on_done: Callable[[int], None] = lambda more: None,
) -> tuple[list[Result], Counter[str]]:
    """Check every answer to the benchmark.

    Args:
        path: answers, see `answers`.
        wanted: names of parts; none = all.
        size: items of each part; an item without an answer is wrong.
        workers: processes.
        on_done: called with how many more are checked.

    Returns:
        A result for each item, in order; and how often something was found that belongs to no item: "unknown_id",
        "duplicate", "no_id".

    Raises:
        SourceError: there are no answers. UnknownName: there is no such part.
    """
    asked = item_ids(names_of(wanted), size)
    answers = Answers(path)
    others = Counter({"unknown_id": len(set(answers.ids()) - {id for id, _, _ in asked})}) + answers.counts
    units = range(0, len(asked), _UNIT)
    found: dict[int, list[Result]] = {}
    for unit, results in run(partial(_unit, answers, asked), units, workers=workers):
        found[unit] = results
        on_done(len(results))
    return [each for unit in units for each in found[unit]], others


def _unit(answers: Answers, asked: list[tuple[str, str, int]], start: int, tell: Tell) -> list[Result]:
    return [_result(make_item(*each), answers) for each in asked[start : start + _UNIT]]


def _result(item: Item, answers: Answers) -> Result:
    fault, why = "", ""
    checks: tuple[Check, ...] = ()
    try:
        checks = tuple(item.check(answers.read(item.id)))
    except Fault as error:
        fault, why = error.kind, str(error)
    return Result(
        id=item.id,
        part=item.part,
        kind=item.kind,
        verdict=Verdict.WRONG if fault else worst(each.verdict for each in checks),
        checks=checks,
        fault=fault,
        why=why,
        chance=item.chance,
        is_held_out=item.is_held_out,
    )


def scores(results: Iterable[Result]) -> dict[str, Score]:
    """By part; then "held out": pairs of colour and shape that generated rows never show, beside the same parts with
    other pairs ("not held out"); and "all", the mean over parts.
    """
    by_part: dict[str, list[Result]] = {}
    for each in results:
        by_part.setdefault(each.part, []).append(each)
    found = {part: _score(each) for part, each in by_part.items()}
    pairs: list[Result] = []
    for part in by_part.values():
        pairs += part if any(each.is_held_out for each in part) else []
    if pairs:
        found["held out"] = _score([each for each in pairs if each.is_held_out])
        found["not held out"] = _score([each for each in pairs if not each.is_held_out])
    if len(by_part) > 1:
        found["all"] = _score([each for all_of_part in by_part.values() for each in all_of_part])
    return found


def attribute_scores(results: Iterable[Result]) -> dict[str, Score]:
    """By what was asked for, over all checks: "count", "colour", "change", "rest", ..."""
    found: dict[str, list[Check]] = {}
    for result in results:
        for each in result.checks:
            found.setdefault(each.attribute, []).append(each)
    return {
        attribute: Score(
            items=len(checks),
            right=share([each.verdict is Verdict.RIGHT for each in checks]),
            unsure=_share_of(checks, Verdict.UNSURE),
            chance=0.0,
        )
        for attribute, checks in sorted(found.items())
    }


def faults(results: Iterable[Result]) -> Counter[str]:
    """Kind -> answers that could not be read."""
    return Counter(each.fault for each in results if each.fault)


def _score(results: list[Result]) -> Score:
    return Score(
        items=len(results),
        right=share([each.verdict is Verdict.RIGHT for each in results]),
        unsure=_share_of(results, Verdict.UNSURE),
        chance=sum(each.chance for each in results) / len(results) if results else 0.0,
    )


def _share_of(found: Sequence[Result] | Sequence[Check], verdict: Verdict) -> float:
    return sum(each.verdict is verdict for each in found) / len(found) if found else 0.0


def as_json(results: Sequence[Result], others: Counter[str]) -> dict[str, Any]:
    """Scores, faults and every result, for machines."""
    return {
        "benchmark": VERSION,
        "items": len(results),
        "scores": {name: _flat(each) for name, each in scores(results).items()},
        "attributes": {name: _flat(each) for name, each in attribute_scores(results).items()},
        "faults": dict(faults(results)),
        "others": dict(others),
        "results": [
            {
                "id": each.id,
                "verdict": each.verdict.value,
                "fault": each.fault,
                "checks": [[one.attribute, one.verdict.value, one.why] for one in each.checks],
            }
            for each in results
        ],
    }


def _flat(score: Score) -> dict[str, float]:
    return {
        "items": score.items,
        "right": score.right.mean,
        "low": score.right.low,
        "high": score.right.high,
        "unsure": score.unsure,
        "chance": score.chance,
    }


def markdown(results: Sequence[Result]) -> str:
    """A table for a model card."""
    lines = [f"UnifiedVisual benchmark {VERSION}: share of items right, 95 % interval over items.", ""]
    lines += ["| part | items | right | interval | unsure | chance |", "|---|---|---|---|---|---|"]
    for name, each in scores(results).items():
        lines.append(
            f"| {name} | {each.items} | {each.right.mean:.3f} | {each.right.low:.3f}-{each.right.high:.3f} | "
            f"{each.unsure:.3f} | {each.chance:.3f} |"
        )
    return "\n".join(lines) + "\n"
