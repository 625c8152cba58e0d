"""How hard what the engine draws shall be: how many things are in a picture, which questions are asked about it, and
how long a problem told in words is.
"""

from typing import NamedTuple

from toolkit.errors import UnknownName
from toolkit.scene.graph import SQUARE, TALL, WIDE
from toolkit.scene.sampler import Look
from toolkit.scene.streams import Stream

MIXED = "mixed"  # a level is drawn for each sample
USUAL = "medium"


class Level(NamedTuple):
    """
    Attributes:
        extra: places of a picture that are taken, of nine, beyond the usual two to six.
        moves: of a walk on a board, fewest and most.
        kinds: of questions about scenes; none = all.
        charts: kinds of questions about charts; none = all.
    """

    extra: int
    moves: tuple[int, int]
    kinds: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()


LEVELS = {
    "easy": Level(
        extra=-1,
        moves=(2, 2),
        kinds=("exist", "colour", "shape", "place", "count", "inside", "larger", "says"),
        charts=("chart_highest", "chart_value"),
    ),
    USUAL: Level(extra=0, moves=(3, 5)),
    "hard": Level(
        extra=2,
        moves=(6, 7),
        kinds=(
            *("without", "count_all", "count_many", "difference", "chain", "long_chain", "same", "other_than"),
            *("more", "extreme", "relation", "front", "hides", "says_which"),
        ),
        charts=("chart_difference", "chart_above"),
    ),
}


def level_named(name: str) -> Level:
    """
    Raises:
        UnknownName: no such level.
    """
    if name not in LEVELS:
        raise UnknownName("difficulty", name, LEVELS)
    return LEVELS[name]


def look_of(stream: Stream, level: str) -> Look:
    """What a sample's pictures are like; half of them are square, the others wide or tall."""
    shapes = ((SQUARE,), (SQUARE,), WIDE, TALL)
    return Look(extra=level_named(level).extra, canvas=stream.pick(stream.pick(shapes)))
