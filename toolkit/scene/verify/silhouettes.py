"""What each shape looks like once its box is stretched to 12 x 12: drawn by hand, not computed from the engine's
outlines.

"#" inside, "+" on the edge, "." outside. A mask is the shape whose drawing differs least.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

CELLS = 12
ASPECT_WEIGHT = 0.25  # of |log(width / height) difference| against the share of cells that differ

# Width / height of each, in the order of the drawings.
ASPECTS = {
    "circle": 1.0,
    "square": 1.0,
    "triangle": 1.14,
    "diamond": 0.72,
    "star": 1.05,
    "heart": 1.1,
    "cross": 1.0,
    "moon": 0.82,
    "flower": 0.9,
    "crown": 1.33,
    "house": 1.03,
    "fish": 1.92,
    "boat": 1.03,
    "tree": 0.78,
    "mushroom": 1.09,
}
_DRAWINGS = """
circle        square        triangle      diamond       star
....####....  ############  .....++.....  .....++.....  .....++.....
..########..  ############  .....##.....  ....+##+....  .....##.....
.##########.  ############  ....+##+....  ...+####+...  ....+##+....
.##########.  ############  ....####....  ..+######+..  ....####....
############  ############  ...+####+...  .+########+.  +##########+
############  ############  ...######...  +##########+  .##########.
############  ############  ..+######+..  +##########+  ..########..
############  ############  ..########..  .+########+.  ...######...
.##########.  ############  .+########+.  ..+######+..  ..+######+..
.##########.  ############  .##########.  ...+####+...  ..########..
..########..  ############  +##########+  ....+##+....  .+###++###+.
....####....  ############  ############  .....++.....  .##+....+##.

heart         cross         moon          flower        crown
.+###..###+.  ....####....  ....+#######  ....+##+....  .....++.....
+####++####+  ....####....  ..########+.  ....####....  +....##....+
############  ....####....  .#######+...  +##+####+##+  #+..+##+..+#
############  ....####....  +#####+.....  ############  ##..####..##
############  ############  ######......  ############  ###+####+###
+##########+  ############  ######......  .+########+.  ############
.##########.  ############  ######......  .+########+.  ############
..########..  ############  ######......  ############  .##########.
...######...  ....####....  +#####+.....  ############  .##########.
....####....  ....####....  .#######+...  +##+####+##+  .##########.
.....##.....  ....####....  ..########+.  ....####....  .##########.
.....++.....  ....####....  ....+#######  ....+##+....  ..########..

house         fish          boat          tree          mushroom
.....++.....  ...+##+....+  .....+......  .....++.....  ...+####+...
....####....  ..#####+..+#  .....#+.....  ....+##+....  .+########+.
..+######+..  .########+##  .....##.....  ...+####+...  +##########+
.##########.  .###########  .....##+....  ...######...  ############
+##########+  ############  .....###....  ...+####+...  ############
.##########.  ###########.  .....###+...  ..+######+..  ############
.##########.  ###########.  .....####...  ..########..  ############
.##########.  ############  .....#+.....  ..+######+..  ....####....
.##########.  .###########  ############  .+########+.  ....####....
.##########.  .########+##  +##########+  +##########+  ....####....
.##########.  ..#####+..+#  .##########.  .....##.....  ....####....
.##########.  ...+##+....+  .+########+.  .....##.....  ...######...
"""


@lru_cache(maxsize=1)
def drawings() -> dict[str, npt.NDArray[np.float64]]:
    """Shape -> how far each of its 12 x 12 cells is filled."""
    value = {"#": 1.0, "+": 0.5, ".": 0.0}
    drawn: dict[str, npt.NDArray[np.float64]] = {}
    for band in _DRAWINGS.strip().split("\n\n"):
        names, *lines = [line.split() for line in band.splitlines()]
        drawn |= {
            name: np.array([[value[mark] for mark in line[column]] for line in lines])
            for column, name in enumerate(names)
        }
    return drawn


def shape_of(mask: npt.NDArray[np.bool_]) -> tuple[str, float]:
    """The shape of a mask cut to its box, and by how much it beats the next best (0 = a guess)."""
    cells, aspect = shrunk(mask), mask.shape[1] / mask.shape[0]
    scores = sorted(
        (float(np.abs(cells - drawn).mean()) + ASPECT_WEIGHT * abs(math.log(aspect / ASPECTS[name])), name)
        for name, drawn in drawings().items()
    )
    return scores[0][1], scores[1][0] - scores[0][0]


def shrunk(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Share of each of 12 x 12 cells that the mask fills."""
    rows = np.arange(mask.shape[0]) * CELLS // mask.shape[0]
    columns = np.arange(mask.shape[1]) * CELLS // mask.shape[1]
    index = rows[:, None] * CELLS + columns[None]
    filled = np.bincount(index.ravel(), weights=mask.ravel(), minlength=CELLS * CELLS)
    return (filled / np.maximum(np.bincount(index.ravel(), minlength=CELLS * CELLS), 1)).reshape(CELLS, CELLS)
