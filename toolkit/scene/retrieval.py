"""Pools of pictures with true style and keyword labels: retrieval by style and word can be scored here instead of
trusted.

A query is a picture in some style. Of its candidates one shares the style and shows the keyword; the others miss one of
the two, or both.
"""

from dataclasses import dataclass

from toolkit.scene.graph import Kind, Scene
from toolkit.scene.language import NUMBERS
from toolkit.scene.sampler import TRIES, Fixed, Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES

COMPARISONS = ("more", "fewer", "the same number")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture of the pool, and whether it fits in either way."""

    scene: Scene
    has_style: bool
    has_keyword: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """A query and its pool.

    Attributes:
        query: the picture at hand.
        keyword: the shape looked for.
        pool: candidates in random order; exactly one has both style and keyword.
        comparison: how many things that one shows, next to the query: one of `COMPARISONS`.
    """

    query: Scene
    keyword: str
    pool: tuple[Candidate, ...]
    comparison: str

    @property
    def match(self) -> Scene:
        return next(candidate.scene for candidate in self.pool if candidate.has_style and candidate.has_keyword)


def sample_retrieval(stream: Stream) -> Retrieval:
    """A query whose comparison is drawn before the pictures, so that no answer is more frequent than another."""
    style, keyword, comparison = stream.pick(tuple(STYLES)), stream.pick(SHAPES), stream.pick(COMPARISONS)
    query = _query(stream.child("query"), style, keyword)
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
            scene=_compared(stream.child("pool", number), name, keyword, shown, query, comparison),
            has_style=name == style,
            has_keyword=shown,
        )
        for number, (name, shown) in enumerate(wanted)
    ]
    return Retrieval(query=query, keyword=keyword, pool=tuple(stream.shuffled(pool)), comparison=comparison)


def _scene(stream: Stream, style: str, keyword: str, *, shown: bool) -> Scene:
    kind = Kind(shape=keyword)
    return sample_scene(
        stream,
        Wish(
            fixed=(Fixed(kind),) if shown else (),
            avoid=(kind,),
            style=style,
            num_places=3 + stream.below(3),
            insets=False,
        ),
    )


def _query(stream: Stream, style: str, keyword: str) -> Scene:
    """A picture without the keyword that holds neither few nor many things."""
    for attempt in range(TRIES):
        scene = _scene(stream.child("try", attempt), style, keyword, shown=False)
        if 5 <= len(scene.things) <= 7:
            return scene
    raise RuntimeError(f"no scene in {TRIES} tries holds 5 to 7 things")


def _compared(stream: Stream, style: str, keyword: str, shown: bool, query: Scene, comparison: str) -> Scene:
    """A candidate; all of a pool compare alike, so that the number of things gives the match away in no pool."""
    for attempt in range(TRIES):
        scene = _scene(stream.child("try", attempt), style, keyword, shown=shown)
        if compare(scene, query) == comparison:
            return scene
    raise RuntimeError(f"no scene in {TRIES} tries shows {comparison} things than {len(query.things)}")


def compare(scene: Scene, query: Scene) -> str:
    """How many things a scene shows, next to the query."""
    gap = len(scene.things) - len(query.things)
    return COMPARISONS[0] if gap > 0 else COMPARISONS[1] if gap < 0 else COMPARISONS[2]


def counted(scene: Scene) -> str:
    number = len(scene.things)
    return f"{NUMBERS[number] if number < len(NUMBERS) else number} things"
