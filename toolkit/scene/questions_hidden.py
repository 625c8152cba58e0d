"""Questions about things that hide a part of others.

front  which of two things is in front
hides  of what a thing hides a part
"""

from collections.abc import Callable, Mapping

from toolkit.scene.graph import Kind
from toolkit.scene.language import the
from toolkit.scene.questions import Question
from toolkit.scene.sampler import Fixed, Wish
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES


def _pair(stream: Stream, front_shape: str, back_shape: str) -> tuple[Kind, Kind, Wish]:
    style = stream.pick(tuple(STYLES))
    colours = stream.sample(list(STYLES[style].fills), 2)
    front, back = Kind(colour=colours[0], shape=front_shape), Kind(colour=colours[1], shape=back_shape)
    behind = Kind(colour=back.colour, shape=back.shape, pattern="plain", size=stream.pick(("medium", "large")))
    wish = Wish(fixed=(Fixed(behind, front=front),), avoid=(front, back), num_places=2 + stream.below(3), style=style)
    return front, back, wish


def _front(stream: Stream) -> Question:
    front, back, wish = _pair(stream, *stream.sample(SHAPES, 2))
    target = stream.below(2)
    one, other = (front, back) if target == 0 else (back, front)
    text = stream.pick(
        (
            "Which is in front, {} or {}?",
            "Which one hides a part of the other: {} or {}?",
            "Of {} and {}, which one is seen whole?",
            "Two things overlap, {} and {}: which lies on top?",
        )
    ).format(the(one), the(other))
    return Question(
        kind="front",
        text=text,
        program=(("select", one), ("unique",), ("in_front", other)),
        choices=(the(one), the(other)),
        target=target,
        wish=wish,
    )


def _hides(stream: Stream) -> Question:
    target = stream.below(len(SHAPES))
    shape = stream.pick([each for each in SHAPES if each != SHAPES[target]])
    front, _, wish = _pair(stream, shape, SHAPES[target])
    text = stream.pick(
        (
            "What is partly hidden by {}?",
            "Which shape sticks out from behind {}?",
            "What lies behind {}?",
            "Of which shape does {} hide a part?",
        )
    ).format(the(front))
    return Question(
        kind="hides",
        text=text,
        program=(("select", front), ("unique",), ("hides",)),
        choices=SHAPES,
        target=target,
        wish=wish,
    )


HIDDEN_KINDS: Mapping[str, Callable[[Stream], Question]] = {"front": _front, "hides": _hides}
