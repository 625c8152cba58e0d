"""Problems told in words alone, where a drawing is the way to think: the picture belongs to the rationale, not to the
question.

figure   what a drawing holds, and the problem record
row      who hangs where: clues about an order
path     walking on a squared board
chart    amounts told by comparison, drawn as bars
clock    times and durations, drawn as clock faces
choices  the same as multiple choice
"""

from collections.abc import Callable

from toolkit.errors import UnknownName
from toolkit.scene.difficulty import USUAL, Level, level_named
from toolkit.scene.streams import Stream
from toolkit.scene.told.chart import chart_problem
from toolkit.scene.told.clock import clock_problem
from toolkit.scene.told.figure import Problem
from toolkit.scene.told.path import path_problem
from toolkit.scene.told.row import row_problem

PROBLEMS: dict[str, Callable[[Stream, Level], Problem]] = {
    "row": row_problem,
    "path": path_problem,
    "chart": chart_problem,
    "clock": clock_problem,
}


def sample_problem(stream: Stream, kind: str = "", level: str = USUAL) -> Problem:
    """A problem; a kind is drawn if none is given. The level is that of walks; the others have none.

    Raises:
        UnknownName: no such kind.
    """
    kind = kind or stream.pick(tuple(PROBLEMS))
    if kind not in PROBLEMS:
        raise UnknownName("problem kind", kind, PROBLEMS)
    return PROBLEMS[kind](stream.child(kind), level_named(level))
