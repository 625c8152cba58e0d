"""Further kinds of questions, for rows to learn from; the benchmark asks those of `questions` alone.

without     how many are not of a colour
count_all   all things, up to ten
chain       one relation after another, twice; long_chain: three times
count_many  things of a kind, from five to ten
difference  how many more of one kind than of another
other_than  whether there is one that is not so
same        whether two things agree in colour, size or pattern
"""

from collections.abc import Callable, Mapping

from toolkit.scene.graph import PATTERNS, PLACES, RELATIONS, SIZES, Kind
from toolkit.scene.language import RELATION_PHRASES, noun, the, with_article
from toolkit.scene.programs import Program
from toolkit.scene.questions import KINDS, Question
from toolkit.scene.questions_hidden import HIDDEN_KINDS
from toolkit.scene.questions_written import WRITTEN_KINDS
from toolkit.scene.sampler import Fixed, Wish
from toolkit.scene.shapes import PLAIN_ONLY, SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES

_MOST, _PLACES = 10, 9
_MARKABLE = tuple(shape for shape in SHAPES if shape not in PLAIN_ONLY)
_STEPS = {"left_of": (0, -1), "right_of": (0, 1), "above": (-1, 0), "below": (1, 0)}


def _without(stream: Stream) -> Question:
    style = stream.pick(tuple(STYLES))
    colour, target, number = stream.pick(tuple(STYLES[style].fills)), stream.below(6), 1 + stream.below(3)
    kind = Kind(colour=colour)
    wish = Wish(
        fixed=(Fixed(kind),) * number,
        avoid=(kind,),
        num_places=number + target + 1,
        style=style,
        clusters=False,
        insets=False,
    )
    text = stream.pick(
        (
            f"How many things are not {colour}?",
            f"Leaving out what is {colour}, how many things are there?",
            f"How many things have another colour than {colour}?",
            f"Take away everything {colour}: how many things stay?",
            f"Of all things in the picture, how many are not {colour}?",
        )
    )
    choices = tuple(str(count + 1) for count in range(6))
    return Question(
        kind="without",
        text=text,
        program=(("select", Kind()), ("count_without", kind)),
        choices=choices,
        target=target,
        wish=wish,
    )


def _count_all(stream: Stream) -> Question:
    target = stream.below(_MOST - 3)  # 4 to 10
    text = stream.pick(
        (
            "How many things are there in all?",
            "What is the number of all things together?",
            "Count everything that stands on the background or inside something.",
            "If you count every single thing, what do you get?",
            "How many things did the artist draw in all?",
        )
    )
    wish = Wish(num_places=min(9, target + 4), clusters=target > 4, insets=False)
    choices = tuple(str(count) for count in range(4, _MOST + 1))
    return Question(
        kind="count_all",
        text=text,
        program=(("select", Kind()), ("count",)),
        choices=choices,
        target=target,
        wish=wish,
    )


def _count_many(stream: Stream) -> Question:
    kind = Kind(shape=stream.pick(SHAPES)) if stream.chance(0.5) else Kind(colour=_any_colour(stream))
    target = stream.below(_MOST - 4)  # 5 to 10
    left, groups = target + 5, list[int]()
    while left:
        groups.append(min(left, 2 + stream.below(3)))
        left -= groups[-1]
    text = stream.pick(("How many {} are there?", "How many {} does the picture show?", "Count the {}."))
    wish = Wish(
        fixed=tuple(Fixed(kind, number=number) for number in groups),
        avoid=(kind,),
        num_places=len(groups) + 1,
    )
    return Question(
        kind="count_many",
        text=text.format(noun(kind, many=True)),
        program=(("select", kind), ("count",)),
        choices=tuple(str(count) for count in range(5, _MOST + 1)),
        target=target,
        wish=wish,
    )


def _difference(stream: Stream) -> Question:
    one, other = (Kind(shape=shape) for shape in stream.sample(SHAPES, 2))
    gap, base = 1 + stream.below(4), 1 + stream.below(2)
    text = stream.pick(
        (
            "How many more {} than {} are there?",
            "By how many do the {} outnumber the {}?",
            "Count both: how many more {} than {} does the picture show?",
            "If each of the {1} were paired with one of the {0}, how many {0} would be left over?",
        )
    ).format(noun(one, many=True), noun(other, many=True))
    fixed = (Fixed(one),) * (base + gap) + (Fixed(other),) * base
    return Question(
        kind="difference",
        text=text,
        program=(("select", one), ("difference", other)),
        choices=("1", "2", "3", "4"),
        target=gap - 1,
        wish=Wish(fixed=fixed, avoid=(one, other), num_places=min(len(fixed) + 1, _PLACES)),
    )


def _other_than(stream: Stream) -> Question:
    """Negation: is there one that is not so?"""
    style = stream.pick(tuple(STYLES))
    colour, other = stream.sample(list(STYLES[style].fills), 2)
    kind, target, number = Kind(shape=stream.pick(SHAPES)), stream.below(2), 1 + stream.below(3)
    alike = Fixed(Kind(shape=kind.shape, colour=colour))
    odd = () if target else (Fixed(Kind(shape=kind.shape, colour=other)),)
    text = stream.pick(
        (
            "Is there {} that is not {}?",
            "Do you see {} of another colour than {}?",
            "Does the picture show {} that is anything but {}?",
            "Can you find {} whose colour is not {}?",
        )
    ).format(with_article(kind.shape), colour)
    return Question(
        kind="other_than",
        text=text,
        program=(("select", kind), ("other_than", Kind(colour=colour))),
        choices=("yes", "no"),
        target=target,
        wish=Wish(fixed=((alike,) * number)[: 3 - len(odd)] + odd, avoid=(kind,), num_places=5, style=style),
    )


def _same(stream: Stream) -> Question:
    name, shapes, target = stream.pick(("colour", "size", "pattern")), stream.sample(_MARKABLE, 2), stream.below(2)
    style = stream.pick(tuple(STYLES))
    values = {"colour": tuple(STYLES[style].fills), "size": SIZES, "pattern": PATTERNS}[name]
    one, other = stream.sample(values, 2)
    kinds = [Kind(shape=shape) for shape in shapes]
    extra = {"size": "large"} if name == "pattern" else {}
    fixed = tuple(
        Fixed(Kind(**{"shape": kind.shape, name: value, **extra}))
        for kind, value in zip(kinds, (one, other if target else one), strict=True)
    )
    text = stream.pick(
        (
            "Do {0} and {1} have the same {2}?",
            "Are {0} and {1} of the same {2}?",
            "Is the {2} of {0} also that of {1}?",
            "Compare {0} with {1}: do they agree in {2}?",
        )
    ).format(the(kinds[0]), the(kinds[1]), name)
    program: Program = (("select", kinds[0]), ("unique",), ("same", name, kinds[1]))
    return Question(
        kind="same",
        text=text,
        program=program,
        choices=("yes", "no"),
        target=target,
        wish=Wish(fixed=fixed, avoid=tuple(kinds), style=style),
    )


def _chain(stream: Stream) -> Question:
    return _way_of("chain", 2, stream)


def _long_chain(stream: Stream) -> Question:
    return _way_of("long_chain", 3, stream)


def _way_of(name: str, length: int, stream: Stream) -> Question:
    """From a thing that is named over its neighbours to the one that is asked for."""
    style = stream.pick(tuple(STYLES))
    ways = [way for start in PLACES for way in _ways(start, length)]
    start, relations, places = stream.pick(ways)
    kind = Kind(colour=stream.pick(tuple(STYLES[style].fills)), shape=stream.pick(SHAPES))
    target = stream.below(len(SHAPES))
    wish = Wish(
        fixed=(
            Fixed(Kind(colour=kind.colour, shape=kind.shape, place=start)),
            *(Fixed(Kind(place=place)) for place in places[:-1]),
            Fixed(Kind(place=places[-1], shape=SHAPES[target])),
        ),
        avoid=(kind,),
        num_places=length + 2 + stream.below(3),
        style=style,
    )
    steps: Program = tuple(("beside", relation) for relation in relations)
    return Question(
        kind=name,
        text=_chained(kind, [RELATION_PHRASES[relation] for relation in relations], stream),
        program=(("select", kind), ("unique",), *steps, ("query_last", "shape")),
        choices=SHAPES,
        target=target,
        wish=wish,
    )


def _chained(kind: Kind, phrases: list[str], stream: Stream) -> str:
    *inner, last = phrases
    if len(phrases) == 2:
        one = inner[0]
        return stream.pick(
            (
                f"What is directly {last} the thing that is directly {one} {the(kind)}?",
                f"Start at {the(kind)}, go to what is directly {one} it, then to what is directly {last} that: what is "
                "it?",
                f"Directly {one} {the(kind)} lies something. What is directly {last} that thing?",
                f"Which shape is directly {last} the neighbour that lies directly {one} {the(kind)}?",
            )
        )
    one, two = inner
    return stream.pick(
        (
            f"Start at {the(kind)}. Go to what is directly {one} it, from there to what is directly {two} that, and on "
            f"to what is directly {last} that one. What do you reach?",
            f"Directly {one} {the(kind)} lies a thing, and directly {two} that thing lies another. What is directly "
            f"{last} the latter?",
            f"Take three steps from {the(kind)}: first to the thing directly {one} it, then to the one directly {two} "
            f"that, then to the one directly {last} that. Which shape is there?",
        )
    )


def _ways(start: str, length: int) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Start, relations and places of every way of that length that visits no place twice."""
    ways: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
    for _ in range(length):
        ways = [
            ((*relations, relation), (*places, following))
            for relations, places in ways
            for relation in RELATIONS
            if (following := _next((start, *places)[-1], relation)) and following not in (start, *places)
        ]
    return [(start, relations, places) for relations, places in ways]


def _next(place: str, relation: str) -> str:
    """The neighbouring place on that side, "" if the picture ends there."""
    (row, column), (down, right) = divmod(PLACES.index(place), 3), _STEPS[relation]
    inside = 0 <= row + down < 3 and 0 <= column + right < 3
    return PLACES[3 * (row + down) + column + right] if inside else ""


def _any_colour(stream: Stream) -> str:
    return stream.pick(tuple(STYLES[stream.pick(tuple(STYLES))].fills))


ALL_KINDS: Mapping[str, Callable[[Stream], Question]] = {
    **KINDS,
    "without": _without,
    "count_all": _count_all,
    "chain": _chain,
    "count_many": _count_many,
    "difference": _difference,
    "other_than": _other_than,
    "same": _same,
    "long_chain": _long_chain,
    **HIDDEN_KINDS,
    **WRITTEN_KINDS,
}
