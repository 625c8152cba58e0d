"""Wiring of the commands that show what a dataset holds: stats, preview, browse, card; and what the machine has."""

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli.command import App
from toolkit.cli.options import SRC_HELP, Json, MappingFile, Revision, Src, Tasks, Token

app = App()


@app.command()
def stats(
    source: Src,
    tasks: Tasks = "all",
    plots: Annotated[
        Path | None,
        typer.Option(
            "--plots", metavar="DIR", help="Also draw them, and a sheet of rows of each task.", show_default=False
        ),
    ] = None,
    mapping: MappingFile = None,
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Count what a source holds: rows, images by role, resolutions, bytes, text lengths, quadrants, licences.

    Example: unifiedvisual stats packed --tasks image_editing,llava_cot --plots packed/plots
    """
    from toolkit.cli.stats import run

    run(source, tasks, plots=plots, mapping=mapping, revision=revision, token=token, as_json=json)


@app.command()
def preview(
    source: Src,
    out: Annotated[Path, typer.Argument(metavar="OUT.html", help="The file to write.", show_default=False)],
    tasks: Tasks = "all",
    rows: Annotated[int, typer.Option(min=1, help="Rows of each task.")] = 8,
    seed: Annotated[int, typer.Option(help="Another seed draws other rows.")] = 0,
    mapping: MappingFile = None,
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Show some rows of every task as conversations, images in place, in one HTML file that needs no network and can
    be mailed.

    Reads no more of a packed dataset than the rows need; of the layout as published, the front of every archive.

    Example: unifiedvisual preview packed preview.html --rows 8
    """
    from toolkit.cli.preview import run

    run(source, out, tasks, rows=rows, seed=seed, mapping=mapping, revision=revision, token=token, as_json=json)


@app.command()
def browse(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help=f"A packed dataset: {SRC_HELP[0].lower()}{SRC_HELP[1:]}", show_default=False
        ),
    ],
    against: Annotated[
        str | None,
        typer.Option(metavar="SRC", help="Another packed dataset, to compare rows side by side.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8765,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Any but the default lets other machines read the dataset.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
    revision: Revision = None,
    token: Token = None,
) -> None:
    """Page through a packed dataset in a browser: filters, search, single rows, images, a row in any training format.
    Needs the extra `report`.

    Reads the text columns once, in the background, and keeps them in .browse beside the dataset, or in the cache.
    Images are read where a row is opened. Ctrl-C ends it.

    Example: unifiedvisual browse packed --open
    """
    from toolkit.cli.browse import run

    run(source, against=against, host=host, port=port, open_browser=open_browser, revision=revision, token=token)


@app.command()
def card(
    source: Src,
    croissant: Annotated[
        bool, typer.Option("--croissant", help="Print Croissant JSON-LD instead of README.md.")
    ] = False,
    repo_id: Annotated[
        str | None,
        typer.Option(
            "--repo-id",
            metavar="ORG/NAME",
            help="Where the dataset will be; default: SRC on the Hub, else fnlp-vision/UnifiedVisual, or "
            "your-org/FOLDER where no task of it is there.",
        ),
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
def doctor(
    hub: Annotated[bool, typer.Option(help="Also ask whether the Hub answers.")] = True,
    json: Json = False,
) -> None:
    """What works on this machine, and what each missing thing costs; for an issue, paste its output. Exits 1 if the
    core does not work.

    Example: unifiedvisual doctor
    """
    from toolkit.cli.doctor import run

    run(hub=hub, as_json=json)
