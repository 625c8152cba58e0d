"""Captions -> graph, by their words alone. Vocabulary is written out again here on purpose: a slip in the engine's own
must not cancel out.
"""

import re
from typing import NamedTuple

STYLE_WORDS = "storybook|comic|pastel|chalkboard|neon|blueprint|sticker"
BACKGROUND_WORDS = "plain|dotted|grid|lined|shaded"
COLOUR_WORDS = "red|orange|yellow|green|blue|purple|pink|brown"
SHAPE_WORDS = {
    "circle": "circle",
    "circles": "circle",
    "square": "square",
    "squares": "square",
    "triangle": "triangle",
    "triangles": "triangle",
    "diamond": "diamond",
    "diamonds": "diamond",
    "star": "star",
    "stars": "star",
    "heart": "heart",
    "hearts": "heart",
    "cross": "cross",
    "crosses": "cross",
    "moon": "moon",
    "moons": "moon",
    "flower": "flower",
    "flowers": "flower",
    "crown": "crown",
    "crowns": "crown",
    "house": "house",
    "houses": "house",
    "fish": "fish",
    "boat": "boat",
    "boats": "boat",
    "tree": "tree",
    "trees": "tree",
    "mushroom": "mushroom",
    "mushrooms": "mushroom",
}
COUNT_WORDS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4}
SIZE_WORDS = {
    "": "medium",
    "small": "small",
    "little": "small",
    "medium-sized": "medium",
    "large": "large",
    "big": "large",
}
_PLACES = (
    (r"(?:top|upper) left(?: corner)?", "top left"),
    (r"(?:top|upper) right(?: corner)?", "top right"),
    (r"(?:bottom|lower) left(?: corner)?", "bottom left"),
    (r"(?:bottom|lower) right(?: corner)?", "bottom right"),
    (r"top|middle of the top edge", "top"),
    (r"bottom|middle of the bottom edge", "bottom"),
    (r"left side|left", "left"),
    (r"right side|right", "right"),
    (r"centre|middle", "centre"),
)
_ROW = {("top", "left"): "top left", ("top", "centre"): "top", ("top", "right"): "top right"}
_ROW |= {("middle", "left"): "left", ("middle", "centre"): "centre", ("middle", "right"): "right"}
_ROW |= {("bottom", "left"): "bottom left", ("bottom", "centre"): "bottom", ("bottom", "right"): "bottom right"}

_PLACE = (
    r"(?:in|at|on|halfway down) the (?P<place>"
    + "|".join(sorted((p for p, _ in _PLACES), key=len, reverse=True))
    + r")\b"
)
_ITEM = (
    r"(?P<count>a|an|two|three|four) (?:(?P<size>small|little|medium-sized|large|big) "
    r")?(?:(?P<pattern>striped|spotted) )?"
    rf"(?P<colour>{COLOUR_WORDS}) (?P<shape>{'|'.join(sorted(SHAPE_WORDS, key=len, reverse=True))})\b"
    r"(?P<hidden> partly hidden by)?"
)
_TOKEN = re.compile(
    rf"(?P<item>{_ITEM})|(?P<where>{_PLACE})|(?P<row>the (?P<row_name>top|middle|bottom) row)|(?P<stop>\.)"
)
_NAMED = rf"({COLOUR_WORDS}) ({'|'.join(SHAPE_WORDS)})"
_HIDDEN = re.compile(rf"{_NAMED} partly hidden by an? (?:(?:small|little|medium-sized|large|big) )?{_NAMED}\b")
_SIGN = re.compile(rf"{_NAMED} that says (\w+)\b")
_PHRASE = re.compile(
    r"the (?:(?P<size>small|medium-sized|large) )?(?:(?P<pattern>striped|spotted) )?"
    rf"(?:(?P<colour>{COLOUR_WORDS}) "
    rf")?(?P<shape>{'|'.join(sorted(set(SHAPE_WORDS.values()), key=len, reverse=True))})(?: {_PLACE})?"
)


class ReadThing(NamedTuple):
    """A thing as told; `inside` is colour and shape of what it lies in."""

    size: str
    pattern: str
    colour: str
    shape: str
    place: str
    inside: str


class ReadScene(NamedTuple):
    things: tuple[ReadThing, ...]  # sorted
    background: str
    style: str


class _Item(NamedTuple):
    number: int
    size: str
    pattern: str
    colour: str
    shape: str
    inside: str
    is_hidden: bool = False


def read_caption(text: str) -> ReadScene:
    """The graph a caption tells.

    Raises:
        ValueError: a phrase is missing, or there are words for a thing without a place.
    """
    lower = text.lower()
    style = re.search(rf"\b({STYLE_WORDS}) (?:style|picture|drawing)\b", lower)
    background = re.search(rf"\b({BACKGROUND_WORDS}) background\b", lower)
    if style is None or background is None:
        raise ValueError(f"no style or no background in {text!r}")
    return ReadScene(tuple(sorted(read_things(lower))), background[1], style[1])


def read_things(text: str) -> list[ReadThing]:
    """Things told with their places, in any text; what has no place is left out only if nothing follows it."""
    things: list[ReadThing] = []
    waiting: list[_Item] = []
    row = place_before = ""
    for match in _TOKEN.finditer(text.lower()):
        if match["row"]:
            row = match["row_name"]
        elif match["stop"]:
            things += _placed(waiting, place_before)
            waiting, row, place_before = [], "", ""
        elif match["item"]:
            waiting.append(_item(match, waiting))
        elif waiting:
            things += _placed(waiting, _place(match["place"], row))
            waiting = []
        else:
            place_before = _place(match["place"], row)
    return things


def read_hidden(text: str) -> list[tuple[str, str]]:
    """What hides a part of what: ("red star", "blue square") of "a blue square partly hidden by a red star"; sorted."""
    return sorted(
        (f"{colour} {SHAPE_WORDS[shape]}", f"{hidden_colour} {SHAPE_WORDS[hidden_shape]}")
        for hidden_colour, hidden_shape, colour, shape in _HIDDEN.findall(text.lower())
    )


def read_signs(text: str) -> list[tuple[str, str]]:
    """What is written on what: ("red square", "EXIT") of "a large red square that says EXIT"; sorted."""
    return sorted((f"{colour} {SHAPE_WORDS[shape]}", said) for colour, shape, said in _SIGN.findall(text))


def read_phrase(text: str) -> dict[str, str]:
    """Attributes that a referring phrase names: "the small red star in the top left" -> size, colour, shape, place."""
    match = _PHRASE.fullmatch(text.lower())
    if match is None:
        raise ValueError(f"no referring phrase: {text!r}")
    found = {name: match[name] for name in ("size", "pattern", "colour", "shape") if match[name]}
    if "size" in found:
        found["size"] = SIZE_WORDS[found["size"]]
    return found | ({"place": _place(match["place"], "")} if match["place"] else {})


def _item(match: re.Match[str], waiting: list[_Item]) -> _Item:
    # "a circle with a star inside it": the star follows its holder with no place between them.
    inside = f"{waiting[-1].colour} {waiting[-1].shape}" if waiting and not waiting[-1].is_hidden else ""
    shape = SHAPE_WORDS[match["shape"]]
    return _Item(
        COUNT_WORDS[match["count"]],
        SIZE_WORDS[match["size"] or ""],
        match["pattern"] or "plain",
        match["colour"],
        shape,
        inside,
        bool(match["hidden"]),
    )


def _place(words: str, row: str) -> str:
    name = next(name for pattern, name in _PLACES if re.fullmatch(pattern, words))
    return _ROW[row, name] if row else name


def _placed(items: list[_Item], place: str) -> list[ReadThing]:
    if items and not place:
        raise ValueError(f"no place for {items}")
    return [
        ReadThing(item.size, item.pattern, item.colour, item.shape, place, item.inside)
        for item in items
        for _ in range(item.number)
    ]
