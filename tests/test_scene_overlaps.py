"""Things that hide others, read by the verifier: rightly, or it says that it is unsure."""

import pytest

from toolkit.scene.graph import Kind
from toolkit.scene.render import render
from toolkit.scene.sampler import Fixed, Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.verify.pixels import find_things


def reading(front_shape, back_shape, size, *seed):
    """ "right", "unsure" or "wrong"."""
    behind = Kind(size=size, pattern="plain", shape=back_shape)
    wish = Wish(fixed=(Fixed(behind, front=Kind(shape=front_shape)),), num_places=2)
    scene = sample_scene(Stream("overlaps", front_shape, back_shape, *seed), wish)
    front = next(thing for thing in scene.things if thing.over)
    back = scene.thing(front.over)
    found = find_things(render(scene), overlapping=True)
    if any(each.unsure & {"hidden", "shape"} for each in found if each.thing.place == front.place):
        return "unsure"
    pairs = [(each.hidden_by, f"{each.thing.colour} {each.thing.shape}") for each in found if each.hidden_by]
    return "right" if pairs == [(f"{front.colour} {front.shape}", f"{back.colour} {back.shape}")] else "wrong"


@pytest.mark.parametrize("front", SHAPES)
def test_an_overlap_is_read_rightly_or_said_to_be_unsure(front):
    # Narrow ones in front of broad ones are the hardest: little of their own colour is left within their outline.
    found = [
        reading(front, SHAPES[(SHAPES.index(front) + 1) % len(SHAPES)], "medium"),
        reading(front, "square", "large"),
    ]
    assert set(found) <= {"right", "unsure"}


def test_most_overlaps_are_read():
    assert [reading(front, "circle", "medium") for front in SHAPES].count("right") >= 10
