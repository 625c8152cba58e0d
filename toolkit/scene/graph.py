"""The scene graph: frozen records of what is in a picture and where.

A `Thing` says twice where it is: `place` is what people say ("top left"), `x`, `y`, `r` is what is drawn. Everything a
caption can tell (see `said`) is categorical, so that a caption can be read back to the same graph. Lengths are in units
of the picture's shorter side.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

from toolkit.scene.colours import Rgb
from toolkit.scene.shapes import half_extent
from toolkit.scene.styles import style_named

PLACES = ("top left", "top", "top right", "left", "centre", "right", "bottom left", "bottom", "bottom right")
# Half of a thing's longer side, as a fraction of the picture's shorter side.
RADIUS = {"small": 0.045, "medium": 0.08, "large": 0.125}
SIZES = tuple(RADIUS)
PATTERNS = ("plain", "striped", "spotted")
BACKGROUNDS = ("plain", "dotted", "grid", "lined", "shaded")
RELATIONS = ("left_of", "right_of", "above", "below")

PITCH = 0.31  # between the middles of neighbouring places, fraction of that side
Box: TypeAlias = tuple[float, float, float, float]  # x0 y0 x1 y1
Canvas: TypeAlias = tuple[int, int]  # width and height, pixels
SQUARE: Canvas = (512, 512)
WIDE: tuple[Canvas, ...] = ((560, 448), (624, 416))  # 5:4 and 3:2, of about as many pixels
TALL: tuple[Canvas, ...] = tuple((width, height) for height, width in WIDE)


class Said(NamedTuple):
    """What a caption tells of one thing. `inside` is colour and shape of what it lies in, "" if nothing."""

    size: str
    pattern: str
    colour: str
    shape: str
    place: str
    inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One thing in a picture.

    Attributes:
        id: "t1", "t2", ... in drawing order: what lies inside another thing comes after it.
        shape: a key of `shapes.SHAPES`.
        colour: name of its colour.
        size: a key of `RADIUS`.
        pattern: one of `PATTERNS`.
        place: one of `PLACES`.
        inside: id of the thing it lies in; "" = on the background.
        over: id of the thing that it hides a part of; "" = of none.
        text: what is written on it, in capital letters or digits; "" = nothing.
        x: middle, from the left.
        y: middle, from the top.
        r: half of its longer side.
        rgb: the very colour.
    """

    id: str
    shape: str
    colour: str
    size: str
    pattern: str
    place: str
    inside: str = ""
    x: float
    y: float
    r: float
    rgb: Rgb
    over: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture before it is drawn: things in drawing order (layers), background pattern, the style that holds palette
    and line set, and its size in pixels.
    """

    things: tuple[Thing, ...]
    background: str
    style: str
    canvas: Canvas = SQUARE

    @property
    def sides(self) -> tuple[float, float]:
        """Width and height; the shorter is 1."""
        return sides_of(self.canvas)

    def thing(self, id: str) -> Thing:
        return next(thing for thing in self.things if thing.id == id)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, columns: dict[str, Any]) -> "Scene":
        """The inverse of `to_dict`, also after JSON."""
        things = tuple(Thing(**{**thing, "rgb": Rgb(*thing["rgb"])}) for thing in columns["things"])
        return cls(**{**columns, "things": things, "canvas": tuple(columns.get("canvas", SQUARE))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A description that things may fit; "" = anything."""

    size: str = ""
    pattern: str = ""
    colour: str = ""
    shape: str = ""
    place: str = ""
    text: str = ""

    def fits(self, thing: Thing) -> bool:
        return (
            self.shape in ("", thing.shape)
            and self.colour in ("", thing.colour)
            and self.size in ("", thing.size)
            and self.pattern in ("", thing.pattern)
            and self.place in ("", thing.place)
            and self.text in ("", thing.text)
        )

    def named(self) -> dict[str, str]:
        """The attributes it names."""
        return {name: value for name, value in asdict(self).items() if value}


def select(scene: Scene, kind: Kind) -> tuple[Thing, ...]:
    return tuple(thing for thing in scene.things if kind.fits(thing))


def said(scene: Scene, thing: Thing) -> Said:
    holder = scene.thing(thing.inside) if thing.inside else None
    return Said(
        thing.size,
        thing.pattern,
        thing.colour,
        thing.shape,
        thing.place,
        f"{holder.colour} {holder.shape}" if holder else "",
    )


def related(one: Thing, relation: str, other: Thing, by: float = 0.06) -> bool:
    """Whether the middle of `one` is clearly (by more than `by`) to that side of the middle of `other`."""
    return {
        "left_of": one.x + by < other.x,
        "right_of": one.x > other.x + by,
        "above": one.y + by < other.y,
        "below": one.y > other.y + by,
    }[relation]


def sides_of(canvas: Canvas) -> tuple[float, float]:
    return canvas[0] / min(canvas), canvas[1] / min(canvas)


def centre_of(place: str, canvas: Canvas = SQUARE) -> tuple[float, float]:
    (width, height), (row, column) = sides_of(canvas), divmod(PLACES.index(place), 3)
    return width * (0.5 + (column - 1) * PITCH), height * (0.5 + (row - 1) * PITCH)


def extent(thing: Thing, style: str) -> Box:
    """The box of everything drawn for a thing: its silhouette and half the outline around it."""
    width, height = half_extent(thing.shape)
    line = style_named(style).line_width
    return (
        thing.x - width * thing.r - line,
        thing.y - height * thing.r - line,
        thing.x + width * thing.r + line,
        thing.y + height * thing.r + line,
    )


def apart(one: Box, other: Box, gap: float) -> bool:
    """Whether two boxes keep at least `gap` from each other."""
    return one[0] - gap >= other[2] or other[0] - gap >= one[2] or one[1] - gap >= other[3] or other[1] - gap >= one[3]


def within(inner: Box, outer: Box) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
