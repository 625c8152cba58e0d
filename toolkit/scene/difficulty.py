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
        kinds: of questions; none = all.
        moves: of a walk on a board, fewest and most.
    """

    extra: int
    kinds: tuple[str, ...]
    moves: tuple[int, int]


LEVELS = {
    "easy": Level(-1, ("exist", "colour", "shape", "place", "count", "inside", "larger"), (2, 2)),
    USUAL: Level(0, (), (3, 5)),
    "hard": Level(
        2,
        (
            *("without", "count_all", "count_many", "difference", "chain", "long_chain", "same", "other_than"),
            *("more", "extreme", "relation"),
        ),
        (6, 7),
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
