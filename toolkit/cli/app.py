"""Wiring of the command line: names, options and help. What a command does stands in its own file."""

import re
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit import __version__
from toolkit.cli import convert_app, curate_app, evaluate_app, generate_app, import_app, look_app
from toolkit.cli import spread as spreading
from toolkit.cli.command import App
from toolkit.cli.options import (
    DryRun,
    Json,
    Limit,
    MappingFile,
    MaxInARow,
    OnBad,
    Revision,
    RowGroupBytes,
    ShardSize,
    Split,
    Src,
    Tasks,
    Token,
)
from toolkit.cli.plain import escape_what_cannot_be_written, in_words, visible
from toolkit.cli.spread import Executor, Part, Workers, spread
from toolkit.cli.terminal import loudness

app = App(
    name="unifiedvisual",
    help=(
        "Load, inspect and check UnifiedVisual data: unified vision-language rows with images in prompts and "
        "in answers.\n\n"
        "Example: unifiedvisual demo demo-out"
    ),
    epilog="Exit codes: 0 done, 1 the data is wrong, 2 the call is wrong.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"unifiedvisual {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    pass


INTERRUPTED = 130  # how typer ends at Ctrl-C


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
    write_mapping: Annotated[
        Path | None,
        typer.Option(
            "--write-mapping", metavar="FILE", help="Write how it would be read, as a start for your own mapping."
        ),
    ] = None,
    archives: Annotated[
        str | None,
        typer.Option(
            metavar="all|front",
            help="Names of all images, or of each archive's first; default: all in a folder, front on the Hub.",
            show_default=False,
        ),
    ] = None,
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """What a folder or repository holds, how it would be read and why, what is not read, and what is wrong with it.

    Looks at every row, and at the names of all images. Exits 1 if there are problems.

    Example: unifiedvisual inspect fnlp-vision/UnifiedVisual-240K
    """
    from toolkit.cli.inspect import run

    run(
        source,
        mapping=mapping,
        write_mapping=write_mapping,
        archives=archives,
        revision=revision,
        token=token,
        as_json=json,
    )


@app.command()
def verify(
    source: Src,
    deep: Annotated[bool, typer.Option("--deep", help="Also decode every image.")] = False,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    findings: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep what is found there until all is: a check that was stopped is resumed, and may be in parts.",
            show_default=False,
        ),
    ] = None,
    mapping: MappingFile = None,
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Check every row and list all problems: of either layout, or of what `convert` wrote. Everything is read once.
    Exits 1 if there are any.

    Example: unifiedvisual verify ./UnifiedVisual-240K --deep
    """
    from toolkit.cli.verify import run

    how = {"findings": findings, **spread(workers, executor, part, findings)}
    run(source, deep=deep, mapping=mapping, revision=revision, token=token, as_json=json, **how)


PackedFolder = Annotated[
    Path,
    typer.Argument(metavar="OUT", help="A folder; one with part of the same work is resumed.", show_default=False),
]


@app.command()
def pack(
    source: Src,
    out: PackedFolder,
    tasks: Tasks = "all",
    shard_size: ShardSize = 500_000_000,
    row_group_bytes: RowGroupBytes = 20_000_000,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    on_missing: OnBad = "raise",
    on_bad_row: OnBad = "raise",
    on_bad_image: OnBad = "raise",
    limit: Limit = None,
    max_in_a_row: MaxInARow = 100,
    split: Split = "train",
    mapping: MappingFile = None,
    revision: Revision = None,
    token: Token = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Turn a source into a dataset that streams for everyone: sharded Parquet with the images inside, a manifest, a
    card.

    Killed at any moment, the same command resumes it. The same source and options give the same bytes.

    Example: unifiedvisual pack fnlp-vision/UnifiedVisual-240K packed --workers 2
    """
    from toolkit.cli.pack import run
    from toolkit.packing.stage import PackOptions

    policies: Any = {"on_missing": on_missing, "on_bad_row": on_bad_row, "on_bad_image": on_bad_image}
    sizes: Any = {"shard_bytes": shard_size, "row_group_bytes": row_group_bytes, "limit": limit}
    options = PackOptions(max_in_a_row=max_in_a_row, **sizes, **policies)
    run(
        source,
        out,
        tasks,
        options,
        split=split,
        mapping=mapping,
        revision=revision,
        token=token,
        dry_run=dry_run,
        as_json=json,
        **spread(workers, executor, part, out),
    )


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A packed dataset.", show_default=False)],
    repository: Annotated[
        str, typer.Argument(metavar="REPO", help="Hub dataset, org/name; made if it is not there.", show_default=False)
    ],
    private: Annotated[bool, typer.Option("--private", help="Make it private, if it is made.")] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Branch; made if it is not there. Default: main.")
    ] = None,
    token: Token = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Upload a packed dataset, then read it back from the Hub and verify it. Repeat the command to resume after a
    failure.

    Example: unifiedvisual push packed my-org/UnifiedVisual --private
    """
    from toolkit.cli.push import run

    run(folder, repository, private=private, revision=revision, token=token, dry_run=dry_run, as_json=json)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder; made if it is not there.", show_default=False)],
    rows: Annotated[int, typer.Option(min=1, help="Rows per task, and samples per recipe.")] = 12,
    json: Json = False,
) -> None:
    """The whole way on a small dataset it makes itself: publish, load, pack, construct, verify, convert. No key, no
    network.

    Example: unifiedvisual demo demo-out
    """
    from toolkit.cli.demo import run

    run(out, rows_per_task=rows, as_json=json)


app.add_typer(convert_app.app)  # without a name: commands beside those above
app.add_typer(import_app.app)
app.add_typer(curate_app.app)
app.add_typer(look_app.app)
app.add_typer(generate_app.app, name="generate", short_help="Make new rows, with models or the scene engine")
app.add_typer(evaluate_app.app, name="evaluate", short_help="Exact scores of a model's interleaved answers")


def as_typed(message: str) -> str:
    """An error of the library in options: `on_missing="skip"` is `--on-missing skip`, `pass x="y"` else `-o x=y`."""
    names = "|".join(sorted(_option_names(app.command_line), reverse=True))  # "parts" before "part"

    def typed(found: re.Match[str]) -> str:
        said = f"--{found[1].replace('_', '-')} {found[2] or found[3] or found[4] or ''}"
        return said if found.string.startswith(("'", '"'), found.end()) else said.rstrip()

    message = re.sub(rf"""(?<![\w-])({names})s?=(?:"([\w-]+)"|'([\w-]+)'|(\d+))?(?!\w)""", typed, message)
    return re.sub(r"""\bpass ([a-z_]+)=(["'])(.+?)\2""", r"pass -o \1=\3", message)


def _option_names(command: Any) -> set[str]:
    """Python names of the options of a command and of those below it."""
    own = {name[2:].replace("-", "_") for each in command.params for name in each.opts if name.startswith("--")}
    return own.union(*map(_option_names, getattr(command, "commands", {}).values()))


def main(arguments: list[str] | None = None) -> Any:
    """The console script: errors a user can fix are one message and an exit code, never a traceback."""
    escape_what_cannot_be_written()
    spreading.arguments[:] = sys.argv[1:] if arguments is None else arguments
    try:
        return app.command_line(arguments)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("interrupted; run the same command again to resume", file=sys.stderr)
        raise
    except BrokenPipeError:
        raise SystemExit(141) from None
    except (OSError, RecursionError) as error:
        print(f"error: {visible(in_words(error))}", file=sys.stderr)
        raise SystemExit(1) from None
    except Exception as error:
        from toolkit.errors import UnifiedVisualError

        if not isinstance(error, UnifiedVisualError):
            raise
        if loudness.is_verbose:
            traceback.print_exception(error)
        message = visible(as_typed(str(error)))
        print(f"error: {message}" if error.exit_code else message, file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
