"""Problems told in words alone, where a drawing is the way to think: the picture belongs to the rationale, not to the
question.

figure   what a drawing holds, and the problem record
row      who hangs where: clues about an order
path     walking on a squared board
chart    amounts told by comparison, drawn as bars
clock    times and durations, drawn as clock faces
"""

from collections.abc import Callable

from toolkit.errors import UnknownName
from toolkit.scene.streams import Stream
from toolkit.scene.told.chart import chart_problem
from toolkit.scene.told.clock import clock_problem
from toolkit.scene.told.figure import Problem
from toolkit.scene.told.path import path_problem
from toolkit.scene.told.row import row_problem

PROBLEMS: dict[str, Callable[[Stream], Problem]] = {
    "row": row_problem,
    "path": path_problem,
    "chart": chart_problem,
    "clock": clock_problem,
}


def sample_problem(stream: Stream, kind: str = "") -> Problem:
    """A problem; a kind is drawn if none is given.

    Raises:
        UnknownName: no such kind.
    """
    kind = kind or stream.pick(tuple(PROBLEMS))
    if kind not in PROBLEMS:
        raise UnknownName("problem kind", kind, PROBLEMS)
    return PROBLEMS[kind](stream.child(kind))
