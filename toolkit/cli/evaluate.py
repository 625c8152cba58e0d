"""`unifiedvisual evaluate`: a benchmark to answer, and exact scores of answers."""

from pathlib import Path

from toolkit.cli.terminal import item_progress, print_json, say, table
from toolkit.errors import SHOWN, UsageError
from toolkit.evaluation.benchmark import write_benchmark
from toolkit.evaluation.checks import Verdict
from toolkit.evaluation.report import write_report
from toolkit.evaluation.scoring import (
    Result,
    Score,
    as_json,
    attribute_scores,
    faults,
    item_ids,
    markdown,
    names_of,
    score,
    scores,
)
from toolkit.staging.files import write_whole


def make(out: Path, wanted: str, *, size: int, as_json: bool) -> None:
    names = parts_of(wanted)
    with item_progress("items", len(item_ids(names, size))) as advance:
        written = write_benchmark(out, wanted=names, size=size, on_row=lambda: advance(1))
    if as_json:
        print_json({"out": str(out), "items": written})
        return
    say(
        f"{out}: {written:,} items, a packed dataset with prompts and right answers, and prompts.jsonl with images "
        "for a model to answer."
    )


def run(
    answers: Path, wanted: str, *, size: int, workers: int, report: Path | None, card: Path | None, json: bool
) -> None:
    names = parts_of(wanted)
    for path in (report, card):
        if path is not None and path.is_dir():
            raise UsageError(f"{path} is a folder; expected a file to write")
    with item_progress("items", len(item_ids(names, size))) as advance:
        results, others = score(answers, wanted=names, size=size, workers=workers, on_done=advance)
    if report is not None:
        write_report(report, answers, results, others)
    if card is not None:
        write_whole(card, markdown(results))
    if json:
        print_json(as_json(results, others))
        return
    _print("By part", scores(results), chance=True)
    _print("By what was asked for, over all checks", attribute_scores(results), chance=False)
    if found := faults(results):
        say("Answers that could not be read: " + ", ".join(f"{kind} {count:,}" for kind, count in found.items()))
    if others:
        say("Found beside them, and left out: " + ", ".join(f"{kind} {count:,}" for kind, count in others.items()))
    _examples(results)
    say(f"{report}: open it in a browser." if report else "--report FILE.html shows prompt, answer and what was seen.")


def parts_of(wanted: str) -> list[str]:
    return names_of([name.strip() for name in wanted.split(",") if name.strip() not in ("", "all")])


def _print(title: str, found: dict[str, Score], *, chance: bool) -> None:
    columns = ["", "items" if chance else "checks", "right", "95 % interval", "unsure", *(["chance"] if chance else [])]
    rows = [
        (
            name,
            each.items,
            f"{each.right.mean:.3f}",
            f"{each.right.low:.3f} to {each.right.high:.3f}",
            f"{each.unsure:.3f}",
            *([f"{each.chance:.3f}"] if chance else []),
        )
        for name, each in found.items()
    ]
    table(title, columns, rows, right=columns[1:])


def _examples(results: list[Result]) -> None:
    wrong = [each for each in results if each.verdict is Verdict.WRONG and not each.fault]
    for each in wrong[:SHOWN]:
        why = "; ".join(f"{one.attribute}: {one.why}" for one in each.checks if one.verdict is Verdict.WRONG)
        say(f"wrong: {each.id}: {why[:300]}")
