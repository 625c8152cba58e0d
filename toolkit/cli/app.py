"""Wiring of the command line: names, options and help. What a command does stands in its own file."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="unifiedvisual",
    help="Load, inspect and check UnifiedVisual data: unified vision-language rows with pictures in prompts and in answers.",
    epilog="Start with: unifiedvisual demo demo-out. Exit codes: 0 done, 1 the data is wrong, 2 the call is wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Src = Annotated[
    str, typer.Argument(metavar="SRC", help="A folder, a Hub dataset (org/name), or hf://datasets/org/name[@revision][/folder].", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
MappingFile = Annotated[str | None, typer.Option("--mapping", metavar="FILE", help="YAML that says how columns are read, where our guess is wrong.")]
Revision = Annotated[str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit of a Hub dataset.")]
Token = Annotated[str | None, typer.Option("--token", metavar="TOKEN", envvar="HF_TOKEN", help="Hub token; default: the stored one.", show_default=False)]


@app.command()
def info(json: Json = False) -> None:
    """Configs, tasks, published counts and licences. Needs no data.

    Example: unifiedvisual info
    """
    from toolkit.cli.info import run

    run(as_json=json)


@app.command()
def inspect(
    source: Src,
    mapping: MappingFile = None,
    write_mapping: Annotated[Path | None, typer.Option("--write-mapping", metavar="FILE", help="Write the guesses, as a start for your own mapping.")] = None,
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """What a folder or repository holds, how it would be read and why, and what is wrong with it.

    Reads all text and the first pictures of each archive. Exits 1 if there are problems.

    Example: unifiedvisual inspect fnlp-vision/UnifiedVisual-240K
    """
    from toolkit.cli.inspect import run

    run(source, mapping=mapping, write_mapping=write_mapping, revision=revision, token=token, as_json=json)


@app.command()
def verify(
    source: Src,
    deep: Annotated[bool, typer.Option("--deep", help="Also decode every picture.")] = False,
    mapping: MappingFile = None,
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Read everything once, check every row, and list all problems. Exits 1 if there are any.

    Example: unifiedvisual verify ./UnifiedVisual-240K --deep
    """
    from toolkit.cli.verify import run

    run(source, deep=deep, mapping=mapping, revision=revision, token=token, as_json=json)


@app.command()
def card(
    source: Src,
    croissant: Annotated[bool, typer.Option("--croissant", help="Print Croissant JSON-LD instead of README.md.")] = False,
    repo_id: Annotated[
        str | None,
        typer.Option("--repo-id", metavar="ORG/NAME", help="Where the dataset will be; default: SRC on the Hub, else fnlp-vision/UnifiedVisual."),
    ] = None,
    revision: Revision = None,
    token: Token = None,
) -> None:
    """Print the dataset card of a packed dataset: README.md with all counts computed from its manifest.

    Example: unifiedvisual card ./packed > ./packed/README.md
    """
    from toolkit.cli.card import run

    run(source, as_croissant=croissant, repo_id=repo_id, revision=revision, token=token)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder; made if it is not there.", show_default=False)],
    rows: Annotated[int, typer.Option(min=1, help="Rows per task.")] = 24,
    json: Json = False,
) -> None:
    """Make a small dataset from photographs that come along, load it back, and show some rows. No key, no network.

    Example: unifiedvisual demo demo-out
    """
    from toolkit.cli.demo import run

    run(out, rows_per_task=rows, as_json=json)


def main(arguments: list[str] | None = None) -> Any:
    """The console script: errors a user can mend are one message and an exit code, never a traceback."""
    try:
        return app(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(141) from None
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        from toolkit.errors import UnifiedVisualError

        if not isinstance(error, UnifiedVisualError):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
