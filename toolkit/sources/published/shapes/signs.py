"""What the pictures' paths say of the task of each row, one int8 a row: the paths may name an archive, or the task."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from toolkit.sources.published.shapes.words import task_named_in
from toolkit.tasks import TASKS

Signs = NDArray[np.int8]  # the number of a task in TASKS, or one of:
NO_PICTURE = -1  # the row names no picture
NOT_NAMED = -2  # it does, and no path names a task
CONFLICT = -3  # its paths name several tasks

NUMBERS = {task: number for number, task in enumerate(TASKS)}
NAMES = tuple(TASKS)


def signs_of(paths: pa.Array, rows: NDArray[np.int32], count: int) -> Signs:
    """Signs of `count` rows by paths, one for each entry of `rows`; a path names a task by its folders."""
    signs: Signs = np.full(count, NO_PICTURE, np.int8)
    if not len(paths):
        return signs
    folders = pc.dictionary_encode(pc.replace_substring_regex(paths, r"[^/\\]*$", ""))
    tasks = [NUMBERS.get(task_named_in(folder or ""), NOT_NAMED) for folder in folders.dictionary.to_pylist()]
    found = np.array([*tasks, NOT_NAMED], np.int8)[pc.fill_null(folders.indices, len(tasks)).to_numpy()]
    signs[rows] = NOT_NAMED
    largest, least = np.full(count, -1, np.int8), np.full(count, 127, np.int8)
    named = found >= 0
    np.maximum.at(largest, rows[named], found[named])
    np.minimum.at(least, rows[named], found[named])
    signs[largest >= 0] = largest[largest >= 0]
    signs[(largest >= 0) & (least < largest)] = CONFLICT
    return signs


def combine(left: Signs, right: Signs) -> Signs:
    """Signs of the pictures of two columns together."""
    result = np.where(left == NO_PICTURE, right, left)
    result = np.where((left == NOT_NAMED) & (right != NO_PICTURE), right, result)
    differ = (left >= 0) & (right >= 0) & (left != right) | (left == CONFLICT) | (right == CONFLICT)
    return np.where(differ, CONFLICT, result).astype(np.int8)
