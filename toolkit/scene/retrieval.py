"""Pools of pictures with true style and keyword labels: retrieval by style and word can be scored here instead of
trusted.

A query is a picture in some style with a question about it. Each shape that its answer goes through is a keyword. Of
the candidates for it one shares the style and shows the keyword; the others miss one of the two, or both.
"""

from dataclasses import dataclass

from toolkit.scene.graph import Kind, Scene
from toolkit.scene.heldout import drawn_without
from toolkit.scene.programs import Outcome
from toolkit.scene.questions import Question, ask
from toolkit.scene.questions_more import ALL_KINDS
from toolkit.scene.sampler import PLAIN, Fixed, Look, Wish, sample_scene
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES

MAX_SLOTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture of the pool, and whether it fits in either way."""

    scene: Scene
    has_style: bool
    has_keyword: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """
    Attributes:
        step: of the rationale, which it follows.
        keyword: the shape looked for.
        pool: candidates in random order; exactly one has both style and keyword.
    """

    step: int
    keyword: str
    pool: tuple[Candidate, ...]

    @property
    def match(self) -> Scene:
        return next(candidate.scene for candidate in self.pool if candidate.has_style and candidate.has_keyword)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """A picture, a question about it, and slots for pictures that its rationale is illustrated with."""

    query: Scene
    question: Question
    outcome: Outcome
    slots: tuple[Slot, ...]


def sample_retrieval(stream: Stream, kind: str, look: Look = PLAIN) -> Retrieval:
    """
    Args:
        kind: of the question; a key of `ALL_KINDS`.
        look: of all pictures.
    """
    query, question, outcome = drawn_without(lambda stream: ask(stream, kind, ALL_KINDS, look), stream.child("query"))
    slots = [
        Slot(step=step, keyword=shape, pool=_pool(stream.child("pool", shape), query.style, shape, look))
        for shape, step in _shapes(query, outcome).items()
    ]
    return Retrieval(query=query, question=question, outcome=outcome, slots=tuple(slots))


def _shapes(query: Scene, outcome: Outcome) -> dict[str, int]:
    """Shapes of what the answer goes through, and the step that first does; one a step."""
    found: dict[str, int] = {}
    for number, step in enumerate(outcome.steps):
        fresh = [shape for shape in dict.fromkeys(query.thing(id).shape for id in step.ids) if shape not in found]
        if fresh and len(found) < MAX_SLOTS:
            found[fresh[0]] = number
    return found or {query.things[0].shape: len(outcome.steps) - 1}


def _pool(stream: Stream, style: str, keyword: str, look: Look) -> tuple[Candidate, ...]:
    others = [name for name in STYLES if name != style]
    wanted = [
        (style, True),
        (style, False),
        (style, False),
        (stream.pick(others), True),
        (stream.pick(others), True),
        (stream.pick(others), False),
    ]
    pool = [
        Candidate(
            scene=_scene(stream.child(number), name, keyword, look, shown=shown),
            has_style=name == style,
            has_keyword=shown,
        )
        for number, (name, shown) in enumerate(wanted)
    ]
    return tuple(stream.shuffled(pool))


def _scene(stream: Stream, style: str, keyword: str, look: Look, *, shown: bool) -> Scene:
    kind = Kind(shape=keyword)
    wish = Wish(
        fixed=(Fixed(kind),) if shown else (),
        avoid=(kind,),
        style=style,
        num_places=3 + stream.below(3),
        insets=False,
        look=look,
    )
    return drawn_without(lambda stream: sample_scene(stream, wish), stream)
