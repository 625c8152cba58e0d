"""`unifiedvisual tokenize`: images of a source -> VQ ids of a model, in Parquet, for collators to look up."""

import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from toolkit.cli.terminal import item_progress, print_json, say
from toolkit.errors import MissingExtra
from toolkit.sources.layout import choose_tasks, open_source
from toolkit.sources.manifest import MANIFEST, read_manifest


def run(
    source: str,
    out: Path,
    tasks: str,
    *,
    model: dict[str, Any],
    revision: str | None,
    token: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    try:
        from toolkit.collate.token_jobs import Checkpoint, tokenize_source

        if not sys.stderr.isatty():
            import_module("transformers").utils.logging.disable_progress_bar()
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    opened = open_source(source, revision=revision, token=token)
    wanted = choose_tasks(opened, tasks.split(","))
    manifest = read_manifest(opened.repository) if MANIFEST in opened.repository.list_files() else None
    with item_progress("images", manifest.total("images", wanted) if manifest else None) as advance:
        done = tokenize_source(opened, out, Checkpoint(**model, token=token), wanted, on_images=advance, **how)
    if as_json:
        print_json({"folder": str(out), "model": model["checkpoint"], **asdict(done)})
        return
    say(
        f"{done.encoded:,} images encoded, {done.known:,} were there already or came twice; in {out} as ids of "
        f"{done.family}, revision {done.revision}"
    )
    if done.left_out:
        say(f"Rows left out: {', '.join(f'{count:,} {kind}' for kind, count in done.left_out.items())}")
    say(f'Next: get_collator("{done.family}", processor=processor, image_tokens=StoredTokens("{out}"))')
