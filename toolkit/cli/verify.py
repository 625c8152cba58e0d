"""`unifiedvisual verify`: everything read once, every row checked, all problems listed."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from conversion import Report, import_rows
from conversion.formats import Shard
from conversion.report import REPORT_NAME
from toolkit.cli.terminal import byte_progress, item_progress, print_json, print_problems, published_count, say, table
from toolkit.errors import ImageError, SourceError
from toolkit.images import Decoder
from toolkit.packing.verify import Findings, verify_packed
from toolkit.published import PUBLISHED
from toolkit.schema import Row
from toolkit.sources.layout import open_source
from toolkit.sources.packed import PackedSource
from toolkit.sources.published.source import UpstreamSource
from toolkit.sources.skips import Skips
from toolkit.tasks import TASKS


def run(
    source: str,
    *,
    deep: bool,
    workers: int,
    mapping: str | None,
    revision: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    if Path(source, REPORT_NAME).is_file():
        skips = _every_problem()
        found = _check_converted(Path(source), skips, Decoder() if deep else None)
        report(source, found, dict(skips.counts), skips.examples, deep=deep, as_json=as_json)
        return
    opened = open_source(source, revision=revision, token=token, mapping=mapping)
    if isinstance(opened, PackedSource):
        with item_progress("shards", len(opened.shards(opened.tasks))) as advance:
            found = verify_packed(opened.repository, deep=deep, workers=workers, on_shard=lambda path: advance(1))
        problems: dict[str, list[str]] = defaultdict(list)
        for kind, message in found.problems:
            problems[kind].append(message)
        counts = {kind: len(messages) for kind, messages in problems.items()}
    else:
        skips = _every_problem()
        found = _check_upstream(opened, skips, Decoder() if deep else None)
        problems, counts = skips.examples, dict(skips.counts)
    report(opened.repository.name, found, counts, problems, deep=deep, as_json=as_json)


def report(
    name: str, found: Findings, counts: dict[str, int], problems: dict[str, list[str]], *, deep: bool, as_json: bool
) -> None:
    """Print what was found; exit 1 if anything is wrong."""
    if as_json:
        print_json(
            {
                "source": name,
                "rows": found.rows,
                "images": found.images,
                "problems": counts,
                "examples": problems,
                "notes": [message for _, message in found.notes],
            }
        )
    else:
        tasks = (*PUBLISHED, *(task for task in found.rows if task not in PUBLISHED))
        rows = [(task, found.rows.get(task, 0), published_count(task), found.images.get(task, 0)) for task in tasks]
        table(name, ("task", "rows", "published", "pictures"), rows, right=("rows", "published", "pictures"))
        print_problems(counts, problems)
        for _, message in found.notes:
            say(f"Note: {message}")
        say(
            f"{sum(counts.values()):,} problems"
            if counts
            else f"Every row keeps every rule{', every picture decodes' if deep else ''}."
        )
    if counts:
        raise SystemExit(1)


def _every_problem() -> Skips:
    return Skips(on_missing="skip", on_bad_row="skip", max_in_a_row=sys.maxsize, num_examples=sys.maxsize)


def _check_upstream(source: UpstreamSource, skips: Skips, decoder: Decoder | None) -> Findings:
    return _count(_read(source, skips), skips, decoder)


def _check_converted(folder: Path, skips: Skips, decoder: Decoder | None) -> Findings:
    """Read a converted dataset by the way back of its format, and compare with what its report says was written.

    Raises:
        UsageError: the format has no way back.
    """
    written = Report.read(folder / REPORT_NAME)
    # Of records that name none; a rule of the row does not depend on it.
    options = {"task": next(iter(TASKS)), "any_task": True}
    pieces = (
        import_rows(written.format, folder, options=options, on_bad=lambda error: skips.note(error.kind, str(error)))
        if written.records_out
        else []
    )
    found = _count((row for piece in pieces for row in _whole(piece, skips)), skips, decoder)
    for what, there, expected in (
        ("records", found.rows, written.records_out),
        ("pictures", found.images, written.images_out),
    ):
        if (count := sum(there.values())) != expected:
            skips.note(
                f"{what}_count",
                f"{folder}: {count:,} {what} can be read; its {REPORT_NAME} says {expected:,} were written; convert "
                "again",
            )
    return found


def _whole(piece: Shard, skips: Skips) -> Iterator[Row]:
    try:
        for row in piece():
            if isinstance(row, Row):  # what is wrong with the others was noted
                yield row
    except SourceError as error:  # one broken file does not hide what the others hold
        skips.note("unreadable", str(error))


def _count(read: Iterator[Row], skips: Skips, decoder: Decoder | None) -> Findings:
    rows: Counter[str] = Counter()
    images: Counter[str] = Counter()
    for row in read:
        rows[row.task] += 1
        images[row.task] += len(row.images)
        for number, image in enumerate(row.images if decoder else ()):
            assert decoder is not None
            try:
                decoder.decode(image.bytes, f"{row.task}: row {row.id!r}: images[{number}] ({image.path})")
            except ImageError as error:
                skips.note(f"image_{error.kind}", str(error))
    return Findings(rows=dict(rows), images=dict(images))


def _read(source: UpstreamSource, skips: Skips) -> Iterator[Row]:
    with byte_progress(source.repository.list_files()) as on_read:
        for number, task in enumerate(source.tasks):
            try:
                yield from source.read(task, skips, owns_unknown=not number, on_read=on_read)
            except SourceError as error:  # one broken archive does not hide what the others hold
                skips.note("unreadable", str(error))
