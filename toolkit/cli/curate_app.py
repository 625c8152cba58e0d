"""Wiring of the commands from packed datasets to one: merge, select, deduplicate, align."""

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.command import App
from toolkit.cli.options import DryRun, Json, RowGroupBytes, ShardSize, Tasks, Token, size
from toolkit.cli.spread import Executor, Part, Workers, spread

app = App()

Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="A folder; one with part of the same work is resumed.", show_default=False)
]
PACKED_HELP = "A packed dataset: a folder, org/name or hf://datasets/org/name[@revision][/folder]."

PackedSrc = Annotated[str, typer.Argument(metavar="SRC", help=PACKED_HELP, show_default=False)]


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
    reference: Annotated[
        bool, typer.Option("--reference", help="Leave shards of the Hub there; OUT says where each one is.")
    ] = False,
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
    run(sources, out, ids=ids, copy=copy, reference=reference, token=token, dry_run=dry_run, as_json=json, **how)


Where = Annotated[str, typer.Option(metavar="SQL", help="A condition over the text columns; see docs/curation.md.")]
Scores = Annotated[
    list[str], typer.Option(metavar="DIR", help="What `align` wrote: alignment, for --where.", show_default=False)
]
Sample = Annotated[float | None, typer.Option(metavar="N", help="Rows in all, or a share below 1.", show_default=False)]
PerTask = Annotated[int | None, typer.Option(metavar="N", help="Rows of each task.", show_default=False)]
Shares = Annotated[
    str,
    typer.Option(
        metavar="NAME=SHARE,...",
        help="Splits, as in train=0.98,validation=0.02; rows that share an image stay together.",
        show_default=False,
    ),
]
LargestPicture = Annotated[
    int | None,
    size("Leave out rows with a larger image", "500KB", "--drop-images-larger-than", "--drop-pictures-larger-than"),
]
Seed = Annotated[int, typer.Option(help="Another seed, another sample and other splits.")]


@app.command()
def select(
    source: PackedSrc,
    out: Out,
    where: Where = "",
    scores: Scores = [],  # noqa: B006
    tasks: Tasks = "all",
    sample: Sample = None,
    per_task: PerTask = None,
    split: Shares = "",
    drop_images_larger_than: LargestPicture = None,
    seed: Seed = 0,
    shard_size: ShardSize = 500_000_000,
    row_group_bytes: RowGroupBytes = 20_000_000,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    token: Token = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write the rows that are chosen as a packed dataset. No image is decoded, and what is left out is counted.

    Example: unifiedvisual select packed short --where "length(answer) < 500" --split train=0.98,validation=0.02
    """
    from toolkit.cli.select import parse_split, run

    choice: dict[str, Any] = {
        "where": where,
        "scores": scores,
        "sample": sample,
        "per_task": per_task,
        "split": parse_split(split),
        "max_image_bytes": drop_images_larger_than,
        "seed": seed,
        "token": token,
    }
    sizes = {"shard_bytes": shard_size, "row_group_bytes": row_group_bytes}
    run(source, out, tasks, choice, dry_run=dry_run, as_json=json, **sizes, **spread(workers, executor, part, out))


@app.command()
def deduplicate(
    source: PackedSrc,
    out: Out,
    by: Annotated[
        str, typer.Option(metavar="row|text|image", help="Alike are: texts and all images, texts, or any image.")
    ] = "row",
    near_text: Annotated[
        float, typer.Option(metavar="SHARE", help="Least share of runs of three words that near texts have in common.")
    ] = 0.8,
    near_images: Annotated[
        bool, typer.Option(help="Also images that look alike; else those of the same bytes alone.")
    ] = True,
    against: Annotated[
        list[str],
        typer.Option(
            metavar="BENCHMARK",
            help="Leave out what it has: a packed dataset, JSON Lines, or a folder of these and images.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    tasks: Tasks = "all",
    shard_size: ShardSize = 500_000_000,
    row_group_bytes: RowGroupBytes = 20_000_000,
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    token: Token = None,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Leave out rows that are like an earlier one, or like what a benchmark asks or shows. All are counted, listed, and
    shown beside what they are like.

    Example: unifiedvisual deduplicate merged unique --against benchmark.jsonl
    """
    from toolkit.cli.deduplicate import run

    rule = {"by": by, "near_text": near_text, "near_images": near_images, "against": against, "token": token}
    sizes = {"shard_bytes": shard_size, "row_group_bytes": row_group_bytes}
    run(source, out, tasks, rule, dry_run=dry_run, as_json=json, **sizes, **spread(workers, executor, part, out))


@app.command()
def align(
    source: PackedSrc,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for the scores.", show_default=False)],
    by: Annotated[
        str, typer.Option(metavar="NAME", help="scene (exact, procedural rows), clip, or a backend of generate.")
    ] = "scene",
    option: Annotated[
        list[str], typer.Option("--option", "-o", metavar="NAME=VALUE", help="Of it, as model=...", show_default=False)
    ] = [],  # noqa: B006
    kinds: Annotated[str, typer.Option(metavar="NAMES", help="What is scored.")] = "caption,text,edit",
    max_usd: Annotated[
        float | None,
        typer.Option(
            metavar="USD",
            help="No call of a model is sent that could pass it; paid models need it.",
            show_default=False,
        ),
    ] = None,
    tasks: Tasks = "all",
    workers: Workers = 1,
    executor: Executor = "local",
    part: Part = "",
    token: Token = None,
    json: Json = False,
) -> None:
    """Score how well images fit captions and texts, and edits fit their instructions.

    Example: unifiedvisual align packed scores --by clip -o model=openai/clip-vit-base-patch32
    """
    from toolkit.cli.align import run

    how = {"by": by, "max_usd": max_usd, "token": token, **spread(workers, executor, part, out)}
    run(source, out, option=option, kinds=kinds, tasks=tasks, as_json=json, **how)
