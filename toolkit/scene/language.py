"""Words for graphs: captions that can be read back exactly, noun phrases, and referring phrases that fit one thing
only.

In captions silence has a meaning, as in speech: no size word is medium, no pattern word is plain. In referring phrases
silence means "any".
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from toolkit.scene.graph import PLACES, Kind, Scene, Thing, select
from toolkit.scene.streams import Stream

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PLURALS = {"fish": "fish", "cross": "crosses"}  # the others take an s
# Two ways to say each; the first also serves in questions and answers.
PLACE_PHRASES = {
    "top left": ("in the top left", "in the upper left corner"),
    "top": ("at the top", "in the middle of the top edge"),
    "top right": ("in the top right", "in the upper right corner"),
    "left": ("on the left", "halfway down the left side"),
    "centre": ("in the centre", "in the middle"),
    "right": ("on the right", "halfway down the right side"),
    "bottom left": ("in the bottom left", "in the lower left corner"),
    "bottom": ("at the bottom", "in the middle of the bottom edge"),
    "bottom right": ("in the bottom right", "in the lower right corner"),
}
RELATION_PHRASES = {"left_of": "to the left of", "right_of": "to the right of", "above": "above", "below": "below"}
_SIZE_WORDS = {"small": ("small", "little"), "medium": ("", "medium-sized"), "large": ("large", "big")}
_STYLE_PHRASES = ("in {style} style", "drawn in the {style} style")
# From the shortest description to the longest; the first that fits one thing only is used.
_WAYS = (
    ("shape",),
    ("colour", "shape"),
    ("size", "shape"),
    ("pattern", "shape"),
    ("size", "colour", "shape"),
    ("pattern", "colour", "shape"),
    ("shape", "place"),
    ("colour", "shape", "place"),
    ("size", "pattern", "colour", "shape"),
    ("size", "pattern", "colour", "shape", "place"),
)


def plural(shape: str) -> str:
    return PLURALS.get(shape, f"{shape}s")


def number_word(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def listed(items: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def spot(place: str) -> str:
    """Where, so that nobody takes "at the top" for the whole top row: "in the middle of the top edge"."""
    return PLACE_PHRASES[place][1 if place in ("top", "left", "right", "bottom") else 0]


def noun(kind: Kind, *, many: bool = False) -> str:
    """A description without article: "small striped red star", "things"."""
    shape = kind.shape or "thing"
    size = "medium-sized" if kind.size == "medium" else kind.size
    named = " ".join(word for word in (size, kind.pattern, kind.colour, plural(shape) if many else shape) if word)
    return f"{named} that says {kind.text}" if kind.text else named


def described(kind: Kind, *, many: bool = False) -> str:
    """`noun` and where: "red star in the top left"."""
    place = f" {spot(kind.place)}" if kind.place else ""
    return noun(kind, many=many) + place


def kind_of(thing: Thing, *names: str) -> Kind:
    """What a thing is, in the attributes named."""
    return Kind(**{name: getattr(thing, name) for name in names})


def referring(scene: Scene, thing: Thing, *, without: Iterable[str] = ()) -> Kind | None:
    """The shortest description that fits this thing and no other; None if there is none (one of a cluster of equals).

    Args:
        without: attributes that must not be named, as when they are what is asked.
    """
    for way in _WAYS:
        names = tuple(name for name in way if name not in without)
        if (
            set(way) == set(names)
            and not (thing.pattern == "plain" and "pattern" in way)
            and len(select(scene, kind_of(thing, *names))) == 1
        ):
            return kind_of(thing, *names)
    return None


def the(kind: Kind) -> str:
    return f"the {described(kind)}"


def refer(scene: Scene, thing: Thing, *, without: Iterable[str] = ()) -> str:
    """The referring phrase of a thing: "the red star".

    Raises:
        ValueError: no phrase fits this thing alone; choose another thing.
    """
    kind = referring(scene, thing, without=without)
    if kind is None:
        raise ValueError(f"no phrase fits {thing.id} alone among {len(scene.things)} things")
    return the(kind)


def caption(scene: Scene, stream: Stream) -> str:
    """The whole graph in one of three ways of telling it; an independent reader gets the graph back."""
    return stream.pick((_as_one_sentence, _place_by_place, _row_by_row))(scene, stream)


def groups(scene: Scene) -> list[tuple[str, list[Thing], Thing | None]]:
    """Place, equal things that lie there, and what lies inside the first or hides a part of it, in reading order."""
    held = {thing.inside or thing.over: thing for thing in scene.things if thing.inside or thing.over}
    alone = (thing for thing in scene.things if not (thing.inside or thing.over))
    outer = sorted(alone, key=lambda thing: PLACES.index(thing.place))
    grouped = [(place, list(things)) for place, things in groupby(outer, key=lambda thing: thing.place)]
    return [(place, things, held.get(things[0].id)) for place, things in grouped]


def _counted(thing: Thing, count: int, stream: Stream) -> str:
    """ "a large house", "three small striped blue stars"."""
    words = (stream.pick(_SIZE_WORDS[thing.size]), "" if thing.pattern == "plain" else thing.pattern, thing.colour)
    text = " ".join(word for word in (*words, thing.shape if count == 1 else plural(thing.shape)) if word)
    return with_article(text) if count == 1 else f"{NUMBERS[count]} {text}"


def _group(things: list[Thing], held: Thing | None, stream: Stream) -> str:
    text = _counted(things[0], len(things), stream)
    text = f"{text} that says {things[0].text}" if things[0].text else text
    return text if held is None else joined(text, held, _counted(held, 1, stream))


def joined(text: str, held: Thing, told: str) -> str:
    """A thing and what lies inside it or hides a part of it, both as told."""
    return f"{text} partly hidden by {told}" if held.over else f"{text} with {told} inside it"


def _as_one_sentence(scene: Scene, stream: Stream) -> str:
    items = [
        f"{_group(things, held, stream)} {stream.pick(PLACE_PHRASES[place])}" for place, things, held in groups(scene)
    ]
    lead = stream.pick(
        ("{Style} picture on {ground} background, with", "{Style} drawing on {ground} background that shows")
    )
    lead = lead.format(Style=sentence(with_article(scene.style)), ground=with_article(scene.background))
    return f"{lead} {listed(items)}."


def _place_by_place(scene: Scene, stream: Stream) -> str:
    style = stream.pick(_STYLE_PHRASES).format(style=scene.style)
    texts = []
    for place, things, held in groups(scene):
        where, what, verb = (
            stream.pick(PLACE_PHRASES[place]),
            _group(things, held, stream),
            "is" if len(things) == 1 else "are",
        )
        texts.append(
            stream.pick(
                (f"{where} there {verb} {what}", f"{what} {verb} {where}" if held is None else f"{where} is {what}")
            )
        )
    end = stream.pick(
        (
            f"The picture is {style} and has {with_article(scene.background)} background",
            f"All of it is {style}, on {with_article(scene.background)} background",
        )
    )
    return " ".join(f"{sentence(text)}." for text in (*texts, end))


def _row_by_row(scene: Scene, stream: Stream) -> str:
    columns = ("on the left", "in the middle", "on the right")
    texts = [f"This is {with_article(scene.style)} picture with {with_article(scene.background)} background"]
    verb = stream.pick(("holds", "shows"))
    for row, name in enumerate(("top", "middle", "bottom")):
        items = [
            f"{_group(things, held, stream)} {columns[PLACES.index(place) % 3]}"
            for place, things, held in groups(scene)
            if PLACES.index(place) // 3 == row
        ]
        if items:
            texts.append(f"the {name} row {verb} {listed(items)}")
    return " ".join(f"{sentence(text)}." for text in texts)
