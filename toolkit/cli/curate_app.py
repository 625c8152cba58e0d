"""Wiring of the commands from packed datasets to one: merge, select, deduplicate, align."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.options import DryRun, Json, Token
from toolkit.cli.spread import Executor, Part, Workers, spread

app = typer.Typer()

Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="A folder; one with part of the same work is resumed.", show_default=False)
]
PACKED_HELP = "A packed dataset: a folder, org/name or hf://datasets/org/name[@revision][/folder]."


@app.command()
def merge(
    sources: Annotated[list[str], typer.Argument(metavar="A B ...", help=PACKED_HELP, show_default=False)],
    out: Out,
    ids: Annotated[
        str,
        typer.Option(
            metavar="refuse|prefix",
            help="Ids that occur twice: stop, or put 2- before all ids of the second dataset, 3- of the third, ...",
        ),
    ] = "refuse",
    copy: Annotated[bool, typer.Option("--copy", help="Copy shards that could be hard links.")] = False,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    token: Token = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Join packed datasets into one. Shards are linked or copied as they are, and the same inputs give the same bytes.

    Example: unifiedvisual merge packed generated fused --ids prefix
    """
    from toolkit.cli.merge import run

    how = spread(workers, executor, part, out)
    run(sources, out, ids=ids, copy=copy, token=token, dry_run=dry_run, as_json=json, **how)
