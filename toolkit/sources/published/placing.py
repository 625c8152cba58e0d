"""Placeholders in text + pictures from columns -> each picture in its place.

A placeholder stands for a picture only where the numbers agree; otherwise the row is refused, never guessed at. Text
around it is kept to the letter.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from toolkit.errors import RowError

# Kinds of placeholder seen in published vision-language data. The group "number" counts the row's pictures from 1;
# "path" names the picture itself.
PLACEHOLDERS: dict[str, re.Pattern[str]] = {
    "<image>": re.compile(r"<image>"),
    "<image_1>": re.compile(r"<image[_ ]?(?P<number>\d+)>"),
    "<img>path</img>": re.compile(r"<img>(?P<path>[^<]+)</img>"),
    "<img>": re.compile(r"<img>"),
    "[IMG]": re.compile(r"\[IMG\]"),
    "<|image|>": re.compile(r"<\|image\|>"),
    "<image_placeholder>": re.compile(r"<image_placeholder>"),
}


class Reference(NamedTuple):
    """A picture a row names: by path, or with its bytes in the row itself."""

    path: str
    caption: str = ""
    bytes: bytes = b""


class Gap(NamedTuple):
    """A place for a picture that nothing fills yet: the placeholder as written ("" for a bare image part), and the
    number it names (0: none).
    """

    text: str = ""
    number: int = 0


class Break(NamedTuple):
    """Where two columns meet in one message: an empty line between two texts, nothing beside a picture."""


Piece = str | Reference | Gap | Break


class Turn(NamedTuple):
    role: str
    content: tuple[Piece, ...]


class Pools(NamedTuple):
    """Pictures waiting for a place: those of the prompt, of the answer, and of the whole row, each in reading order."""

    prompt: list[Reference]
    answer: list[Reference]
    row: list[Reference]


def place(turns: Iterable[Turn], pools: Pools, *, placeholder: str, quadrant: str) -> tuple[Turn, ...]:
    """Turns of text and References only.

    Args:
        placeholder: a key of PLACEHOLDERS.
        quadrant: of the row's task; tells on which side pictures go that no placeholder places.

    Raises:
        RowError: "placeholder_mismatch".
    """
    pattern = PLACEHOLDERS[placeholder]
    placed = [Turn(turn.role, tuple(_split(turn.content, pattern))) for turn in turns]
    pieces = [piece for turn in placed for piece in turn.content]
    gaps = [piece for piece in pieces if isinstance(piece, Gap)]
    if any(not gap.text for gap in gaps) or (
        not any(pools) and (quadrant == "text-text" or any(isinstance(piece, Reference) for piece in pieces))
    ):
        # Typed parts say where pictures stand, or there are none: a placeholder in the text is the writer's own words.
        placed = [
            Turn(
                turn.role,
                tuple(piece.text if isinstance(piece, Gap) and piece.text else piece for piece in turn.content),
            )
            for turn in placed
        ]
        gaps = [gap for gap in gaps if not gap.text]
    if any(gap.number for gap in gaps):
        placed = _fill_numbered(placed, gaps, [reference for pool in pools for reference in pool])
    else:
        placed = _fill(placed, pools.prompt, ("system", "user"), "mm-text")
        placed = _fill(placed, pools.answer, ("assistant",), "text-mm")
        placed = _fill(placed, pools.row, ("system", "user", "assistant"), quadrant)
    if left := [gap.text or "image part" for turn in placed for gap in turn.content if isinstance(gap, Gap)]:
        raise RowError(
            f"{len(left)} x {left[0]!r} and no picture for it; expected as many pictures as placeholders",
            kind="placeholder_mismatch",
        )
    return _settle(placed)


def _split(content: Iterable[Piece], pattern: re.Pattern[str]) -> Iterator[Piece]:
    for piece in content:
        if not isinstance(piece, str):
            yield piece
            continue
        end = 0
        for match in pattern.finditer(piece):
            groups = match.groupdict()
            yield piece[end : match.start()]
            yield Reference(groups["path"]) if "path" in groups else Gap(match[0], int(groups.get("number") or 0))
            end = match.end()
        yield piece[end:]


def _fill(turns: list[Turn], pool: list[Reference], roles: tuple[str, ...], quadrant: str) -> list[Turn]:
    gaps = sum(isinstance(piece, Gap) for turn in turns if turn.role in roles for piece in turn.content)
    if pool and not gaps:
        return _attach(turns, pool, quadrant)
    if pool and gaps != len(pool):
        raise RowError(
            f"{gaps} image placeholders but {len(pool)} pictures; expected as many", kind="placeholder_mismatch"
        )
    coming = iter(pool)
    return [
        Turn(turn.role, tuple(next(coming, piece) if isinstance(piece, Gap) else piece for piece in turn.content))
        if turn.role in roles
        else turn
        for turn in turns
    ]


def _fill_numbered(turns: list[Turn], gaps: list[Gap], pool: list[Reference]) -> list[Turn]:
    named = {gap.number for gap in gaps}
    if named != set(range(1, len(pool) + 1)):
        raise RowError(
            f"placeholders name pictures {sorted(named)}, but there are {len(pool)}; expected each from 1 on",
            kind="placeholder_mismatch",
        )
    return [
        Turn(turn.role, tuple(pool[piece.number - 1] if isinstance(piece, Gap) else piece for piece in turn.content))
        for turn in turns
    ]


def _attach(turns: list[Turn], pool: list[Reference], quadrant: str) -> list[Turn]:
    """Pictures no placeholder places: before the first user text, or after the last answer."""
    if quadrant.endswith("-text"):
        before = len(pool)
    elif quadrant.startswith("text-"):
        before = 0
    elif len(pool) == 2:
        before = 1
    else:
        raise RowError(
            f"{len(pool)} pictures and no placeholder; expected placeholders, or a column for each side",
            kind="placeholder_mismatch",
        )
    first = next((number for number, turn in enumerate(turns) if turn.role == "user"), 0)
    last = len(turns) - 1
    return [
        Turn(
            turn.role,
            (*(pool[:before] if number == first else ()), *turn.content, *(pool[before:] if number == last else ())),
        )
        for number, turn in enumerate(turns)
    ]


def _settle(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    return tuple(Turn(turn.role, tuple(_join(turn.content))) for turn in turns)


def _join(content: Iterable[Piece]) -> Iterator[str | Reference]:
    """Adjacent texts become one; empty ones go."""
    text, at_break = "", False
    for piece in content:
        if isinstance(piece, Reference):
            if text:
                yield text
            text, at_break = "", False
            yield piece
        elif isinstance(piece, Break):
            at_break = bool(text)
        elif added := piece.text if isinstance(piece, Gap) else piece:
            text += ("\n\n" if at_break else "") + added
            at_break = False
    if text:
        yield text
