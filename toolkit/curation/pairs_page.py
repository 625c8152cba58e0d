"""Rows that go, beside what they are like: one HTML file, without scripts, in which a row is text and pixels alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.curation.database import database, literal
from toolkit.curation.features import Item, Items
from toolkit.curation.look import Piece
from toolkit.executors import Tell
from toolkit.report.embedding import embedded
from toolkit.report.preview import inlined
from toolkit.report.rendering import RowView, templates, view_row
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, quadrant_of, table_to_rows
from toolkit.sources.parquet import open_parquet, read_group
from toolkit.staging.files import write_whole

PAGE = "duplicates.html"
SHOWN = 20  # pairs of each reason, chosen by the md5 of the id
MEANINGS = {
    "duplicate": "the same texts and images as an earlier row",
    "near_text": "the same images, and nearly the same text",
    "near_images": "the same text, and images that look alike",
    "near_text_and_images": "nearly the same text, and images that look alike",
    "benchmark_image": "shows an image of a benchmark",
    "benchmark_text": "asks what a benchmark asks",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A row that goes, what it is like, and how much."""

    goes: RowView
    like: RowView
    score: float


@dataclass(frozen=True, kw_only=True)
class Section:
    """Pairs of one reason, of `count` in all."""

    reason: str
    meaning: str
    count: int
    pairs: tuple[Pair, ...]


def write_page(
    pieces: Sequence[Piece],
    benchmarks: Sequence[Items],
    duplicates: Path,
    unit: int,
    folder: Path,
    tell: Tell,
) -> dict[str, int]:
    """Write `duplicates.html`; returns rows that go, by reason.

    Args:
        benchmarks: pieces of benchmarks, which are numbered after those of the dataset.
        duplicates: the table of what goes.
    """
    with database(folder) as db:
        table = f"read_parquet({literal(str(duplicates))})"
        counts = dict(db.execute(f"SELECT reason, count(*) FROM {table} GROUP BY ALL ORDER BY ALL").fetchall())
        chosen = db.execute(
            f"SELECT reason, score, piece, row, like_piece, like_row FROM {table} QUALIFY row_number() OVER (PARTITION "
            f"BY reason ORDER BY md5(id), id) <= {SHOWN} ORDER BY reason, md5(id), id"
        ).fetchall()
    rows: list[Row] = []
    for *_, piece, row, like_piece, like_row in chosen:
        rows.append(_row(pieces[piece], row))
        item = like_piece - len(pieces)
        rows.append(_item(benchmarks[item], like_row) if item >= 0 else _row(pieces[like_piece], like_row))
    views = _views(rows)
    pairs = [
        (reason, Pair(goes=views[2 * n], like=views[2 * n + 1], score=score))
        for n, (reason, score, *_) in enumerate(chosen)
    ]
    sections = [
        Section(
            reason=reason,
            meaning=MEANINGS[reason],
            count=count,
            pairs=tuple(pair for named, pair in pairs if named == reason),
        )
        for reason, count in counts.items()
    ]
    template, style = templates().get_template("pairs.html"), inlined("style", ("style.css", "pairs.css"))
    write_whole(folder / PAGE, template.render(sections=sections, total=sum(counts.values()), **style))
    return counts


def _views(rows: Sequence[Row]) -> list[RowView]:
    with embedded(rows) as pictures:
        return [
            view_row(row, lambda _, number, made=made: made[number].result())  # type: ignore[misc]
            for row, made in zip(rows, pictures, strict=True)
        ]


def _row(piece: Piece, number: int) -> Row:
    ends = np.cumsum([0, *piece.shard.row_groups])
    group = int(np.searchsorted(ends, number, side="right")) - 1
    at = number - int(ends[group])
    with open_parquet(piece.source.repository, piece.shard.path) as parquet:
        for table in read_group(parquet, group):
            if at < len(table):
                return next(table_to_rows(table.slice(at, 1)))
            at -= len(table)
    raise IndexError(number)


def _item(items: Items, number: int) -> Row:
    """An item of a benchmark as a row that is only shown."""
    found: Iterable[Item] = items()
    item = next(islice((each for each in found if each.row == number), 1))
    messages = (Message("user", (*([IMAGE_PART] * len(item.images)), Part("text", item.asked))),)
    values: dict[str, Any] = {"image_roles": ("input",) * len(item.images), "image_captions": ("",) * len(item.images)}
    images = tuple(EncodedImage(image) for image in item.images)
    quadrant = quadrant_of(messages)
    return Row(id=item.id, task="benchmark", quadrant=quadrant, messages=messages, images=images, **values)
