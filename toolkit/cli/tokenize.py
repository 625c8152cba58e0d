"""`unifiedvisual tokenize`: pictures of a source -> VQ ids of a model, in Parquet, for collators to look up."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.cli.terminal import item_progress, print_json, say, stages
from toolkit.collate import load_tokenizer
from toolkit.sources.layout import Source, choose_tasks, open_source
from toolkit.sources.manifest import MANIFEST, read_manifest
from toolkit.sources.skips import Skips

IMAGES_PER_FILE = 1024  # what a kill can lose: some minutes on a CPU, seconds on a GPU


def run(
    source: str,
    out: Path,
    tasks: str,
    *,
    model: str,
    tokenizer: str,
    model_revision: str | None,
    image_size: int | None,
    device: str | None,
    batch_size: int,
    skips: Skips,
    revision: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    opened = open_source(source, revision=revision, token=token)
    wanted = choose_tasks(opened, tasks.split(","))
    with stages.status(f"loading {model}"):
        family, encoder = load_tokenizer(
            model, name=tokenizer, revision=model_revision, image_size=image_size, device=device, token=token
        )
        encoder.batch_size = batch_size
        revision_of_ids = encoder.revision
    from toolkit.collate.tokens import tokenize  # loads torch

    counts = tokenize(
        _rows(opened, wanted, skips),
        encoder,
        out,
        answers_only=encoder.answers_only,
        batch_size=batch_size,
        images_per_file=IMAGES_PER_FILE,
        skips=skips,
    )
    if as_json:
        about = {"folder": str(out), "model": model, "family": family, "revision": revision_of_ids}
        print_json({**about, **counts, "left_out": skips.counts})
    else:
        _print(counts, skips, out, family=family, revision=revision_of_ids)


def _print(counts: Mapping[str, int], skips: Skips, out: Path, *, family: str, revision: str) -> None:
    say(
        f"{counts['encoded']:,} pictures encoded, {counts['known']:,} were there already or came twice; in {out} as "
        f"ids of {family}, revision {revision}"
    )
    if skips.counts:
        say(f"Rows left out: {skips.summary()}")
    say(f'Next: get_collator("{family}", processor=processor, image_tokens=StoredTokens("{out}"))')


def _rows(source: Source, tasks: list[str], skips: Skips) -> Iterator[Mapping[str, Any]]:
    manifest = read_manifest(source.repository) if MANIFEST in source.repository.list_files() else None
    with item_progress("pictures", manifest.total("images", tasks) if manifest else None) as advance:
        for task in tasks:
            for row in source.read(task, skips):
                yield row.to_dict()
                advance(len(row.images))
