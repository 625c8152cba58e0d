"""Which of the micro-world either side of the data shows.

Understanding ("U") answers in words, drawing ("D") with a picture. A seed splits the world: some nouns, pairs of colour
and shape, and whole shapes are shown by one side of the data only, some pairs by none.
"""

from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Literal

from toolkit.evaluation.microworld.world import COLOURS, SHAPES, Thing

Side = Literal["U", "D"]
# Three words for each colour: both sides use the first, understanding alone the second, drawing alone the third.
NOUNS: dict[str, tuple[str, str, str]] = {
    "red": ("tomato", "brick", "ruby"),
    "orange": ("carrot", "pumpkin", "tangerine"),
    "yellow": ("lemon", "canary", "butter"),
    "green": ("grass", "frog", "emerald"),
    "blue": ("sky", "jeans", "sapphire"),
    "purple": ("plum", "lavender", "amethyst"),
    "pink": ("flamingo", "piglet", "salmon"),
    "brown": ("chocolate", "bark", "coffee"),
}
_ONE_SIDED_SHAPES, _ONE_SIDED_PAIRS, _NEVER_PAIRS = 2, 8, 8


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which side of the data shows what. All else is shown by both.

    Attributes:
        shapes: shapes that one side alone shows.
        pairs: pairs of colour and shape that one side alone shows.
        never: pairs that neither shows.
    """

    shapes: dict[Side, frozenset[str]]
    pairs: dict[Side, frozenset[Thing]]
    never: frozenset[Thing]

    @classmethod
    def of(cls, seed: int) -> "Split":
        random = Random(f"split {seed}")
        shapes = random.sample(sorted(SHAPES), 2 * _ONE_SIDED_SHAPES)
        others = [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES) if shape not in shapes]
        pairs = random.sample(others, 2 * _ONE_SIDED_PAIRS + _NEVER_PAIRS)
        cut = _ONE_SIDED_SHAPES, _ONE_SIDED_PAIRS
        return cls(
            shapes={"U": frozenset(shapes[: cut[0]]), "D": frozenset(shapes[cut[0] :])},
            pairs={"U": frozenset(pairs[: cut[1]]), "D": frozenset(pairs[cut[1] : 2 * cut[1]])},
            never=frozenset(pairs[2 * cut[1] :]),
        )

    def shows(self, side: Side, thing: Thing) -> bool:
        other: Side = "D" if side == "U" else "U"
        return thing.shape not in self.shapes[other] and thing not in self.pairs[other] and thing not in self.never

    def things(self, side: Side) -> list[Thing]:
        return [each for each in _ALL if self.shows(side, each)]

    def only(self, side: Side) -> list[Thing]:
        """Things that this side shows and the other does not, whole shapes left out."""
        return sorted(self.pairs[side])

    def of_shapes(self, side: Side) -> list[Thing]:
        """Things of the shapes that this side alone shows."""
        return [each for each in _ALL if each.shape in self.shapes[side]]


_ALL = [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES)]
