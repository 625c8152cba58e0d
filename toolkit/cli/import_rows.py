"""`unifiedvisual import`: what others published, or files of a training format -> the packed layout."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conversion import import_source
from conversion.way_back import format_of
from dataset_card import write_card
from toolkit.cli.pack import print_manifest
from toolkit.cli.terminal import byte_progress, print_json, say, table
from toolkit.errors import UsageError
from toolkit.packing.pack import pack
from toolkit.packing.stage import PackOptions
from toolkit.sources.dialects import DIALECTS
from toolkit.sources.dialects.recognising import find_dialect
from toolkit.sources.dialects.source import Foreign, describe_foreign, open_foreign
from toolkit.sources.rows import RowsSource
from toolkit.staging.jobs import check_free


def run(
    source: str,
    out: Path,
    name: str,
    reading: dict[str, Any],
    on_bad: Any,
    packing: dict[str, Any],
    *,
    dry_run: bool,
    as_json: bool,
    **how: Any,
) -> None:
    options = PackOptions(on_bad_row=on_bad, on_missing=on_bad, on_bad_image=on_bad, **packing)
    check_free(out)  # before anything is looked at
    rows, told = _opened(source, out, name, reading)
    if dry_run:
        print_json(told) if as_json else _print(told)
        return
    if not as_json:
        _print(told)
    with byte_progress(rows.repository.list_files()) as on_read:
        manifest = pack(rows, out, rows.tasks, options, on_read=on_read, **how)
    write_card(out)
    if as_json:
        print_json(asdict(manifest) | {"read_as": told})
    else:
        print_manifest(manifest, out)


def _opened(source: str, out: Path, name: str, reading: dict[str, Any]) -> tuple[RowsSource, dict[str, Any]]:
    """The rows, and what was found of how they are read."""
    if form := format_of(source, name):
        options = {key: reading[key] for key in ("task", "image_folder")}
        if others := sorted(key for key, value in reading.items() if value and key not in (*options, "split", "token")):
            raise UsageError(f"{', '.join(others)}: for dialects; {form!r} is a format of `convert`")
        rows = import_source(form, Path(source), options=options, out=out)
        return rows, {"groups": [], "not_read": {}, "format": form}
    found = open_foreign(source, format=name, out=out, **reading)
    return found.rows, _told(found)


def _told(found: Foreign) -> dict[str, Any]:
    return {"groups": describe_foreign(found), "not_read": dict(found.not_read), "format": ""}


def _print(told: Mapping[str, Any]) -> None:
    if told["format"]:
        say(f"Read as the format {told['format']}, which `convert` writes.")
    for group in told["groups"]:
        first, more = group["files"][0], len(group["files"]) - 1
        say(f"{first}{f' and {more} more' if more else ''}: read as {group['dialect']}, since {group['why']}.")
        say(f"  task {group['task']}, targets among images of answers: {group['outputs']}")
        if group["options"]:
            say(f"  options: {', '.join(f'{key}={value!r}' for key, value in group['options'].items())}")
        if group["not_read"]:
            say(f"  columns not read: {', '.join(group['not_read'])}")
        if group["images_not_read"]:
            say(f"  of which hold images: {', '.join(group['images_not_read'])}")
        if group["also"]:
            say(f"  could also be read as {', '.join(group['also'])} (--format)")
    for path, why in told["not_read"].items():
        say(f"{path}: not read: {why}")


def parse_columns(pairs: Iterable[str]) -> dict[str, list[str]]:
    """USE=COLUMN[,COLUMN...] pairs.

    Raises:
        UsageError: one has no "=".
    """
    found: dict[str, list[str]] = {}
    for pair in pairs:
        use, equals, names = pair.partition("=")
        if not equals or not names:
            raise UsageError(f"--column {pair!r}: expected USE=COLUMN, or USE=COLUMN,COLUMN")
        found.setdefault(use, []).extend(names.split(","))
    return found


def list_dialects(*, as_json: bool) -> None:
    """Every dialect, and what it reads."""
    dialects = {name: find_dialect(name) for name in DIALECTS}
    if as_json:
        print_json(
            {
                name: {
                    "reads": each.reads,
                    "sign": each.sign,
                    "task": each.task.name,
                    "uses": list(each.uses),
                    "options": asdict(each.options()),
                }
                for name, each in dialects.items()
            }
        )
        return
    rows = [(name, each.sign, each.reads, each.task.name) for name, each in dialects.items()]
    table("Dialects", ("dialect", "recognised by", "reads", "task"), rows)
