"""Texts with placeholders and a list of pictures -> texts and pictures in reading order."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit.errors import RowError, UsageError
from toolkit.sources.dialects.dialect import Piece, Turn
from toolkit.sources.published.shapes.pictures import Reference, pictures_in

IMAGE = "<image>"
# <image 1>, <image_1>; <img><|image_1|></img> of OmniGen's X2I
NUMBERED = re.compile(r"(\n?(?:<img>)?<\|?image[ _-]?\d+\|?>(?:</img>)?\n?)")


@dataclass(frozen=True, kw_only=True)
class PlaceOptions:
    """
    Attributes:
        placeholder: stands for a picture in a text.
    """

    placeholder: str = IMAGE

    def __post_init__(self) -> None:
        if not self.placeholder:
            raise UsageError("placeholder is empty; expected what stands for a picture")


def place(turns: Sequence[Turn], pictures: Sequence[Reference], placeholder: str = IMAGE) -> tuple[Turn, ...]:
    """The turns with each placeholder in their texts replaced by its picture, in order, and without the line breaks
    around it; numbered ones (<image 1>) by the picture of that number. Where no text has one, all pictures stand in
    front of the first user turn, as do those that no number names.

    Raises:
        RowError: "count_mismatch"; "no_user_turn" for pictures without a place.
    """
    tag = re.compile(rf"(\n?{re.escape(placeholder)}\n?)")
    texts = [piece for turn in turns for piece in turn.content if isinstance(piece, str)]
    if pictures and not any(map(tag.search, texts)) and any(map(NUMBERED.search, texts)):
        return _by_number(turns, pictures)
    count = sum(len(tag.findall(text)) for text in texts)
    if not count:
        return _in_front(turns, pictures)
    if count != len(pictures):
        raise RowError(f"{count} x {placeholder} and {len(pictures)} pictures; expected as many", kind="count_mismatch")
    coming = iter(pictures)
    return tuple(_replaced(turn, tag, lambda found: next(coming)) for turn in turns)


def place_in(turn: Turn, value: object, placeholder: str = IMAGE) -> Turn:
    """A turn with the pictures that it lists itself: where its placeholders are, else in front of what a user says, and
    behind what another says.

    Raises:
        RowError: "count_mismatch".
    """
    pictures = pictures_in(value, "a turn") if value else []
    if not pictures:
        return turn
    if turn.role == "user" or any(isinstance(piece, str) and placeholder in piece for piece in turn.content):
        return place([turn], pictures, placeholder)[0]
    return Turn(turn.role, (*turn.content, *pictures))


def _by_number(turns: Sequence[Turn], pictures: Sequence[Reference]) -> tuple[Turn, ...]:
    named: set[int] = set()

    def picture(found: str) -> Reference:
        number = int(re.sub(r"\D", "", found))
        if not 1 <= number <= len(pictures):
            raise RowError(f"{found.strip()} and {len(pictures)} pictures; expected as many", kind="count_mismatch")
        named.add(number)
        return pictures[number - 1]

    placed = [_replaced(turn, NUMBERED, picture) for turn in turns]
    return _in_front(placed, [each for number, each in enumerate(pictures, 1) if number not in named])


def _replaced(turn: Turn, tag: re.Pattern[str], picture: Callable[[str], Reference]) -> Turn:
    pieces: list[Piece] = []
    for piece in turn.content:
        split = tag.split(piece) if isinstance(piece, str) else [piece]
        pieces += (picture(str(each)) if number % 2 else each for number, each in enumerate(split))
    return Turn(turn.role, filled(pieces))


def _in_front(turns: Sequence[Turn], pictures: Sequence[Reference]) -> tuple[Turn, ...]:
    first = next((number for number, turn in enumerate(turns) if turn.role == "user"), None)
    if not pictures:
        return tuple(turns)
    if first is None:
        raise RowError(f"{len(pictures)} pictures and no turn of the user for them", kind="no_user_turn")
    turn = turns[first]
    return (*turns[:first], Turn(turn.role, (*pictures, *turn.content)), *turns[first + 1 :])


def filled(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Without empty texts."""
    return tuple(piece for piece in pieces if piece != "")
