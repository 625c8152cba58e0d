"""Wiring of the commands that turn rows into what trainers read, and back: convert, tokenize, lengths."""

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.command import App
from toolkit.cli.options import SRC_HELP, Json, MappingFile, MaxInARow, OnBad, Revision, Split, Src, Tasks, Token
from toolkit.cli.spread import Executor, Part, Workers, spread

app = App()


FormatName = Annotated[
    str,
    typer.Argument(
        metavar="FORMAT", help="One of `convert --list`, or module:NAME or file.py:NAME.", show_default=False
    ),
]
Converted = Annotated[
    Path | None, typer.Argument(metavar="OUT", help="A folder; made if it is not there.", show_default=False)
]
Profile = Annotated[
    str, typer.Option(metavar="NAME", help="Variant of the format; default: its first.", show_default=False)
]
OutputImages = Annotated[
    str,
    typer.Option(metavar="error|context|drop", help="llava: what to do with images in answers.", show_default=False),
]
FormatOption = Annotated[
    list[str],
    typer.Option("--option", "-o", metavar="NAME=VALUE", help="Any other option of the format.", show_default=False),
]
OnUnfit = Annotated[
    str, typer.Option(metavar="error|drop", help="Good rows the format cannot hold: stop, or count and leave out.")
]
ListFormats = Annotated[bool, typer.Option("--list", help="List the formats, and what each can and cannot hold.")]


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SRC", help=SRC_HELP, show_default=False)] = "",
    format: FormatName = "",
    out: Converted = None,
    profile: Profile = "",
    output_images: OutputImages = "",
    option: FormatOption = [],  # noqa: B006
    on_unfit: OnUnfit = "error",
    tasks: Tasks = "all",
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    on_missing: OnBad = "raise",
    on_bad_row: OnBad = "raise",
    max_in_a_row: MaxInARow = 100,
    split: Split = "train",
    mapping: MappingFile = None,
    revision: Revision = None,
    token: Token = None,
    list_formats: ListFormats = False,
    json: Json = False,
) -> None:
    """Convert a source to the format a trainer reads, and report everything kept, moved, dropped and why.

    Nothing is lost in silence: what a format cannot hold stops the conversion, unless an option says to drop and count
    it.

    Example: unifiedvisual convert packed webdataset shards --workers 2
    """
    from toolkit.cli import convert as command

    if list_formats:
        command.list_formats(as_json=json)
        return
    if not (source and format and out):
        raise typer.BadParameter("SRC, FORMAT and OUT are needed, or --list")
    given = {"profile": profile, "output_images": output_images}
    options = command.parse_options(option) | {name: value for name, value in given.items() if value}
    reading: Any = {"mapping": mapping, "split": split, "revision": revision, "token": token}
    policies: Any = {"on_missing": on_missing, "on_bad_row": on_bad_row, "on_unfit": on_unfit}
    policies["max_in_a_row"] = max_in_a_row
    how = spread(workers, executor, part, out)
    command.run(source, format, out, tasks, options, as_json=json, **reading, **policies, **how)


TokenFolder = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="A folder of ids; what is there is kept, and the rest is added.", show_default=False
    ),
]
Checkpoint = Annotated[
    str,
    typer.Option(
        metavar="PATH_OR_ID",
        help="Chameleon, Anole, Emu3 or Janus in the form of transformers.",
        show_default=False,
    ),
]
TokenizerName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Tokenizer of the model; default: by its model type. Or module:NAME.",
        show_default=False,
    ),
]
ModelRevision = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit of the model.", show_default=False)
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        min=16,
        metavar="PX",
        help="Emu3: no image larger than PX x PX pixels; default: the processor's limit.",
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, ...; default: cuda where there is one.", show_default=False),
]


@app.command()
def tokenize(
    source: Src,
    out: TokenFolder,
    model: Checkpoint,
    tokenizer: TokenizerName = "",
    model_revision: ModelRevision = None,
    image_size: ImageSize = None,
    device: Device = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images encoded at once; more is faster on a GPU.")] = 1,
    tasks: Tasks = "all",
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    on_bad_image: OnBad = "raise",
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Compute the VQ ids of all images once, so that training needs neither the VQ model nor the images.

    Images that are there are not encoded again; killed at any moment, the same command resumes. For Janus only
    images in answers have ids. Every worker loads the model. Needs: pip install -c constraints.txt -e '.[train]'

    Example: unifiedvisual tokenize packed tokens --model BAAI/Emu3-Chat-hf --image-size 512 --batch-size 16
    """
    from toolkit.cli.tokenize import run

    chosen: Any = {
        "checkpoint": model,
        "name": tokenizer,
        "revision": model_revision,
        "image_size": image_size,
        "device": device,
    }
    how = {"batch_size": batch_size, "on_bad_image": on_bad_image, **spread(workers, executor, part, out)}
    run(source, out, tasks, model=chosen, revision=revision, token=token, as_json=json, **how)


@app.command()
def lengths(
    source: Src,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="A folder of lengths; may hold the ids that `tokenize` wrote.", show_default=False
        ),
    ],
    collator: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="chameleon, emu3, janus or understanding; or module:NAME or file.py:NAME.",
            show_default=False,
        ),
    ],
    model: Checkpoint,
    tokens: Annotated[
        str, typer.Option(metavar="DIR", help="Image ids that `tokenize` wrote.", show_default=False)
    ] = "",
    model_revision: ModelRevision = None,
    thoughts: Annotated[
        bool, typer.Option("--thoughts", help="Rationales as thoughts; see get_collator. For understanding.")
    ] = False,
    config: Annotated[str, typer.Option(metavar="NAME", help="all, a family or a task.")] = "all",
    on_bad_row: OnBad = "raise",
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    revision: Revision = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Count the tokens of every row of a packed dataset, as a collator makes them: what batches by tokens need.

    Rows that are there are not measured again; killed at any moment, the same command resumes. Needs: pip install -c
    constraints.txt -e '.[train]'

    Example: unifiedvisual lengths packed lengths --collator understanding --model Qwen/Qwen2.5-VL-3B-Instruct
    """
    from toolkit.cli.lengths import run

    chosen: Any = {"name": collator, "checkpoint": model, "image_tokens": tokens or None, "revision": model_revision}
    chosen |= {"thoughts": True} if thoughts else {}
    how = {"on_bad_row": on_bad_row, **spread(workers, executor, part, out)}
    run(source, out, config, collator=chosen, revision=revision, token=token, as_json=json, **how)
