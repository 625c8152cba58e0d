"""Balanced questions: what is asked is drawn first, then the answer it shall have, then a scene that makes it true.

So the words of a question tell nothing about its answer, and every answer of a kind is as frequent as the others.
`KINDS` holds one entry per kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from toolkit.errors import UnknownName
from toolkit.scene.colours import COLOURS
from toolkit.scene.graph import PATTERNS, PLACES, RELATIONS, SIZES, Kind, Scene, centre_of
from toolkit.scene.language import PLACE_PHRASES, RELATION_PHRASES, noun, spot, the
from toolkit.scene.programs import Outcome, Program, run
from toolkit.scene.sampler import PLAIN, TRIES, Fixed, Look, Wish, sample_scene
from toolkit.scene.shapes import CONTAINERS, SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES

FURTHEST = {
    "left_of": "furthest to the left",
    "right_of": "furthest to the right",
    "above": "nearest to the top",
    "below": "nearest to the bottom",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question about a picture.

    Attributes:
        kind: a key of `KINDS`.
        text: as asked.
        program: what computes the answer.
        choices: every answer the kind can have; each is as likely as the others.
        target: number of the right answer in `choices`.
        wish: what a scene needs for that answer.
    """

    kind: str
    text: str
    program: Program
    choices: tuple[str, ...]
    target: int
    wish: Wish


def ask(
    stream: Stream, kind: str, kinds: Mapping[str, Callable[[Stream], Question]] | None = None, look: Look = PLAIN
) -> tuple[Scene, Question, Outcome]:
    """A question of a kind, a scene for it, and the answer with its trace; where all things count, `look` adds none.

    Raises:
        UnknownName: no such kind.
    """
    kinds = KINDS if kinds is None else kinds
    if kind not in kinds:
        raise UnknownName("question kind", kind, kinds)
    question = kinds[kind](stream.child("question", kind))
    if question.program[0] == ("select", Kind()):
        look = look._replace(extra=0)
    wish = replace(question.wish, look=look)
    for attempt in range(TRIES):
        scene = sample_scene(stream.child("scene", attempt), wish)
        try:
            outcome = run(question.program, scene)
        except ValueError:  # ambiguous in this scene: draw another
            continue
        if outcome.answer == question.choices[question.target]:
            return scene, question, outcome
    raise RuntimeError(
        f"no scene in {TRIES} tries makes {question.choices[question.target]!r} the answer to {question.text!r}"
    )


def _question(kind: str, text: str, program: Program, choices: tuple[str, ...], target: int, wish: Wish) -> Question:
    return Question(kind=kind, text=text, program=program, choices=choices, target=target, wish=wish)


def _two_colours(stream: Stream) -> list[str]:
    """Two colours that some style has both."""
    return stream.sample(list(STYLES[stream.pick(tuple(STYLES))].fills), 2)


def _count(stream: Stream) -> Question:
    kind = stream.pick(
        (Kind(shape=stream.pick(SHAPES)), Kind(colour=stream.pick(COLOURS)), Kind(pattern=stream.pick(PATTERNS[1:])))
    )
    target = stream.below(5)
    text = stream.pick(("How many {} are there?", "How many {} does the picture show?", "Count the {}.")).format(
        noun(kind, many=True)
    )
    wish = Wish(fixed=(Fixed(kind),) * target, avoid=(kind,), num_places=5 + stream.below(2))
    return _question("count", text, (("select", kind), ("count",)), tuple(map(str, range(5))), target, wish)


def _exist(stream: Stream) -> Question:
    (colour, other_colour), (shape, other_shape) = _two_colours(stream), stream.sample(SHAPES, 2)
    kind, target = Kind(colour=colour, shape=shape), stream.below(2)
    near = (Fixed(Kind(colour=colour, shape=other_shape)), Fixed(Kind(colour=other_colour, shape=shape)))
    wish = Wish(fixed=near + (Fixed(kind),) * (1 - target), avoid=(kind,), num_places=4 + stream.below(3))
    text = stream.pick(("Is there a{} in the picture?", "Does the picture show a{}?")).format(
        f"{'n' if colour == 'orange' else ''} {noun(kind)}"
    )
    return _question("exist", text, (("select", kind), ("exist",)), ("yes", "no"), target, wish)


def _colour(stream: Stream) -> Question:
    kind, target = Kind(shape=stream.pick(SHAPES)), stream.below(len(COLOURS))
    text = stream.pick(("What colour is {}?", "Which colour does {} have?")).format(the(kind))
    wish = Wish(fixed=(Fixed(Kind(shape=kind.shape, colour=COLOURS[target])),), avoid=(kind,))
    return _question("colour", text, (("select", kind), ("unique",), ("query", "colour")), COLOURS, target, wish)


def _shape(stream: Stream) -> Question:
    place, target = stream.pick(PLACES), stream.below(len(SHAPES))
    text = stream.pick(("What is {}?", "What do you see {}?")).format(f"{spot(place)} of the picture")
    wish = Wish(fixed=(Fixed(Kind(shape=SHAPES[target], place=place)),))
    return _question(
        "shape", text, (("select", Kind(place=place)), ("unique",), ("query", "shape")), SHAPES, target, wish
    )


def _place(stream: Stream) -> Question:
    kind, target = Kind(colour=stream.pick(COLOURS), shape=stream.pick(SHAPES)), stream.below(len(PLACES))
    wish = Wish(fixed=(Fixed(Kind(colour=kind.colour, shape=kind.shape, place=PLACES[target])),), avoid=(kind,))
    text = stream.pick(("Where is {}?", "Where in the picture is {}?")).format(the(kind))
    choices = tuple(PLACE_PHRASES[place][0] for place in PLACES)
    return _question("place", text, (("select", kind), ("unique",), ("query", "place")), choices, target, wish)


def _inside(stream: Stream) -> Question:
    holder, target = Kind(colour=stream.pick(COLOURS), shape=stream.pick(CONTAINERS)), stream.below(len(SHAPES))
    wish = Wish(fixed=(Fixed(holder, Kind(shape=SHAPES[target])),), avoid=(holder,))
    text = stream.pick(("What is inside {}?", "What lies inside {}?")).format(the(holder))
    return _question("inside", text, (("select", holder), ("unique",), ("within",)), SHAPES, target, wish)


def _relation(stream: Stream) -> Question:
    colours, shapes, relation = _two_colours(stream), stream.sample(SHAPES, 2), stream.pick(RELATIONS)
    one, other = (Kind(colour=colour, shape=shape) for colour, shape in zip(colours, shapes, strict=True))
    target, axis = stream.below(2), 0 if relation in ("left_of", "right_of") else 1
    pairs = [(a, b) for a in PLACES for b in PLACES if centre_of(a)[axis] < centre_of(b)[axis]]
    first, second = stream.pick(pairs)
    if (relation in ("right_of", "below")) != (target == 1):
        first, second = second, first
    placed = (
        Fixed(Kind(colour=one.colour, shape=one.shape, place=first)),
        Fixed(Kind(colour=other.colour, shape=other.shape, place=second)),
    )
    text = f"Is {the(one)} {RELATION_PHRASES[relation]} {the(other)}?"
    program: Program = (("select", one), ("unique",), ("relation", relation, other))
    return _question("relation", text, program, ("yes", "no"), target, Wish(fixed=placed, avoid=(one, other)))


def _more(stream: Stream) -> Question:
    shapes, target = stream.sample(SHAPES, 2), stream.below(2)
    one, other = Kind(shape=shapes[0]), Kind(shape=shapes[1])
    counts = stream.pick(
        ((2, 1), (3, 1), (3, 2), (2, 0), (1, 0)) if target == 0 else ((1, 2), (1, 3), (2, 3), (2, 2), (0, 1), (1, 1))
    )
    fixed = (Fixed(one),) * counts[0] + (Fixed(other),) * counts[1]
    text = f"Are there more {noun(one, many=True)} than {noun(other, many=True)}?"
    return _question(
        "more",
        text,
        (("select", one), ("more", other)),
        ("yes", "no"),
        target,
        Wish(fixed=fixed, avoid=(one, other), num_places=6),
    )


def _larger(stream: Stream) -> Question:
    colours, shapes, target = _two_colours(stream), stream.sample(SHAPES, 2), stream.below(2)
    low, high = sorted(stream.sample(range(3), 2))
    sizes = (SIZES[high], SIZES[low]) if target == 0 else (SIZES[low], SIZES[high])
    kinds = [Kind(colour=colour, shape=shape) for colour, shape in zip(colours, shapes, strict=True)]
    fixed = tuple(
        Fixed(Kind(colour=kind.colour, shape=kind.shape, size=size)) for kind, size in zip(kinds, sizes, strict=True)
    )
    text = stream.pick(("Which is larger, {} or {}?", "Which one is bigger: {} or {}?")).format(
        the(kinds[0]), the(kinds[1])
    )
    program: Program = (("select", kinds[0]), ("unique",), ("larger", kinds[1]))
    return _question(
        "larger", text, program, (the(kinds[0]), the(kinds[1])), target, Wish(fixed=fixed, avoid=tuple(kinds))
    )


def _extreme(stream: Stream) -> Question:
    shape, relation, target, number = (
        stream.pick(SHAPES),
        stream.pick(RELATIONS),
        stream.below(len(COLOURS)),
        2 + stream.below(2),
    )
    axis, last = (0 if relation in ("left_of", "right_of") else 1), relation in ("right_of", "below")
    lines = sorted(stream.sample(range(3), number), reverse=last)  # columns or rows, the winner's first
    places = [PLACES[line + 3 * stream.below(3)] if axis == 0 else PLACES[3 * line + stream.below(3)] for line in lines]
    style = stream.pick([name for name, style in STYLES.items() if COLOURS[target] in style.fills])
    others = stream.sample([colour for colour in STYLES[style].fills if colour != COLOURS[target]], number - 1)
    fixed = tuple(
        Fixed(Kind(shape=shape, colour=colour, place=place))
        for colour, place in zip([COLOURS[target], *others], places, strict=True)
    )
    text = f"What colour is the {shape} {FURTHEST[relation]}?"
    program: Program = (("select", Kind(shape=shape)), ("extreme", relation), ("query", "colour"))
    return _question(
        "extreme", text, program, COLOURS, target, Wish(fixed=fixed, avoid=(Kind(shape=shape),), style=style)
    )


KINDS: dict[str, Callable[[Stream], Question]] = {
    "count": _count,
    "exist": _exist,
    "colour": _colour,
    "shape": _shape,
    "place": _place,
    "inside": _inside,
    "relation": _relation,
    "more": _more,
    "larger": _larger,
    "extreme": _extreme,
}
