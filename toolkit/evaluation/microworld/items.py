"""Questions and drawings over the micro-world, each with its thoughts; and which of the world either side shows.

Understanding ("U") answers in words, drawing ("D") with a picture. A seed splits the world: some nouns, pairs of colour
and shape, and whole shapes are shown by one side of the data only, some pairs by none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import Literal

from toolkit.evaluation.microworld.world import COLOURS, EMPTY, PLACES, SHAPES, Picture, Thing

Side = Literal["U", "D"]
Piece = str | Picture  # a text, or a picture
NUMBERS = ("zero", "one", "two", "three", "four")
# Three words for each colour: both sides use the first, understanding alone the second, drawing alone the third.
NOUNS: dict[str, tuple[str, str, str]] = {
    "red": ("tomato", "brick", "ruby"),
    "orange": ("carrot", "pumpkin", "tangerine"),
    "yellow": ("lemon", "canary", "butter"),
    "green": ("grass", "frog", "emerald"),
    "blue": ("sky", "jeans", "sapphire"),
    "purple": ("plum", "lavender", "amethyst"),
    "pink": ("flamingo", "piglet", "salmon"),
    "brown": ("chocolate", "bark", "coffee"),
}
_ONE_SIDED_SHAPES, _ONE_SIDED_PAIRS, _NEVER_PAIRS = 2, 8, 8


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which side of the data shows what. All else is shown by both.

    Attributes:
        shapes: shapes that one side alone shows.
        pairs: pairs of colour and shape that one side alone shows.
        never: pairs that neither shows.
    """

    shapes: dict[Side, frozenset[str]]
    pairs: dict[Side, frozenset[Thing]]
    never: frozenset[Thing]

    @classmethod
    def of(cls, seed: int) -> "Split":
        random = Random(f"split {seed}")
        shapes = random.sample(sorted(SHAPES), 2 * _ONE_SIDED_SHAPES)
        others = [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES) if shape not in shapes]
        pairs = random.sample(others, 2 * _ONE_SIDED_PAIRS + _NEVER_PAIRS)
        cut = _ONE_SIDED_SHAPES, _ONE_SIDED_PAIRS
        return cls(
            shapes={"U": frozenset(shapes[: cut[0]]), "D": frozenset(shapes[cut[0] :])},
            pairs={"U": frozenset(pairs[: cut[1]]), "D": frozenset(pairs[cut[1] : 2 * cut[1]])},
            never=frozenset(pairs[2 * cut[1] :]),
        )

    def shows(self, side: Side, thing: Thing) -> bool:
        other: Side = "D" if side == "U" else "U"
        return thing.shape not in self.shapes[other] and thing not in self.pairs[other] and thing not in self.never

    def things(self, side: Side) -> list[Thing]:
        return [each for each in _ALL if self.shows(side, each)]

    def only(self, side: Side) -> list[Thing]:
        """Things that this side shows and the other does not, whole shapes left out."""
        return sorted(self.pairs[side])

    def of_shapes(self, side: Side) -> list[Thing]:
        """Things of the shapes that this side alone shows."""
        return [each for each in _ALL if each.shape in self.shapes[side]]


_ALL = [Thing(colour, shape) for colour, shape in product(COLOURS, SHAPES)]


@dataclass(frozen=True, kw_only=True)
class Item:
    """
    Attributes:
        side: which side of the data it belongs to.
        task: a key of `TASKS`.
        prompt: texts and pictures.
        thought: texts and pictures that lead to the answer, none in tasks without.
        answer: a text for "U", a picture for "D".
    """

    side: Side
    task: str
    prompt: Sequence[Piece]
    thought: Sequence[Piece] = field(default=())
    answer: Piece


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Where an item takes its things from.

    Attributes:
        random: of the item alone.
        things: what may be shown.
        asked: what the question is about, of these; none = any of `things`.
        nouns: which of the three words of a colour may stand for it.
    """

    random: Random
    things: Sequence[Thing]
    asked: Sequence[Thing] = ()
    nouns: Sequence[int] = (0,)

    def scene(self, least: int = 2, most: int = 3) -> tuple[Picture, int]:
        """Things of different colours and shapes, and the place of the one that is asked about."""
        first = self.random.choice(self.asked or self.things)
        chosen = [first]
        count = self.random.randint(least, most)
        while len(chosen) < count:
            one = self.random.choice(self.things)
            if all(one.colour != each.colour and one.shape != each.shape for each in chosen):
                chosen.append(one)
        places = self.random.sample(range(4), len(chosen))
        return _placed(dict(zip(places, chosen, strict=True))), places[0]

    def noun(self, colour: str) -> str:
        return NOUNS[colour][self.random.choice(self.nouns)]


def _placed(things: dict[int, Thing]) -> Picture:
    cells = [things.get(place) for place in range(4)]
    return cells[0], cells[1], cells[2], cells[3]


def _alone(picture: Picture, *places: int) -> Picture:
    """The picture with these cells and no other."""
    return _placed({place: thing for place in places if (thing := picture[place]) is not None})


def _at(picture: Picture, place: int) -> Thing:
    thing = picture[place]
    assert thing is not None
    return thing


def told(picture: Picture) -> str:
    return " and ".join(f"a {each.colour} {each.shape} at the {PLACES[p]}" for p, each in enumerate(picture) if each)


def _colour(draw: Draw) -> Item:
    picture, place = draw.scene()
    thing = _at(picture, place)
    return Item(
        side="U",
        task="colour",
        prompt=(picture, f"what colour is the {thing.shape}"),
        thought=(f"the {thing.shape} is at the {PLACES[place]}", _alone(picture, place), f"so it is {thing.colour}"),
        answer=thing.colour,
    )


def _shape(draw: Draw) -> Item:
    picture, place = draw.scene()
    thing = _at(picture, place)
    return Item(
        side="U",
        task="shape",
        prompt=(picture, f"which shape is {thing.colour}"),
        thought=(f"{thing.colour} is at the {PLACES[place]}", _alone(picture, place), f"so it is the {thing.shape}"),
        answer=thing.shape,
    )


def _place(draw: Draw) -> Item:
    picture, place = draw.scene()
    thing = _at(picture, place)
    return Item(
        side="U",
        task="place",
        prompt=(picture, f"where is the {thing.colour} {thing.shape}"),
        thought=(f"i look for a {thing.colour} {thing.shape}", _alone(picture, place)),
        answer=PLACES[place],
    )


def _noun(draw: Draw) -> Item:
    picture, place = draw.scene()
    thing = _at(picture, place)
    noun = draw.noun(thing.colour)
    return Item(
        side="U",
        task="noun",
        prompt=(picture, f"which shape looks like a {noun}"),
        thought=(f"a {noun} is {thing.colour}", _alone(picture, place), f"so it is the {thing.shape}"),
        answer=thing.shape,
    )


def _count(draw: Draw) -> Item:
    thing, number = draw.random.choice(draw.asked or draw.things), draw.random.randint(0, 4)
    others = [each for each in draw.things if each.colour != thing.colour]
    alike = [each for each in draw.things if each.colour == thing.colour]
    places = draw.random.sample(range(4), 4)
    cells = {place: draw.random.choice(alike) for place in places[:number]}
    if number:
        cells[places[0]] = thing
    for place in places[number:]:
        if draw.random.random() < 0.7 or not cells:
            cells[place] = draw.random.choice(others)
    picture = _placed(cells)
    return Item(
        side="U",
        task="count",
        prompt=(picture, f"how many are {thing.colour}"),
        thought=(f"i keep what is {thing.colour}", _alone(picture, *places[:number])),
        answer=NUMBERS[number],
    )


def _flip(draw: Draw) -> Item:
    picture, place = draw.scene()
    thing = _at(picture, place)
    flipped: Picture = (picture[1], picture[0], picture[3], picture[2])
    return Item(
        side="U",
        task="flip",
        prompt=(picture, f"in a mirror where is the {thing.shape}"),
        thought=("in a mirror left and right change", flipped),
        answer=PLACES[place ^ 1],
    )


def _text(draw: Draw) -> Item:
    picture, place = draw.scene(2, 2)
    thing = _at(picture, place)
    return Item(
        side="U",
        task="text",
        prompt=(f"there is {told(picture)} . which shape is {thing.colour}",),
        thought=(picture, f"{thing.colour} is at the {PLACES[place]}"),
        answer=thing.shape,
    )


def _fact(draw: Draw) -> Item:
    colour = draw.random.choice(sorted(COLOURS))
    return Item(side="U", task="fact", prompt=(f"what colour is a {draw.noun(colour)}",), answer=colour)


def _plain(draw: Draw) -> Item:
    picture, _ = draw.scene(1, 2)
    return Item(side="D", task="plain", prompt=(f"draw {told(picture)}",), answer=picture)


def _riddle(draw: Draw) -> Item:
    picture, place = draw.scene(1, 1)
    thing = _at(picture, place)
    noun = draw.noun(thing.colour)
    return Item(
        side="D",
        task="riddle",
        prompt=(f"draw a {thing.shape} at the {PLACES[place]} that looks like a {noun}",),
        thought=(f"a {noun} is {thing.colour} so it is a {thing.colour} {thing.shape}",),
        answer=picture,
    )


def _edit(draw: Draw) -> Item:
    picture, place = draw.scene()
    after = _at(picture, place)
    before = draw.random.choice(
        [each for each in draw.things if each.shape == after.shape and each != after] or [after]
    )
    first = _placed({**{p: each for p, each in enumerate(picture) if each}, place: before})
    return Item(
        side="D",
        task="edit",
        prompt=(first, f"make the {after.shape} {after.colour}"),
        thought=(f"the {after.shape} is at the {PLACES[place]}",),
        answer=picture,
    )


def _correct(draw: Draw) -> Item:
    picture, place = draw.scene(2, 2)
    right = _at(picture, place)
    wrong = draw.random.choice([each for each in draw.things if each.shape == right.shape and each != right] or [right])
    first = _placed({**{p: each for p, each in enumerate(picture) if each}, place: wrong})
    return Item(
        side="D",
        task="correct",
        prompt=(first, f"it should show {told(picture)}"),
        thought=(f"the {right.shape} is {wrong.colour} but should be {right.colour}",),
        answer=picture,
    )


def _draw_count(draw: Draw) -> Item:
    thing, number = draw.random.choice(draw.asked or draw.things), draw.random.randint(1, 4)
    picture = _placed(dict.fromkeys(range(number), thing))
    return Item(
        side="D",
        task="draw_count",
        prompt=(f"draw {NUMBERS[number]} {thing.colour} {thing.shape}",),
        thought=(" ".join(f"{NUMBERS[n + 1]} at the {PLACES[n]}" for n in range(number)),),
        answer=picture,
    )


TASKS: dict[Side, dict[str, Callable[[Draw], Item]]] = {
    "U": {
        "colour": _colour,
        "shape": _shape,
        "place": _place,
        "noun": _noun,
        "count": _count,
        "flip": _flip,
        "text": _text,
        "fact": _fact,
    },
    "D": {"plain": _plain, "riddle": _riddle, "edit": _edit, "correct": _correct, "draw_count": _draw_count},
}
_NOUNS_SHOWN: dict[Side, tuple[int, ...]] = {"U": (0, 1), "D": (0, 2)}


def training_item(split: Split, side: Side, seed: int, number: int) -> Item:
    """The item of a number of one side of the data; tasks take turns."""
    random = Random(f"{seed} {side} {number}")
    task = list(TASKS[side])[number % len(TASKS[side])]
    return TASKS[side][task](Draw(random=random, things=split.things(side), nouns=_NOUNS_SHOWN[side]))


def words() -> list[str]:
    """Every word that an item can hold."""
    split = Split.of(0)
    found: set[str] = {"think", *COLOURS, *SHAPES, *NUMBERS, *(noun for each in NOUNS.values() for noun in each)}
    for side, tasks in TASKS.items():
        for number in range(20 * len(tasks)):
            item = training_item(split, side, 0, number)
            for piece in (*item.prompt, *item.thought, item.answer):
                found |= set(piece.split()) if isinstance(piece, str) else set()
    return sorted(found)


assert EMPTY == (None,) * 4
