"""Questions and drawings over the micro-world, each with its thoughts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from toolkit.evaluation.microworld.split import NOUNS, Side, Split
from toolkit.evaluation.microworld.world import COLOURS, PLACES, SHAPES, Picture, Thing

Piece = str | Picture  # a text, or a picture
NUMBERS = ("zero", "one", "two", "three", "four")


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
