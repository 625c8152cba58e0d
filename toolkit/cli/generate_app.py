"""Wiring of `unifiedvisual generate`: names, options and help. What a command does stands in `generate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.command import App
from toolkit.cli.spread import Executor, Part, Workers, spread

app = App(
    help=(
        "Make new rows: a spec, recipes, models (or the scene engine, with no key), a journal that survives "
        "anything.\n\n"
        "Example: unifiedvisual generate run zero-key"
    ),
    no_args_is_help=True,
)

Spec = Annotated[
    Path,
    typer.Argument(
        metavar="SPEC", help="YAML: recipes, backends, budget; or zero-key, which is included.", show_default=False
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Folder of the run; default: runs/<name of the spec>.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command("init")
def init(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Its name, or a file of yours: ./mine.py:RECIPE.")],
    backend: Annotated[str, typer.Option(metavar="KIND", help="Who answers.")] = "procedural",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: it is printed.", show_default=False)
    ] = None,
) -> None:
    """A commented spec to start from.

    Example: unifiedvisual generate init image_editing --backend openai_chat --out spec.yaml
    """
    from toolkit.cli import generate_start

    generate_start.init(recipe, backend, out)


@app.command("schema")
def schema(
    recipe: Annotated[str, typer.Argument(metavar="[RECIPE]", help="Default: of a spec.", show_default=False)] = "",
) -> None:
    """JSON Schema of a spec, for editors; or of a recipe's record and options.

    Example: unifiedvisual generate schema > spec.schema.json
    """
    from toolkit.cli import generate_start

    generate_start.schema(recipe)


@app.command("validate")
def validate(spec: Spec) -> None:
    """Check a spec, its prompts, topics, options and every record it wants. Asks no model.

    Example: unifiedvisual generate validate spec.yaml
    """
    from toolkit.cli import generate_start

    generate_start.validate(spec)


@app.command("preview")
def preview(
    spec: Spec,
    out: Out = None,
    rows: Annotated[int, typer.Option("--rows", metavar="K", min=1, help="Samples of each recipe.")] = 3,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Default: preview.html in that folder.", show_default=False)
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
) -> None:
    """Make the first samples of each recipe, and a page with every step, prompt and verdict. They are the run's own:
    `run` does not make or pay for them again.

    Example: unifiedvisual generate preview spec.yaml --rows 3
    """
    from toolkit.cli import generate_start

    generate_start.preview(spec, out, rows=rows, page=page, open_it=open_it)


@app.command("topics")
def topics(
    spec: Spec,
    tree: Annotated[Path, typer.Argument(metavar="FILE", help="YAML of the tree; made, or grown if it is there.")],
    to: Annotated[int, typer.Option("--to", metavar="N", min=1, help="Leaves that the tree shall have.")],
    out: Out = None,
) -> None:
    """Grow a tree of topics: the text model divides each leaf, level by level. Put FILE under `topics` of the spec.

    Example: unifiedvisual generate topics spec.yaml topics.yaml --to 2000
    """
    from toolkit.cli import generate_start

    generate_start.topics(spec, tree, out, to=to)


@app.command("plan")
def plan(spec: Spec, json: Json = False) -> None:
    """What a run will take: calls, tokens, images and money, low and high. Asks no model.

    Example: unifiedvisual generate plan spec.yaml
    """
    from toolkit.cli import generate

    generate.plan(spec, as_json=json)


@app.command("run")
def run(
    spec: Spec,
    out: Out = None,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    fork: Annotated[
        bool, typer.Option("--fork", help="Go on although the spec makes other rows than those that are there.")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Answer from the journals of that run; ask no model.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Make the samples that are not there yet. Killed at any moment, the same command resumes; a higher n pays only for
    the new rows. Each of N workers makes the part I/N of the samples: keep N the same until all are made.

    Backends of a spec: procedural, openai_chat, openai_images, clip, diffusers, folder, openai_moderation,
    safety_classifier.

    Example: unifiedvisual generate run spec.yaml
    """
    from toolkit.cli import generate

    folder = generate.folder_of(spec, out) if executor == "slurm" else out

    def end(command: Sequence[str]) -> Sequence[str]:
        return ["generate", "finalize", str(spec), *(["--out", str(out)] if out else [])]

    how = spread(workers, executor, part, folder, end=end, only_after_success=True)
    generate.run(spec, out, fork=fork, replay=replay, as_json=json, **how)


@app.command("status")
def status(spec: Spec, out: Out = None, json: Json = False) -> None:
    """How far a run is: the funnel, the reasons, what it has cost, what is in doubt.

    Example: unifiedvisual generate status spec.yaml
    """
    from toolkit.cli import generate

    generate.status(spec, out, as_json=json)


@app.command("retry")
def retry(
    spec: Spec,
    out: Out = None,
    reason: Annotated[
        str, typer.Option(metavar="REASON", help="Also those rejected for it; default: failed samples.")
    ] = "",
) -> None:
    """Put failed samples back among those to be made, to go on where they stopped; those that were rejected are made
    anew, from another seed.

    Example: unifiedvisual generate retry spec.yaml --reason refusal
    """
    from toolkit.cli import generate

    generate.retry(spec, out, reason=reason)


@app.command("finalize")
def finalize(spec: Spec, out: Out = None, json: Json = False) -> None:
    """Pack the accepted rows to DIR/packed, and write DIR/report.md.

    Example: unifiedvisual generate finalize spec.yaml
    """
    from toolkit.cli import generate

    generate.finish(spec, out, as_json=json)


@app.command("verify")
def verify(
    spec: Spec,
    out: Out = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Remove half-written files of killed processes.")] = False,
) -> None:
    """Check journals, images, rows and the packed dataset. Exits 1 if anything is wrong.

    Example: unifiedvisual generate verify spec.yaml --sweep
    """
    from toolkit.cli import generate

    generate.verify(spec, out, sweep=sweep)


@app.command("explain")
def explain(
    spec: Spec,
    id: Annotated[str, typer.Argument(metavar="ID", help="Of a row or a sample.", show_default=False)],
    out: Out = None,
    replay: Annotated[bool, typer.Option("--replay", help="Make the row again from the journal, and compare.")] = False,
    json: Json = False,
) -> None:
    """How a row was made: every prompt, model, seed, answer and cost.

    Example: unifiedvisual generate explain spec.yaml ie-proc-0123456789abcdef0123 --replay
    """
    from toolkit.cli import generate

    generate.explain(spec, id, out, replay=replay, as_json=json)
