"""`unifiedvisual lengths`: tokens of every row of a packed dataset, as a collator counts them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.cli.terminal import item_progress, print_json, say, stages
from toolkit.collate import load_collator
from toolkit.errors import MissingExtra
from toolkit.streaming.reading import open_packed


def run(
    source: str,
    out: Path,
    config: str,
    *,
    collator: dict[str, Any],
    revision: str | None,
    token: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    try:
        from toolkit.collate.lengths import measure_lengths
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", "train") from error
    with stages.status("loading the processor"):
        collate = load_collator(**collator, token=token)
    rows = sum(shard.rows for shard in open_packed(source, config, revision=revision, token=token).shards)
    with item_progress("rows", rows) as advance:
        done = measure_lengths(
            source, collate, out, name=config, revision=revision, token=token, on_rows=advance, **how
        )
    if as_json:
        print_json({"folder": str(out), **asdict(done)})
        return
    say(f"{done.measured:,} rows measured, {done.known:,} were there already; in {out}, revision {done.revision}")
    if done.left_out:
        say(f"Rows that cannot be encoded: {', '.join(f'{count:,} {kind}' for kind, count in done.left_out.items())}")
    say(f'Next: StreamingDataset("{source}", "{config}", lengths="{out}", max_tokens=8192)')
