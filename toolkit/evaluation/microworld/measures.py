"""What a model is asked, and how its answers are read: what training showed it, and what only the other side showed."""

from collections.abc import Callable, Sequence
from random import Random

from PIL import Image

from toolkit.evaluation.microworld.items import TASKS, Draw, Item
from toolkit.evaluation.microworld.split import Side, Split
from toolkit.evaluation.microworld.world import Picture, read

OTHER: dict[Side, Side] = {"U": "D", "D": "U"}
_OWN_NOUNS: dict[Side, tuple[int, ...]] = {"U": (0, 1), "D": (0, 2)}
_OTHER_NOUN: dict[Side, int] = {"U": 2, "D": 1}  # the word that only the other side uses
_UNDERSTANDING = ("colour", "shape", "place", "noun", "flip", "text")
_CROSS_TASKS: dict[Side, tuple[str, ...]] = {"U": ("colour", "shape", "place"), "D": ("plain",)}


def _own(side: Side, tasks: Sequence[str]) -> Callable[[Split, Random, int], Item]:
    """As in training: the same kinds of things, drawn anew."""

    def make(split: Split, random: Random, number: int) -> Item:
        draw = Draw(random=random, things=split.things(side), nouns=_OWN_NOUNS[side])
        return TASKS[side][tasks[number % len(tasks)]](draw)

    return make


def _cross(side: Side) -> Callable[[Split, Random, int], Item]:
    """Asked about a pair, or with a noun, that only the other side showed."""

    def make(split: Split, random: Random, number: int) -> Item:
        if number % 2:
            draw = Draw(random=random, things=split.things(side), nouns=(_OTHER_NOUN[side],))
            return TASKS[side]["noun" if side == "U" else "riddle"](draw)
        draw = Draw(random=random, things=split.things(side), asked=split.only(OTHER[side]), nouns=(0,))
        return TASKS[side][_CROSS_TASKS[side][number // 2 % len(_CROSS_TASKS[side])]](draw)

    return make


def _one_sided(side: Side) -> Callable[[Split, Random, int], Item]:
    """Asked about a whole shape that only the other side showed."""

    def make(split: Split, random: Random, number: int) -> Item:
        draw = Draw(random=random, things=split.things(side), asked=split.of_shapes(OTHER[side]), nouns=(0,))
        return TASKS[side]["shape" if side == "U" else "plain"](draw)

    return make


# Measure -> (what makes its items, items at the end of a run, items along the way, chance).
# Chance: who reads what is there, but not what is asked for, is right in 0.29; no drawing is right by chance.
MEASURES: dict[str, tuple[Callable[[Split, Random, int], Item], int, int, float]] = {
    "U as in training": (_own("U", _UNDERSTANDING), 240, 48, 0.29),
    "D as in training": (_own("D", ("plain", "riddle", "edit")), 180, 36, 0.0),
    "U cross": (_cross("U"), 160, 32, 0.29),
    "D cross": (_cross("D"), 160, 32, 0.0),
    "counting": (_own("U", ("count",)), 120, 0, 0.2),
    "one-sided shapes read": (_one_sided("U"), 80, 0, 0.0),
    "one-sided shapes drawn": (_one_sided("D"), 80, 0, 0.0),
    "corrections drawn": (_own("D", ("correct",)), 100, 0, 0.0),
}


def items(split: Split, measure: str, seed: int, *, at_end: bool) -> list[Item]:
    """The items of a measure; those along the way are the first of those at the end."""
    make, final, along, _ = MEASURES[measure]
    return [make(split, Random(f"test {seed} {measure} {n}"), n) for n in range(final if at_end else along)]


def is_right(item: Item, text: str, images: Sequence[Image.Image]) -> bool:
    """Whether an answer ends in the right words, or with the right picture: every cell, read from pixels."""
    if isinstance(item.answer, str):
        said = text.split()
        wanted = item.answer.split()
        return said[-len(wanted) :] == wanted
    if not images:
        return False
    shown, wanted_cells = read(images[-1]), list[object](item.answer)
    return _counted(shown, item.answer) if item.task == "draw_count" else list[object](shown) == wanted_cells


def _counted(shown: Sequence[object], answer: Picture) -> bool:
    """So many of the thing and nothing else, wherever they are."""
    return sorted(map(str, shown)) == sorted(map(str, answer))
