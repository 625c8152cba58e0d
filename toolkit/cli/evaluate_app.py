"""Wiring of `unifiedvisual evaluate`: names, options and help. What a command does stands in `evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from toolkit.cli.command import App
from toolkit.cli.options import Json

SIZE = 50
MIXTURE_HELP = (
    "A packed dataset, or YAML with shares of understanding, understanding with thoughts, drawing, and drawing with "
    "thoughts."
)


class _ScoreIsDefault(TyperGroup):
    """`evaluate ANSWERS` is `evaluate score ANSWERS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["score", *args]
        return super().parse_args(ctx, args)


app = App(
    cls=_ScoreIsDefault,
    no_args_is_help=True,
    help=(
        "Exact scores of a model's interleaved answers, by a verifier that reads images.\n\n"
        "`evaluate make` writes prompts.jsonl; `evaluate ask` lets a model answer them, if your own code does not; "
        "`evaluate ANSWERS` scores the answers.\n\n"
        "Example: unifiedvisual evaluate answers.jsonl --report scores.html"
    ),
)
Server = Annotated[
    str, typer.Option("--server", metavar="URL", help="Of a server with /chat/completions.", show_default=False)
]
KeyName = Annotated[str, typer.Option("--api-key-env", metavar="VAR", help="Environment variable with its key.")]
Parallel = Annotated[int, typer.Option("--parallel", min=1, help="Calls of the server at the same time.")]
Decoder = Annotated[
    str | None,
    typer.Option(
        "--decoder",
        metavar="PATH",
        help="What turns ids to images, where the checkpoint cannot (vqgan.ckpt of Chameleon).",
        show_default=False,
    ),
]
KEY = "OPENAI_API_KEY"
Parts = Annotated[str, typer.Option("--parts", metavar="NAMES", help="Parts of the benchmark, comma-separated.")]
Size = Annotated[
    int, typer.Option("--size", metavar="N", min=1, help="Items of each part; the same for both commands.")
]


@app.command("make")
def make(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.", show_default=False)],
    parts: Parts = "all",
    size: Size = SIZE,
    json: Json = False,
) -> None:
    """Write the benchmark: prompts.jsonl with images, and a packed dataset with right answers.

    The same for everyone: items depend on the version of the benchmark alone.

    Example: unifiedvisual evaluate make bench --size 20
    """
    from toolkit.cli import evaluate

    evaluate.make(out, parts, size=size, as_json=json)


@app.command("ask")
def ask(
    bench: Annotated[Path, typer.Argument(metavar="BENCH", help="Folder that `make` wrote.", show_default=False)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the answers; resumable.", show_default=False)],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="Folder or repository for transformers; with --server the name it goes by there.",
            show_default=False,
        ),
    ],
    server: Server = "",
    api_key_env: KeyName = KEY,
    parallel: Parallel = 8,
    decoder: Decoder = None,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="Of torch; default: an accelerator if there is one.")
    ] = "",
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Of an answer.")] = 2048,
    json: Json = False,
) -> None:
    """Let a model answer the benchmark. Chameleon, Anole, Emu3 and Janus answer with images.

    Example: unifiedvisual evaluate ask bench answers --model leloy/Anole-7b-v0.1-hf
    """
    from toolkit.cli import evaluate_models

    evaluate_models.ask(
        bench,
        out,
        model,
        server=server,
        api_key_env=api_key_env,
        parallel=parallel,
        decoder=decoder,
        device=device,
        max_new_tokens=max_new_tokens,
        as_json=json,
    )


@app.command("judge")
def judge(
    answers: Annotated[Path, typer.Argument(metavar="ANSWERS", help="As `score` takes them.", show_default=False)],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Of the server.", show_default=False)],
    server: Server,
    api_key_env: KeyName = KEY,
    parallel: Parallel = 8,
    parts: Parts = "all",
    size: Size = SIZE,
    json: Json = False,
) -> None:
    """Ask a model whether answers are right, for images that are none of the engine's. Not exact.

    Example: unifiedvisual evaluate judge answers --server http://localhost:8000/v1 --model Qwen3-VL-8B
    """
    from toolkit.cli import evaluate_models

    evaluate_models.judge(
        answers, parts, model=model, server=server, api_key_env=api_key_env, parallel=parallel, size=size, as_json=json
    )


@app.command("compare")
def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help=MIXTURE_HELP, show_default=False)],
    other: Annotated[Path, typer.Argument(metavar="B", help="The other one.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results; resumable.")] = Path(
        "compare"
    ),
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings of each; 6 is what p < 0.05 needs.")] = 3,
    tokens: Annotated[int, typer.Option(metavar="N", min=10_000, help="Of each training.")] = 4_800_000,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Trainings at the same time.")] = 1,
    json: Json = False,
) -> None:
    """Does a mixture teach more than another? Trains a tiny model on both in a micro-world, some minutes each.

    Only kinds of rows are told apart, not what they say: this is for shares, and for whether thoughts are coupled.

    Example: unifiedvisual evaluate compare packed mixture.yaml --seeds 6
    """
    from toolkit.cli import evaluate_compare

    evaluate_compare.run(one, other, out, seeds=seeds, tokens=tokens, workers=workers, json=json)


@app.command("score")
def score(
    answers: Annotated[
        Path,
        typer.Argument(
            metavar="ANSWERS",
            help="JSON Lines of id and answer (a text, or parts of type text or image), or a folder of <id>.txt, "
            "<id>.png or <id>/.",
            show_default=False,
        ),
    ],
    parts: Parts = "all",
    size: Size = SIZE,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Also write an HTML page with items.", show_default=False),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            "--card", metavar="FILE", help="Also write a Markdown table for a model card.", show_default=False
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Score a model's answers; items without an answer are wrong.

    Example: unifiedvisual evaluate score answers.jsonl --workers 2 --report scores.html
    """
    from toolkit.cli import evaluate

    evaluate.run(answers, parts, size=size, workers=workers, report=report, card=card, json=json)
