"""Row -> what a page shows of it: a frozen view for `templates/row.html`.

    Row + links -> RowView -> row.html -> HTML

Pure: where an image's URL comes from is the caller's (`Links`): a data URI in a page of one file, a path on a server.
What a row holds is text to the template, which escapes it; `readable` takes out what a page cannot hold or what would
turn its order around.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from toolkit.errors import ImageError, MissingExtra
from toolkit.schema import Message, Part, Region, Row

if TYPE_CHECKING:
    from jinja2 import Environment

LONG, LEAD = 1600, 900  # characters: a text above LONG is folded behind its first LEAD
LABEL = 28  # characters of a region's label drawn in the image; the list below it has all

# Not allowed in HTML or in UTF-8: C0 and C1 controls, surrogates. Turning the order of what follows: bidirectional
# embeddings, overrides, isolates (UAX 9).
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How a page gets at an image.

    Attributes:
        thumbnail, full: URLs; the same where one file serves both.
        width_px, height_px: of the image as it is in the row, upright.
        note: how `full` differs from what is in the row; "" = it does not.
    """

    thumbnail: str
    full: str
    width_px: int
    height_px: int
    note: str = ""


# Gives the image `row.images[number]`. Raises ImageError where there is nothing to show; the page then says why.
Links = Callable[[Row, int], Shown]


@dataclass(frozen=True, kw_only=True)
class Box:
    """A region in percent of the image's width and height."""

    number: int  # from 1, within its image
    label: str
    x: float
    y: float
    width: float
    height: float

    @property
    def mark(self) -> str:
        """What is drawn in the image."""
        return f"{self.number} {self.label[:LABEL]}" + ("..." if len(self.label) > LABEL else "")


@dataclass(frozen=True, kw_only=True)
class PictureView:
    """An image in its place.

    Attributes:
        number: from 1, in reading order over the row.
        role: "input", "intermediate" or "output"; "" where the row does not say.
        shown: None where it cannot be shown, and `problem` says why.
    """

    number: int
    role: str
    caption: str
    alt: str
    boxes: tuple[Box, ...]
    shown: Shown | None
    problem: str = ""
    kind: str = "picture"


@dataclass(frozen=True, kw_only=True)
class TextView:
    """A text; `rest` is what is folded away, "" for a text that is not long."""

    lead: str
    rest: str
    kind: str = "text"


Piece = TextView | PictureView


@dataclass(frozen=True, kw_only=True)
class MessageView:
    """A turn: the rationale, if it can be told apart in it, and what follows."""

    role: str
    rationale: tuple[Piece, ...]
    content: tuple[Piece, ...]


@dataclass(frozen=True, kw_only=True)
class RowView:
    """All a page shows of a row.

    Attributes:
        rationale: of the column, where it is not found in the last reply; else None.
        left_over: images that no part of a message stands for; none in a row that keeps the rules.
        provenance: indented JSON.
    """

    id: str
    task: str
    quadrant: str
    origin: str
    source: str
    license: str
    messages: tuple[MessageView, ...]
    rationale: TextView | None
    left_over: tuple[PictureView, ...]
    provenance: str

    @property
    def pictures(self) -> tuple[PictureView, ...]:
        pieces = (piece for message in self.messages for piece in (*message.rationale, *message.content))
        return (*(piece for piece in pieces if isinstance(piece, PictureView)), *self.left_over)

    @property
    def problems(self) -> tuple[str, ...]:
        """Why images are not shown, one for each."""
        return tuple(picture.problem for picture in self.pictures if picture.problem)


def view_row(row: Row, links: Links) -> RowView:
    """What a page shows of a row; an image that cannot be shown is told in its place, whatever else is wrong with the
    row.
    """
    messages, number, is_found = [], 0, not row.rationale.strip()
    for index, message in enumerate(row.messages):
        is_last = index == len(row.messages) - 1
        parts, cut = _split(message, row.rationale) if is_last else (message.content, 0)
        is_found |= cut > 0
        pieces: list[Piece] = []
        for part in parts:
            pieces.append(_picture(row, number, links) if part.type == "image" else _text(part.text))
            number += part.type == "image"
        while 0 < cut < len(pieces) and isinstance(piece := pieces[cut], PictureView) and piece.role == "intermediate":
            cut += 1
        messages.append(
            MessageView(role=readable(message.role), rationale=tuple(pieces[:cut]), content=tuple(pieces[cut:]))
        )
    named = {name: readable(getattr(row, name)) for name in ("id", "task", "quadrant", "origin", "source", "license")}
    return RowView(
        **named,
        messages=tuple(messages),
        rationale=None if is_found else _text(row.rationale),
        left_over=tuple(_picture(row, left, links) for left in range(number, len(row.images))),
        provenance=readable(_indented(row.provenance)),
    )


def readable(text: str) -> str:
    """Text a page can hold: characters it cannot, and those that turn the reading order, are written as [U+202E]."""
    return UNPRINTABLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


@cache
def templates() -> "Environment":
    """The templates, everything that is put into them escaped.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise MissingExtra("jinja2", "report") from None
    return Environment(
        loader=PackageLoader("toolkit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _split(message: Message, rationale: str) -> tuple[Sequence[Part], int]:
    """The parts of a reply, and how many of them are its rationale; a text that holds its end and more becomes two. 0
    where it is not found.
    """
    parts, left = list(message.content), rationale.strip()
    for index, part in enumerate(parts):
        text = part.text.strip()
        if not left:
            return parts, index
        if left.startswith(text):  # an image has no text
            left = left[len(text) :].lstrip()
        elif text.startswith(left):
            return [
                *parts[:index],
                Part("text", left),
                Part("text", text[len(left) :].lstrip()),
                *parts[index + 1 :],
            ], index + 1
        else:
            return parts, 0
    return parts, 0 if left else len(parts)


def _text(text: str) -> TextView:
    shown = readable(text)
    cut = LEAD if len(shown) > LONG else len(shown)
    return TextView(lead=shown[:cut], rest=shown[cut:])


def _picture(row: Row, number: int, links: Links) -> PictureView:
    role = readable(row.image_roles[number]) if number < len(row.image_roles) else ""
    caption = readable(row.image_captions[number]) if number < len(row.image_captions) else ""
    shown, problem = None, ""
    try:
        if number >= len(row.images):
            raise ImageError(
                "a part of the message stands for an image, but the row has no more", kind="count_mismatch"
            )
        shown = links(row, number)
    except ImageError as error:
        problem = readable(str(error))
    regions = [region for region in row.regions if region.image == number]
    return PictureView(
        number=number + 1,
        role=role,
        caption=caption,
        alt=caption or f"{role} image {number + 1} of row {readable(row.id)}".strip(),
        boxes=tuple(_box(region, place) for place, region in enumerate(regions, start=1)),
        shown=shown,
        problem=problem,
    )


def _box(region: Region, number: int) -> Box:
    x0, y0, x1, y1 = (round(100 * min(max(edge, 0.0), 1.0), 3) for edge in region.box)
    return Box(
        number=number,
        label=readable(region.label),
        x=x0,
        y=y0,
        width=round(max(x1 - x0, 0), 3),
        height=round(max(y1 - y0, 0), 3),
    )


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
