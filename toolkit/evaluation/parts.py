"""The parts of the benchmark, in the order of the tables."""

from collections.abc import Callable

from toolkit.evaluation import drawing, editing, questions
from toolkit.evaluation.items import Item

# Part -> what makes its item of an id and a number.
PARTS: dict[str, Callable[[str, int], Item]] = {**drawing.PARTS, **editing.PARTS, **questions.PARTS}
