"""Arguments and options that several commands have."""

from typing import Annotated, Any

import typer

from toolkit.errors import UsageError
from toolkit.sizes import read_bytes

SRC_HELP = "A folder, a Hub dataset (org/name), or hf://datasets/org/name[@revision][/folder]."
Src = Annotated[str, typer.Argument(metavar="SRC", help=SRC_HELP, show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
MappingFile = Annotated[
    str | None,
    typer.Option("--mapping", metavar="FILE", help="YAML that says how columns are read, where the plan is wrong."),
]
Revision = Annotated[
    str | None, typer.Option("--revision", metavar="REV", help="Branch, tag or commit of a Hub dataset.")
]
OnBad = Annotated[str, typer.Option(metavar="raise|skip", help="Stop at such a row, or count it and go on.")]
Tasks = Annotated[str, typer.Option("--tasks", metavar="NAMES", help="Configs or tasks, comma-separated.")]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="Split whose rows are read.")]
MaxInARow = Annotated[
    int, typer.Option(min=1, metavar="N", help="Bad rows without a good one between that stop all the same.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Rows of each task, from the first.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", metavar="TOKEN", envvar="HF_TOKEN", help="Hub token; default: the stored one.", show_default=False
    ),
]


def _read_size(text: str) -> int:
    try:
        return read_bytes(text)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error


def size(what: str, example: str, *names: str) -> Any:
    """An option in bytes, which may be written as 500MB."""
    return typer.Option(*names, metavar="SIZE", parser=_read_size, help=f"{what}, as in {example}.", show_default=False)


ShardSize = Annotated[int, size("Images and text of one shard", "500MB (the default)")]
RowGroupBytes = Annotated[int, size("Images and text of one row group", "20MB (the default)")]
