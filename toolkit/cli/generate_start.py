"""`unifiedvisual generate init|schema|validate|preview`: before a run is paid for."""

import webbrowser
from dataclasses import replace
from pathlib import Path

import typer

from toolkit.cli.terminal import print_json, say, warn_each
from toolkit.errors import RunStopped, UsageError
from toolkit.generation.core.spec_file import read_spec
from toolkit.generation.reports.starting import commented_spec, recipe_schema, spec_schema
from toolkit.generation.reports.trial import write_trial
from toolkit.generation.runs import engine
from toolkit.generation.runs.plans import check_budget, plan, warnings
from toolkit.generation.runs.topics import expand
from toolkit.staging.files import write_whole


def init(recipe: str, backend: str, out: Path | None) -> None:
    text = commented_spec(recipe, backend)
    if out is None:
        print(text, end="")
        return
    if out.exists():
        raise UsageError(f"{out} exists; give another --out, or remove it")
    write_whole(out, text)
    say(f"{out}: fill it in. Next: unifiedvisual generate validate {out}")


def schema(recipe: str) -> None:
    print_json(recipe_schema(recipe) if recipe else spec_schema())


def validate(path: Path) -> None:
    spec = read_spec(path)
    planned = plan(spec)
    check_budget(spec, planned)
    warn_each(warnings(spec, planned))
    for each in planned:
        say(f"{each.recipe.name}: {each.n:,} samples; asks {', '.join(each.prompts) or 'nobody'}")
    say(f"{path}: nothing is wrong with it.")


def topics(path: Path, tree: Path, out: Path | None, *, to: int) -> None:
    spec = read_spec(path)
    count = expand(spec, out or Path("runs") / spec.name, tree, to)
    say(f"{tree}: {count:,} topics. Name it under topics of {path}.")


def preview(path: Path, out: Path | None, *, rows: int, page: Path | None, open_it: bool) -> None:
    spec = read_spec(path)
    folder = out or Path("runs") / spec.name
    warn_each(warnings(spec, plan(spec)))
    first = tuple(replace(each, n=min(each.n, rows), accept=None) for each in spec.recipes)
    stopped = None
    try:
        engine.run(replace(spec, recipes=first), folder)
    except RunStopped as error:  # the page shows how far it came
        stopped = error
    written = page or folder / "preview.html"
    shown = write_trial(spec, folder, written, rows)
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(shown.items()))
    say(f"{written}: {shown.total():,} samples with every step{f': {states}' if states else ''}.")
    if stopped:
        raise stopped
    if open_it:
        webbrowser.open(written.resolve().as_uri())
    if shown["failed"]:
        raise typer.Exit(1)
