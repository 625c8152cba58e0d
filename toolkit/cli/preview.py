"""`unifiedvisual preview`: a few rows of every task as one HTML file."""

from dataclasses import asdict
from pathlib import Path

from toolkit.cli.terminal import byte_progress, item_progress, print_json, say
from toolkit.errors import SHOWN, UsageError
from toolkit.report.plots import check_installed
from toolkit.report.preview import Written, write_preview
from toolkit.report.rendering import templates
from toolkit.report.sampling import sample
from toolkit.sizes import show_bytes
from toolkit.sources.layout import choose_tasks, open_source
from toolkit.sources.repository import Repository, address, root_of
from toolkit.sources.skips import Skips
from toolkit.staging.files import check_kind


def run(
    source: str,
    out: Path,
    tasks: str,
    *,
    rows: int,
    seed: int,
    mapping: str | None,
    revision: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    if out.is_dir():
        raise UsageError(f"{out} is a folder; expected a file to write, such as {out / 'preview.html'}")
    check_kind(out, ".html", ".htm")
    templates()
    check_installed()
    opened = open_source(source, revision=revision, token=token, mapping=mapping)
    wanted = choose_tasks(opened, tasks.split(","))
    skips = Skips(on_missing="skip", on_bad_row="skip")
    with byte_progress(opened.repository.list_files()) as on_read:
        sampled = sample(opened, wanted, rows=rows, seed=seed, skips=skips, on_read=on_read)
    with item_progress("rows", sum(len(each.rows) for each in sampled.values())) as advance:
        written = write_preview(
            out,
            sampled,
            **_named(source, opened.repository),
            mapping=mapping,
            seed=seed,
            per_task=rows,
            vocabulary=opened.vocabulary,
            on_row=lambda: advance(1),
        )
    if as_json:
        print_json({"out": str(out), **asdict(written), "found": skips.counts})
        return
    _print(written, out)
    if skips.counts:
        say(f"Found while reading: {skips.summary()}. `unifiedvisual verify {source}` lists all.")


def _named(source: str, repository: Repository) -> dict[str, str]:
    """A folder is called as the caller does: a page may be mailed, and shows no path of this machine besides."""
    if root_of(repository):
        return {"source": source, "address": source}
    return {"source": repository.name, "address": address(repository)}


def _print(written: Written, out: Path) -> None:
    for problem in written.problems[:SHOWN]:
        say(f"not shown: {problem}")
    missing = f"; {len(written.problems):,} cannot be shown, and the page says why" if written.problems else ""
    rows = f"{sum(written.rows.values()):,} rows of {len(written.rows)} tasks"
    say(f"{out}: {rows} with {written.images:,} images{missing}; {show_bytes(written.bytes)}. Open it in a browser.")
