"""A few rows of a task -> one JPEG: what is asked, the images with their roles, what is answered."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from toolkit.errors import ImageError
from toolkit.images import decode_image
from toolkit.report.embedding import where
from toolkit.report.figures import GRID, INK, PAPER, ROLES, SOFT
from toolkit.report.rendering import readable
from toolkit.schema import Row
from toolkit.staging.files import whole_file
from toolkit.tasks import NO_TASKS, Task, Vocabulary, task_named

ROWS = 4
WIDTH, MARGIN, GAP = 1200, 28, 12  # pixels
THUMBNAIL = (260, 170)  # width and height in pixels, at most
MOST_PICTURES = 4  # of a row
TEXT_LINES, LINE_CHARACTERS, LINE_PX = 2, 150, 19
BODY_PX, TITLE_PX = 15, 22


def keep_first(rows: Iterable[Row], kept: dict[str, list[Row]]) -> Iterator[Row]:
    """The same rows; the first of each task are also put into `kept`."""
    for row in rows:
        if len(listed := kept.setdefault(row.task, [])) < ROWS:
            listed.append(row)
        yield row


def write_sheets(rows: dict[str, list[Row]], folder: Path, vocabulary: Vocabulary = NO_TASKS) -> list[Path]:
    """Write `sheet-<task>.jpg` of each task; `vocabulary` defines tasks that are not of the nine."""
    written = []
    for task, listed in rows.items():
        written.append(folder / f"sheet-{task}.jpg")
        with whole_file(written[-1]) as file:
            contact_sheet(task_named(task, vocabulary), listed).save(file, "JPEG", quality=88)
    return written


def contact_sheet(task: Task, rows: Sequence[Row]) -> Image.Image:
    """RGB, WIDTH pixels wide and as high as the rows need. An undecodable image is an empty frame that says so."""
    blocks = [_title(task), *map(_block, rows)]
    sheet = Image.new("RGB", (WIDTH, sum(block.height for block in blocks) + MARGIN), PAPER)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return sheet


def _title(task: Task) -> Image.Image:
    canvas = Image.new("RGB", (WIDTH, MARGIN + TITLE_PX + GAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN - 4), task.name, INK, _font(TITLE_PX))
    about = ", ".join(filter(None, (task.family, task.quadrant)))
    draw.text((WIDTH - MARGIN, MARGIN), about, SOFT, _font(BODY_PX), anchor="ra")
    return canvas


class _Thumbnail(NamedTuple):
    picture: Image.Image | None  # None: it cannot be decoded
    size: tuple[int, int]
    label: str
    role: str


def _block(row: Row) -> Image.Image:
    asked, answered = _lines("Asked", row.instruction), _lines("Answered", row.answer)
    thumbnails = [_thumbnail(row, number) for number in range(min(len(row.images), MOST_PICTURES))]
    strip = max((each.size[1] for each in thumbnails), default=-2 * GAP) + 2 * GAP + LINE_PX
    canvas = Image.new(
        "RGB", (WIDTH, 3 * GAP + LINE_PX * (1 + len(asked) + len(answered)) + (strip if thumbnails else 0)), PAPER
    )
    draw = ImageDraw.Draw(canvas)
    draw.line((MARGIN, 0, WIDTH - MARGIN, 0), GRID)
    top = _write(draw, GAP, [f"{row.id}   {row.quadrant}   {row.origin}"], SOFT)
    top = _write(draw, top, asked, INK)
    if thumbnails:
        _draw_strip(canvas, draw, top + GAP // 2, thumbnails, len(row.images) - len(thumbnails))
        top += strip
    _write(draw, top, answered, INK)
    return canvas


def _draw_strip(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, top: int, thumbnails: Sequence[_Thumbnail], more: int
) -> None:
    left = MARGIN
    height = max(each.size[1] for each in thumbnails)
    for each in thumbnails:
        box = (left, top, left + each.size[0], top + each.size[1])
        if each.picture:
            canvas.paste(each.picture, box[:2])
        else:
            draw.rectangle(box, outline=SOFT)
            draw.text(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2), "no image", SOFT, _font(BODY_PX), anchor="mm")
        draw.rectangle((left, top + height + 5, left + 8, top + height + 13), ROLES.get(each.role, SOFT))
        draw.text((left + 14, top + height), each.label, SOFT, _font(BODY_PX))
        left += max(each.size[0], 140) + GAP
    if more:
        draw.text((left, top), f"+ {more}", SOFT, _font(BODY_PX))


def _thumbnail(row: Row, number: int) -> _Thumbnail:
    role = row.image_roles[number] if number < len(row.image_roles) else ""
    label = readable(f"{number + 1} {role}")
    try:
        picture = decode_image(row.images[number].bytes, where(row, number))
    except ImageError:
        return _Thumbnail(None, THUMBNAIL, label, role)
    picture.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    return _Thumbnail(picture, picture.size, label, role)


def _lines(what: str, text: str) -> list[str]:
    shown = readable(text[: 2 * TEXT_LINES * LINE_CHARACTERS])
    return textwrap.wrap(
        f"{what}: {shown}" if shown.strip() else "", LINE_CHARACTERS, max_lines=TEXT_LINES, placeholder=" ..."
    )


def _write(draw: ImageDraw.ImageDraw, top: int, lines: Sequence[str], colour: str) -> int:
    for line in lines:
        draw.text((MARGIN, top), line, colour, _font(BODY_PX))
        top += LINE_PX
    return top


@cache
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)
