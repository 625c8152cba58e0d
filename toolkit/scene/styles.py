"""Style families: a palette, a line set and a paper. The style of a picture is a true label, so retrieval by style can
be scored.

A style draws a colour name always in its own way, and leaves out names that it could not keep apart (a pastel red is
pink).
"""

from dataclasses import dataclass

from toolkit.errors import UnknownName
from toolkit.scene.colours import Rgb


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One way of drawing.

    Attributes:
        name: as said in captions.
        ground: the background colour.
        tint: second background colour, for the pattern behind the things.
        line: colour of outlines.
        line_width: of outlines, as a fraction of the picture's side.
        ink: dark colour of marks on light things, and of text on a light ground.
        paper: light colour of marks on dark things, and of text on a dark ground.
        fills: colour name -> how this style draws it.
    """

    name: str
    ground: Rgb
    tint: Rgb
    line: Rgb
    line_width: float
    ink: Rgb
    paper: Rgb
    fills: dict[str, Rgb]


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style(
            name="storybook",
            ground=Rgb(251, 244, 226),
            tint=Rgb(241, 229, 202),
            line=Rgb(74, 52, 40),
            line_width=0.0068,
            ink=Rgb(74, 52, 40),
            paper=Rgb(252, 246, 232),
            fills={
                "red": Rgb(206, 60, 52),
                "orange": Rgb(237, 138, 46),
                "yellow": Rgb(247, 206, 66),
                "green": Rgb(84, 154, 84),
                "blue": Rgb(66, 118, 188),
                "purple": Rgb(126, 82, 162),
                "pink": Rgb(240, 148, 182),
                "brown": Rgb(134, 90, 54),
            },
        ),
        Style(
            name="comic",
            ground=Rgb(255, 255, 255),
            tint=Rgb(228, 236, 244),
            line=Rgb(16, 16, 20),
            line_width=0.0092,
            ink=Rgb(16, 16, 20),
            paper=Rgb(255, 255, 255),
            fills={
                "red": Rgb(228, 34, 38),
                "orange": Rgb(252, 132, 14),
                "yellow": Rgb(255, 220, 20),
                "green": Rgb(44, 166, 72),
                "blue": Rgb(36, 102, 224),
                "purple": Rgb(138, 58, 178),
                "pink": Rgb(252, 128, 184),
            },
        ),
        Style(
            name="pastel",
            ground=Rgb(255, 250, 247),
            tint=Rgb(243, 234, 240),
            line=Rgb(112, 102, 124),
            line_width=0.0050,
            ink=Rgb(112, 102, 124),
            paper=Rgb(255, 255, 255),
            fills={
                "orange": Rgb(250, 176, 104),
                "yellow": Rgb(250, 226, 122),
                "green": Rgb(136, 204, 146),
                "blue": Rgb(140, 186, 242),
                "purple": Rgb(186, 150, 226),
                "pink": Rgb(248, 168, 198),
            },
        ),
        Style(
            name="chalkboard",
            ground=Rgb(45, 66, 58),
            tint=Rgb(58, 81, 72),
            line=Rgb(238, 238, 228),
            line_width=0.0062,
            ink=Rgb(38, 52, 48),
            paper=Rgb(240, 240, 230),
            fills={
                "red": Rgb(224, 82, 76),
                "orange": Rgb(242, 156, 78),
                "yellow": Rgb(242, 218, 106),
                "green": Rgb(128, 200, 124),
                "blue": Rgb(112, 170, 228),
                "purple": Rgb(176, 134, 214),
                "pink": Rgb(244, 162, 194),
            },
        ),
        Style(
            name="neon",
            ground=Rgb(20, 18, 36),
            tint=Rgb(36, 33, 60),
            line=Rgb(246, 242, 255),
            line_width=0.0050,
            ink=Rgb(20, 18, 36),
            paper=Rgb(246, 242, 255),
            fills={
                "red": Rgb(250, 52, 62),
                "orange": Rgb(255, 146, 34),
                "yellow": Rgb(255, 232, 66),
                "green": Rgb(70, 228, 112),
                "blue": Rgb(62, 122, 250),
                "purple": Rgb(168, 82, 250),
                "pink": Rgb(252, 112, 198),
            },
        ),
        Style(
            name="blueprint",
            ground=Rgb(34, 64, 108),
            tint=Rgb(48, 82, 130),
            line=Rgb(230, 240, 252),
            line_width=0.0062,
            ink=Rgb(24, 44, 78),
            paper=Rgb(232, 242, 252),
            fills={
                "red": Rgb(226, 78, 74),
                "orange": Rgb(242, 152, 72),
                "yellow": Rgb(244, 216, 92),
                "green": Rgb(116, 194, 114),
                "purple": Rgb(178, 132, 218),
                "pink": Rgb(244, 154, 188),
            },
        ),
        Style(
            name="sticker",
            ground=Rgb(186, 218, 232),
            tint=Rgb(170, 206, 223),
            line=Rgb(255, 255, 255),
            line_width=0.0130,
            ink=Rgb(40, 44, 62),
            paper=Rgb(255, 255, 255),
            fills={
                "red": Rgb(212, 54, 56),
                "orange": Rgb(242, 138, 46),
                "yellow": Rgb(250, 210, 60),
                "green": Rgb(70, 158, 88),
                "blue": Rgb(54, 104, 192),
                "purple": Rgb(130, 80, 168),
                "pink": Rgb(242, 138, 178),
                "brown": Rgb(128, 84, 52),
            },
        ),
    )
}


def style_named(name: str) -> Style:
    """The style of that name.

    Raises:
        UnknownName: no such style; lists the known ones.
    """
    if name not in STYLES:
        raise UnknownName("style", name, STYLES)
    return STYLES[name]


def styles_with(*colours: str) -> tuple[str, ...]:
    """Names of the styles that can draw all these colours."""
    return tuple(style.name for style in STYLES.values() if set(colours) <= set(style.fills))
