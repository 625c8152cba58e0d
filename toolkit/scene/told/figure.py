"""What the told problems share: the record, and the sheet their drawings are made on."""

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.scene.colours import Rgb, lab
from toolkit.scene.raster import Pixels, Polygons, paint, stroke
from toolkit.scene.render import SIDE, background
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES, Style, style_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A drawing that helps to think: how to make it, and what it shows, in words."""

    caption: str
    draw: Callable[[], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thought:
    """A line of reasoning, and the drawing it leads to, if any."""

    text: str
    drawing: Drawing | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem told in words.

    Attributes:
        kind: a key of `told.PROBLEMS`.
        question: everything the reader is told, and what is asked.
        thoughts: the rationale, in order.
        answer: as short as possible.
        num_choices: how many answers are equally likely.
        facts: what was drawn, JSON-ready, so that the drawing can be checked.
    """

    kind: str
    question: str
    thoughts: tuple[Thought, ...]
    answer: str
    num_choices: int
    facts: dict[str, object]


def style_for(stream: Stream) -> Style:
    return STYLES[stream.pick(tuple(STYLES))]


def sheet(style: Style, kind: str = "plain") -> Pixels:
    """An empty ground of the style, 512 x 512."""
    return background(style.name, kind, SIDE, SIDE).copy()


def text_colour(style: Style) -> Rgb:
    """What can be read on the style's ground."""
    return style.ink if lab(style.ground)[0] > 60 else style.paper


def outlined(pixels: Pixels, shape: Polygons, fill: Rgb, style_name: str, width: float = 3.5) -> None:
    """Fill one polygon and draw its outline, in place."""
    paint(pixels, [shape], fill)
    style = style_named(style_name)
    line = style.line if style.name != "sticker" else style.ink
    paint(pixels, stroke(shape[0], width, closed=True), line)
