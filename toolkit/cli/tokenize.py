"""`unifiedvisual tokenize`: pictures of a source -> VQ ids of a model, in Parquet, for collators to look up."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from toolkit.cli.pack import parse_tasks
from toolkit.cli.terminal import item_progress, print_json, say, stages
from toolkit.errors import MissingExtra, SourceError, UsageError
from toolkit.sources.layout import Source, open_source
from toolkit.sources.manifest import MANIFEST, read_manifest
from toolkit.sources.skips import Skips

# Model type of a checkpoint -> what makes the tokenizer of it.
TOKENIZERS = {
    "chameleon": "toolkit.collate.chameleon:chameleon_tokenizer",
    "emu3": "toolkit.collate.emu3:emu3_tokenizer",
    "janus": "toolkit.collate.janus:janus_tokenizer",
}
IMAGES_PER_FILE = 1024  # what a kill can lose: some minutes on a CPU, seconds on a GPU


def run(
    source: str,
    out: Path,
    tasks: str,
    *,
    model: str,
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
    wanted = [task for task in parse_tasks(tasks) if task in opened.tasks]
    with stages.status(f"loading {model}"):
        family, tokenizer = load_tokenizer(
            model, revision=model_revision, image_size=image_size, device=device, token=token
        )
        tokenizer.batch_size = batch_size
        revision_of_ids = tokenizer.revision
    counts = import_module("toolkit.collate.tokens").tokenize(
        _rows(opened, wanted, skips),
        tokenizer,
        out,
        answers_only=family == "janus",  # whose prompts show pictures as pixels
        batch_size=batch_size,
        images_per_file=IMAGES_PER_FILE,
        skips=skips,
    )
    if as_json:
        print_json(
            {
                "folder": str(out),
                "model": model,
                "family": family,
                "revision": revision_of_ids,
                **counts,
                "left_out": skips.counts,
            }
        )
        return
    say(
        f"{counts['encoded']:,} pictures encoded, {counts['known']:,} were there already or came twice; in {out} as "
        f"ids of {family}, revision {revision_of_ids}"
    )
    if skips.counts:
        say(f"Rows left out: {skips.summary()}")
    say(f'Next: get_collator("{family}", processor=processor, image_tokens=StoredTokens("{out}"))')


def load_tokenizer(
    model: str, *, revision: str | None, image_size: int | None, device: str | None, token: str | None
) -> tuple[str, Any]:
    """The family of a checkpoint and the tokenizer of its VQ encoder, on a device; the rest of the model stays where it
    is.

    Raises:
        MissingExtra: torch or transformers is not installed.
        UsageError: the model has no VQ tokenizer, or an option does not fit it. SourceError: it cannot be opened.
    """
    try:
        torch, transformers = import_module("torch"), import_module("transformers")
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    where: dict[str, Any] = {"revision": revision, "token": token}
    try:
        family = transformers.AutoConfig.from_pretrained(model, **where).model_type
        if family not in TOKENIZERS:
            raise UsageError(
                f"--model {model} is of type {family!r}; expected one that writes pictures as VQ ids: "
                f"{', '.join(TOKENIZERS)}"
            )
        processor = transformers.AutoProcessor.from_pretrained(model, **where)
        loaded = transformers.AutoModelForImageTextToText.from_pretrained(model, **where)
    except (OSError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise SourceError(
            f"--model {model}: cannot be opened: {str(error).splitlines()[0]}; expected a folder or a Hub model, "
            "org/name"
        ) from error
    if image_size:
        _fit(family, processor.image_processor, image_size)
    module, _, attribute = TOKENIZERS[family].partition(":")
    tokenizer = getattr(import_module(module), attribute)(loaded, processor)
    tokenizer.module.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return family, tokenizer


def _fit(family: str, image_processor: Any, image_size: int) -> None:
    if family != "emu3":
        raise UsageError(
            f"--image-size {image_size}: pictures of {family} have one size, which its processor fixes; leave the "
            "option out"
        )
    image_processor.max_pixels = image_size**2
    image_processor.min_pixels = min(image_processor.min_pixels, image_size**2)


def _rows(source: Source, tasks: list[str], skips: Skips) -> Iterator[Mapping[str, Any]]:
    manifest = read_manifest(source.repository) if MANIFEST in source.repository.list_files() else None
    with item_progress("pictures", manifest.total("images", tasks) if manifest else None) as advance:
        for task in tasks:
            for row in source.read(task, skips):
                yield row.to_dict()
                advance(len(row.images))
