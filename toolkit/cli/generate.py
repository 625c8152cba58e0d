"""`unifiedvisual generate ...`: a spec -> samples -> rows -> the packed layout."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from toolkit.cli.pack import print_manifest
from toolkit.cli.terminal import Bars, print_json, print_problems, say, table, warn_each
from toolkit.generation.core.blobs import Blobs
from toolkit.generation.core.spec import RunSpec
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.estimate import estimate
from toolkit.generation.reports.explain import Explained, remake
from toolkit.generation.reports.explain import explain as explain_sample
from toolkit.generation.reports.report import report
from toolkit.generation.reports.summary import Summary, summarise
from toolkit.generation.runs import engine
from toolkit.generation.runs.audit import problems
from toolkit.generation.runs.engine import Progress as Event
from toolkit.generation.runs.finalize import LEFT_OUT, PACKED, finalize
from toolkit.generation.runs.plans import plan as plan_run
from toolkit.generation.runs.plans import warnings
from toolkit.generation.runs.retry import put_back
from toolkit.generation.runs.shards import run_shards
from toolkit.staging.files import write_whole


def _folder(spec: RunSpec, out: Path | None) -> Path:
    return out or Path("runs") / spec.name


def plan(path: Path, *, as_json: bool) -> None:
    spec = read_spec(path)
    found, told = estimate(spec), list(warnings(spec, plan_run(spec)))
    if as_json:
        print_json({"estimates": [asdict(each) for each in found], "max_usd": spec.max_usd, "warnings": told})
        return
    columns = ("recipe", "role", "model", "calls", "images", "tokens in", "tokens out", "US dollars", "at most")
    cells = [
        (
            *(each.recipe, each.role, each.model, each.calls, each.images),
            "{:,} to {:,}".format(*each.input_tokens),
            "{:,} to {:,}".format(*each.output_tokens),
            "unknown" if each.usd is None else "{:.2f} to {:.2f}".format(*each.usd),
            "unknown" if each.most_usd is None else f"{each.most_usd:.2f}",
        )
        for each in found
    ]
    table("Estimate, low to high", columns, cells, right=columns[3:])
    known = [each.usd for each in found if each.usd is not None]
    most = sum(each.most_usd or 0.0 for each in found)
    unknown = sorted({each.model for each in found if each.usd is None})
    capped = f", or the cap of ${spec.max_usd:.2f}" if spec.max_usd is not None and spec.max_usd < most else ""
    say(
        f"In all: ${sum(low for low, _ in known):.2f} to ${sum(high for _, high in known):.2f}, at most ${most:.2f} if "
        f"every call is as long as it may be, cut, repaired and sent again{capped}"
        + (f", and {', '.join(unknown)}: unknown" if unknown else "")
    )
    warn_each(told)


def run(
    path: Path,
    out: Path | None,
    *,
    workers: int,
    executor: str,
    part: tuple[int, int] | None,
    fork: bool,
    replay: Path | None,
    as_json: bool,
) -> None:
    spec = read_spec(path)
    folder = _folder(spec, out)
    warn_each(warnings(spec, plan_run(spec)))
    try:
        with _live(spec) as on_sample:
            how: dict[str, Any] = {"fork": fork, "replay": replay, "on_sample": on_sample}
            if workers > 1 or executor != "local":
                run_shards(spec, folder, num_shards=workers, executor=executor, **how)
            else:
                engine.run(spec, folder, shard=part or (0, 1), **how)
    finally:
        summary = summarise(spec, folder)
        _print(spec, summary, folder, as_json=as_json)
    if any(funnel.failed for funnel in summary.recipes.values()):
        raise typer.Exit(1)


@contextmanager
def _live(spec: RunSpec) -> Iterator[Callable[[Event], None]]:
    """A bar per recipe with what was accepted and rejected."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns) as progress:
        bars = {recipe.name: progress.add_task(recipe.name, total=recipe.n, counts="") for recipe in spec.recipes}
        counts: dict[str, dict[str, int]] = {
            recipe.name: {"ok": 0, "rejected": 0, "failed": 0} for recipe in spec.recipes
        }

        def on_sample(event: Event) -> None:
            count = counts[event.recipe]
            count[event.state] += 1
            told = (
                f"{count['ok']} accepted, {count['rejected']} rejected, {count['failed']} failed; "
                f"${event.spent_usd:.4f} in all"
            )
            progress.update(bars[event.recipe], advance=1, counts=told)

        yield on_sample


def folder_of(path: Path, out: Path | None) -> Path:
    """Folder of a run."""
    return out or _folder(read_spec(path), None)


def status(path: Path, out: Path | None, *, as_json: bool) -> None:
    spec = read_spec(path)
    folder = _folder(spec, out)
    _print(spec, summarise(spec, folder), folder, as_json=as_json)


def _print(spec: RunSpec, summary: Summary, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    columns = ("recipe", "planned", "accepted", "rejected", "failed", "pending", "why")
    cells = [
        (
            name,
            f.planned,
            f.ok,
            f.rejected,
            f.failed,
            f.pending,
            ", ".join(f"{count} {reason}" for reason, count in f.reasons.items()) or "-",
        )
        for name, f in summary.recipes.items()
    ]
    table(f"Run {spec.name} in {folder}", columns, cells, right=columns[1:-1])
    for name, funnel in summary.recipes.items():
        for reason, detail in funnel.failures.items():
            say(f"{name}: failed at {reason}: {detail}")
    _print_models(summary)


def _print_models(summary: Summary) -> None:
    headings = (
        "model",
        "calls",
        "sends",
        "tokens in",
        "tokens out",
        "images",
        "US dollars",
        "cost unknown",
        "in doubt",
    )
    uses = [
        (
            name,
            u.calls,
            u.sends,
            u.input_tokens,
            u.output_tokens,
            u.images,
            f"{u.cost:.4f}",
            u.unknown,
            f"{u.in_doubt}, up to ${u.in_doubt_usd:.4f}",
        )
        for name, u in summary.models.items()
    ]
    table("Models", headings, uses, right=headings[1:])


def retry(path: Path, out: Path | None, *, reason: str) -> None:
    spec = read_spec(path)
    count = put_back(_folder(spec, out), reason)
    say(f"{count:,} samples were put back. Next: unifiedvisual generate run {path}")


def finish(path: Path, out: Path | None, *, as_json: bool) -> None:
    spec = read_spec(path)
    folder = _folder(spec, out)
    manifest = finalize(spec, folder)
    write_whole(folder / "report.md", report(spec, folder))
    if as_json:
        print_json(asdict(manifest))
    else:
        print_manifest(manifest, folder / PACKED)
        if count := sum(map(len, json.loads((folder / LEFT_OUT).read_text()).values())):
            say(f"{count:,} accepted samples look like an earlier one and were left out: {folder / LEFT_OUT}")
        say(f"The run in words: {folder / 'report.md'}")


def verify(path: Path, out: Path | None, *, sweep: bool) -> None:
    spec = read_spec(path)
    folder = _folder(spec, out)
    if sweep:
        say(f"{Blobs(folder / 'blobs').sweep():,} half-written files were removed.")
    found: dict[str, list[str]] = {}
    for kind, message in problems(spec, folder):
        found.setdefault(kind, []).append(message)
    print_problems({kind: len(messages) for kind, messages in found.items()}, found)
    if found:
        raise typer.Exit(1)
    say(f"{folder}: journals, images and rows are as they should be.")


def explain(path: Path, id: str, out: Path | None, *, replay: bool, as_json: bool) -> None:
    spec = read_spec(path)
    folder = _folder(spec, out)
    found = explain_sample(folder, id)
    is_same = remake(spec, folder, found.sample)[1] if replay else None
    if as_json:
        print_json({"sample": found.sample._asdict(), "calls": found.calls, "replay_is_equal": is_same})
    else:
        _print_explained(found)
        if is_same is not None:
            say(
                "Made again from the journal: the same row, byte for byte."
                if is_same
                else "Made again from the journal: NOT the same row."
            )
    if is_same is False:
        raise typer.Exit(1)


def _print_explained(found: Explained) -> None:
    sample = found.sample
    say(
        f"{sample.recipe}, sample {sample.idx}, {sample.id}: {sample.state}"
        + (f" at {sample.step}: {sample.reason}: {sample.detail}" if sample.reason else "")
    )
    for number, call in enumerate(found.calls, 1):
        asked, answered = call["request"], call["response"] or {}
        sends = ", ".join(
            f"{send['state']} {send['problem'] or ''} ${send['cost'] or 0:.4f}".replace("  ", " ")
            for send in call["sends"]
        )
        say(
            f"\n{number}. {call['step']} ({call['role']}: {call['model']}, seed {asked['seed']}): {call['state']}; "
            f"sends: {sends}"
        )
        for name in ("system", "user"):
            if asked[name]:
                say(f"   {name}: {asked[name]}")
        for role, text in asked["history"]:
            say(f"   {role}: {text}")
        say(f"   images sent: {', '.join(sha[:12] for sha in asked['images']) or 'none'}")
        drawn = " ".join(sha[:12] for sha, _ in answered.get("pictures", []))
        say(f"   answer: {answered.get('text') or ''} {drawn}".rstrip())
