"""Pools of pictures with true style and keyword labels: retrieval by style and word can be scored here instead of
trusted.

A query is a picture in some style. Of its candidates one shares the style and shows the keyword; the others miss one of
the two, or both.
"""

from dataclasses import dataclass

from toolkit.scene.graph import SIZES, Kind, Scene, select
from toolkit.scene.heldout import drawn_without
from toolkit.scene.language import noun, number_word
from toolkit.scene.sampler import PLAIN, TRIES, Fixed, Look, Wish, sample_scene
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES

ALL = Kind()
COMPARISONS = ("more", "fewer", "the same number")
# What may be counted in both besides all things: sizes, and colours that every style has.
KINDS = (
    *(Kind(size=size) for size in SIZES),
    *(Kind(colour=colour) for colour in sorted(set.intersection(*(set(style.fills) for style in STYLES.values())))),
)


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
        compared: what is counted in both.
        comparison: how many of those that one shows, next to the query: one of `COMPARISONS`.
    """

    query: Scene
    keyword: str
    pool: tuple[Candidate, ...]
    comparison: str
    compared: Kind

    @property
    def match(self) -> Scene:
        return next(candidate.scene for candidate in self.pool if candidate.has_style and candidate.has_keyword)


def sample_retrieval(stream: Stream, look: Look = PLAIN) -> Retrieval:
    """A query whose comparison is drawn before the pictures, so that no answer is more frequent than another."""
    style, keyword, comparison = stream.pick(tuple(STYLES)), stream.pick(SHAPES), stream.pick(COMPARISONS)
    query = _query(stream.child("query"), style, keyword, look)
    compared = stream.pick([Kind(), *(kind for kind in KINDS if 1 <= len(select(query, kind)) <= 3)])
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
            scene=_compared(stream.child("pool", number), name, keyword, shown, query, comparison, compared, look),
            has_style=name == style,
            has_keyword=shown,
        )
        for number, (name, shown) in enumerate(wanted)
    ]
    return Retrieval(
        query=query, keyword=keyword, pool=tuple(stream.shuffled(pool)), comparison=comparison, compared=compared
    )


def _scene(stream: Stream, style: str, keyword: str, look: Look, *, shown: bool, alike: tuple[Kind, ...] = ()) -> Scene:
    kind = Kind(shape=keyword)
    wish = Wish(
        fixed=(*((Fixed(kind),) if shown else ()), *map(Fixed, alike)),
        avoid=(kind, *alike[:1]),
        style=style,
        num_places=3 + stream.below(3),
        insets=False,
        look=look,
    )
    return drawn_without(lambda stream: sample_scene(stream, wish), stream)


def _query(stream: Stream, style: str, keyword: str, look: Look) -> Scene:
    """A picture without the keyword that holds neither few nor many things."""
    for attempt in range(TRIES):
        scene = _scene(stream.child("try", attempt), style, keyword, look, shown=False)
        if 5 <= len(scene.things) - look.extra <= 7:
            return scene
    raise RuntimeError(f"no scene in {TRIES} tries holds {5 + look.extra} to {7 + look.extra} things")


def _compared(
    stream: Stream,
    style: str,
    keyword: str,
    shown: bool,
    query: Scene,
    comparison: str,
    compared: Kind,
    look: Look,
) -> Scene:
    """A candidate; all of a pool compare alike, so that the number of things gives the match away in no pool."""
    alike: tuple[Kind, ...] = ()
    if compared != Kind():
        alike = (compared,) * (len(select(query, compared)) + {"more": 1, "fewer": -1}.get(comparison, 0))
    for attempt in range(TRIES):
        scene = _scene(stream.child("try", attempt), style, keyword, look, shown=shown, alike=alike)
        if compare(scene, query, compared) == comparison and bool(select(scene, Kind(shape=keyword))) == shown:
            return scene
    raise RuntimeError(f"no scene in {TRIES} tries shows {comparison} things than {len(query.things)}")


def compare(scene: Scene, query: Scene, compared: Kind = ALL) -> str:
    """How many things of a kind a scene shows, next to the query."""
    gap = len(select(scene, compared)) - len(select(query, compared))
    return COMPARISONS[0] if gap > 0 else COMPARISONS[1] if gap < 0 else COMPARISONS[2]


def counted(scene: Scene, compared: Kind = ALL) -> str:
    """ "five things", "one orange thing"."""
    number = len(select(scene, compared))
    return f"{number_word(number)} {noun(compared, many=number != 1)}"
