"""Regions of a mask against their definitions, pixel by pixel."""

from itertools import product
from random import Random

import numpy as np
import pytest

from toolkit.scene.verify.patterns import pattern_of
from toolkit.scene.verify.regions import eroded, filled, pieces

DRAWN = """
##...#.##
.#...#.##
.#####...
.........
###.####.
#.#.#..#.
###.####.
"""


def mask_of(drawn):
    return np.array([[sign == "#" for sign in line] for line in drawn.split()])


def random_masks():
    dice = Random(0)
    for _ in range(60):
        shape, share = (dice.randint(1, 24), dice.randint(1, 24)), dice.choice((0.1, 0.4, 0.6, 0.8, 1.0))
        yield np.array([[dice.random() < share for _ in range(shape[1])] for _ in range(shape[0])])


def flooded(mask, start):
    """Pixels that steps to the sides reach from one."""
    found, left = set(), [start]
    while left:
        y, x = left.pop()
        if (y, x) not in found and 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]:
            found.add((y, x))
            left += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return found


def test_regions_of_a_drawing():
    found = pieces(mask_of(DRAWN), 4)
    assert [piece[:4] for piece in found] == [(0, 0, 6, 3), (7, 0, 9, 2), (0, 4, 3, 7), (4, 4, 8, 7)]
    assert [piece.area for piece in found] == [10, 4, 8, 10]
    assert filled(mask_of(DRAWN)).sum() == mask_of(DRAWN).sum() + 1 + 2  # the two rings; the U is open


def test_regions_are_what_steps_reach_in_order_of_their_first_pixels():
    for mask in random_masks():
        expected = []
        for start in map(tuple, np.argwhere(mask).tolist()):
            if not any(start in each for each in expected):
                expected.append(flooded(mask, start))
        found = [
            {(piece.y0 + y, piece.x0 + x) for y, x in np.argwhere(piece.mask).tolist()} for piece in pieces(mask, 1)
        ]
        assert found == expected


def test_holes_are_what_the_outside_does_not_reach():
    for mask in random_masks():
        outside = flooded(np.pad(~mask, 1, constant_values=True), (0, 0))
        expected = [[(y + 1, x + 1) not in outside for x in range(mask.shape[1])] for y in range(mask.shape[0])]
        assert filled(mask).tolist() == expected


@pytest.mark.parametrize("by", [0, 1, 2, 5])
def test_eroded_pixels_have_their_whole_square_inside(by):
    for mask in random_masks():
        height, width = mask.shape
        expected = [
            [
                by <= y < height - by
                and by <= x < width - by
                and mask[y - by : y + by + 1, x - by : x + by + 1].all().item()
                for x in range(width)
            ]
            for y in range(height)
        ]
        assert eroded(mask, by).tolist() == expected


@pytest.mark.parametrize(
    ("share", "pattern"),
    [(0.04, ("plain", True)), (0.08, ("plain", False)), (0.11, ("spotted", False)), (0.14, ("spotted", True))],
)
def test_dots_are_told_by_how_much_they_cover_and_what_is_near_the_bound_is_unsure(share, pattern):
    places = list(product(range(0, 200, 10), repeat=2))
    np.random.default_rng(0).shuffle(places)
    away = np.zeros((200, 200))
    for y, x in places[: round(share * len(places))]:
        away[y : y + 10, x : x + 10] = 160
    assert pattern_of(away, np.ones((200, 200), bool), 200) == pattern
