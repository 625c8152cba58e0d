"""Further kinds of questions, for rows to learn from; the benchmark asks those of `questions` alone.

without    how many are not of a colour
count_all  all things, up to ten
chain      one relation after another
"""

from collections.abc import Callable, Mapping

from toolkit.scene.graph import PLACES, RELATIONS, Kind
from toolkit.scene.language import RELATION_PHRASES, the
from toolkit.scene.questions import KINDS, Question
from toolkit.scene.sampler import Fixed, Wish
from toolkit.scene.shapes import SHAPES
from toolkit.scene.streams import Stream
from toolkit.scene.styles import STYLES

_MOST = 10
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


def _chain(stream: Stream) -> Question:
    style = stream.pick(tuple(STYLES))
    first, second = stream.pick(RELATIONS), stream.pick(RELATIONS)
    ways = [way for way in (_way(place, first, second) for place in PLACES) if way]
    if not ways:  # back to where it began
        second = first if any(_way(place, first, first) for place in PLACES) else second
        ways = [way for way in (_way(place, first, second) for place in PLACES) if way]
    start, middle, end = stream.pick(ways)
    kind, target = (
        Kind(colour=stream.pick(tuple(STYLES[style].fills)), shape=stream.pick(SHAPES)),
        stream.below(len(SHAPES)),
    )
    one, two = RELATION_PHRASES[first], RELATION_PHRASES[second]
    text = stream.pick(
        (
            f"What is directly {two} the thing that is directly {one} {the(kind)}?",
            f"Start at {the(kind)}, go to what is directly {one} it, then to what is directly {two} that: what is it?",
            f"Directly {one} {the(kind)} lies something. What is directly {two} that thing?",
            f"Which shape is directly {two} the neighbour that lies directly {one} {the(kind)}?",
        )
    )
    wish = Wish(
        fixed=(
            Fixed(Kind(colour=kind.colour, shape=kind.shape, place=start)),
            Fixed(Kind(place=middle)),
            Fixed(Kind(place=end, shape=SHAPES[target])),
        ),
        avoid=(kind,),
        num_places=4 + stream.below(3),
        style=style,
    )
    program = (("select", kind), ("unique",), ("beside", first), ("beside", second), ("query_last", "shape"))
    return Question(kind="chain", text=text, program=program, choices=SHAPES, target=target, wish=wish)


def _way(start: str, first: str, second: str) -> tuple[str, str, str] | None:
    places = [start]
    for relation in (first, second):
        row, column = divmod(PLACES.index(places[-1]), 3)
        down, right = _STEPS[relation]
        if not (0 <= row + down < 3 and 0 <= column + right < 3):
            return None
        places.append(PLACES[3 * (row + down) + column + right])
    return None if places[2] == start else (start, places[1], places[2])


ALL_KINDS: Mapping[str, Callable[[Stream], Question]] = {
    **KINDS,
    "without": _without,
    "count_all": _count_all,
    "chain": _chain,
}
