"""Wiring of `import`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.command import App
from toolkit.cli.options import DryRun, Json, Limit, MaxInARow, OnBad, Revision, Split, Token
from toolkit.cli.spread import Executor, Part, Workers, spread

app = App()

Source = Annotated[
    str, typer.Argument(metavar="SRC", help="A folder, a file, ORG/NAME or an hf:// URL.", show_default=False)
]
Out = Annotated[Path | None, typer.Argument(metavar="OUT", help="A folder for the packed dataset.", show_default=False)]
FormatName = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        metavar="NAME",
        help="A dialect of `import --list`, a format of `convert --list`, or module:NAME or file.py:NAME; default: "
        "what it is recognised as.",
        show_default=False,
    ),
]
TaskName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Task of rows that name none: a name, also a new one, or module:NAME or file.py:NAME; default: the "
        "dialect's.",
        show_default=False,
    ),
]
Outputs = Annotated[
    str,
    typer.Option(
        metavar="last|all|none",
        help="Of a new task: which images of answers are targets; default: the last.",
        show_default=False,
    ),
]
ImageFolder = Annotated[
    str, typer.Option(metavar="DIR", help="Where image paths start; default: beside the file.", show_default=False)
]
Column = Annotated[
    list[str],
    typer.Option(metavar="USE=COLUMN", help="A column with an odd name; may be given again.", show_default=False),
]
DialectOption = Annotated[
    list[str],
    typer.Option(
        "--option", "-o", metavar="NAME=VALUE", help="Of the dialect; may be given again.", show_default=False
    ),
]
Download = Annotated[
    str,
    typer.Option(
        metavar="DIR", help="Fetch images that are named by http addresses into this folder.", show_default=False
    ),
]
Files = Annotated[
    str, typer.Option(metavar="PATTERN", help="Files of records to read; default: all.", show_default=False)
]
Name = Annotated[
    str, typer.Option(metavar="TEXT", help="`source` of all rows; default: the Hub id.", show_default=False)
]
License = Annotated[
    str, typer.Option(metavar="TEXT", help="`license` of all rows; default: as on the Hub.", show_default=False)
]
ListDialects = Annotated[bool, typer.Option("--list", help="List the dialects.")]


@app.command("import")
def import_(
    source: Source = "",
    out: Out = None,
    format: FormatName = "",
    task: TaskName = "",
    outputs: Outputs = "",
    image_folder: ImageFolder = "",
    download: Download = "",
    column: Column = [],  # noqa: B006
    option: DialectOption = [],  # noqa: B006
    files: Files = "",
    split: Split = "train",
    name: Name = "",
    license: License = "",
    revision: Revision = None,
    token: Token = None,
    limit: Limit = None,
    on_bad_row: OnBad = "raise",
    max_in_a_row: MaxInARow = 100,
    dry_run: DryRun = False,
    list_dialects: ListDialects = False,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    json: Json = False,
) -> None:
    """Read what others published, or what `convert` wrote, into a packed dataset.

    What it is read as is recognised by looking, and said; --dry-run says it and stops.

    Example: unifiedvisual import HuggingFaceM4/the_cauldron packed --files "ai2d/*"
    """
    from toolkit.cli import convert, import_rows

    if list_dialects:
        import_rows.list_dialects(as_json=json)
        return
    if not (source and out):
        raise typer.BadParameter("SRC and OUT are needed, or --list")
    reading: dict[str, Any] = {"task": task, "outputs": outputs, "image_folder": image_folder, "download": download}
    reading |= {"files": files, "split": split, "name": name, "license": license}
    reading |= {"revision": revision, "token": token}
    reading |= {"columns": import_rows.parse_columns(column), "options": convert.parse_options(option)}
    how = spread(workers, executor, part, out)
    packing = {"limit": limit, "max_in_a_row": max_in_a_row}
    import_rows.run(source, out, format, reading, on_bad_row, packing, dry_run=dry_run, as_json=json, **how)
