"""Placeholders in text + pictures from columns -> each picture in its place.

A placeholder stands for a picture only where the numbers agree; otherwise the row is refused, never guessed at. Text
around it is kept to the letter. A picture that is named twice, in the text and in a column, is one picture.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from toolkit.errors import RowError, shorten
from toolkit.sources.published.shapes.assumed import assumed_of
from toolkit.sources.published.shapes.pictures import Reference, not_among, same_name
from toolkit.sources.published.shapes.placeholders import Placeholders, Tag

PROMPT_ROLES, ANSWER_ROLES = ("system", "user"), ("assistant",)


class Gap(NamedTuple):
    """A typed image part that names no picture."""


class Break(NamedTuple):
    """Where two columns meet in one message: an empty line between two texts, nothing beside a picture."""


Piece = str | Reference | Gap | Break
Added = tuple[int, bool, Reference]  # turn, whether at its start, a picture that no placeholder places


class Turn(NamedTuple):
    """A message; `pictures` are listed beside its content, for the placeholders in it."""

    role: str
    content: tuple[Piece, ...]
    pictures: tuple[Reference, ...] = ()


class Pools(NamedTuple):
    """Pictures waiting for a place: those of the prompt, of the answer, and of the whole row, each in reading order."""

    prompt: list[Reference]
    answer: list[Reference]
    row: list[Reference]


@dataclass(slots=True)
class _Slot:
    """A piece of a message while pictures are placed; a tag that stays None is text."""

    turn: int
    role: str
    piece: Piece
    tag: Tag | None = None
    filled: Reference | None = None

    @property
    def is_open(self) -> bool:
        return (self.tag is not None or isinstance(self.piece, Gap)) and self.filled is None


def place(
    turns: Sequence[Turn],
    pools: Pools,
    *,
    placeholders: Placeholders,
    quadrant: str,
    is_interleaved: bool = False,
    sides: Sequence[str] = (),
) -> tuple[tuple[Turn, ...], tuple[str, ...]]:
    """Turns of text and References only, and what was taken from an order or a position: see assumed.py.

    Args:
        quadrant: of the row's task; tells on which side pictures go that no placeholder places.
        is_interleaved: pictures of an answer stand between its texts, so that none can be put at its end unasked.
        sides: "prompt" or "answer" for each picture of the row's pool, as a mapping says.

    Raises:
        RowError: "placeholder_mismatch", "unknown_placeholder", "picture_conflict" or "sides_mismatch".
    """
    beside = [number for number, turn in enumerate(turns) if turn.pictures]
    placed = [piece for turn in turns for piece in turn.content if isinstance(piece, Reference)]
    placed += [picture for number in beside for picture in turns[number].pictures]
    if placed:
        pools = Pools(*(not_among(pool, placed) for pool in pools))
    has_gaps = Gap in [type(piece) for turn in turns for piece in turn.content]
    is_text = has_gaps or (not any(pools) and (quadrant == "text-text" or bool(placed)))
    slots: list[_Slot] = []
    for number, turn in enumerate(turns):
        slots += _slots(number, turn, None if is_text and not beside else placeholders)
    holes = [slot for slot in slots if slot.tag is not None or isinstance(slot.piece, Gap)]
    added: list[Added] = []
    for number in beside:
        turn = turns[number]
        if not _fill([slot for slot in holes if slot.turn == number], list(turn.pictures)):
            added += [(number, turn.role not in ANSWER_ROLES, picture) for picture in turn.pictures]
    pools = _sided(holes, _place_named(holes, pools), sides)
    unplaced = "" if quadrant == "text-text" or (is_interleaved and quadrant != "mm-text") else quadrant
    added += _place_pools(turns, slots, holes, pools, placeholders, quadrant, unplaced)
    if left := [slot for slot in holes if slot.is_open]:
        first = left[0].tag.kind if left[0].tag else "image part"
        raise RowError(
            f"{len(left)} x {first!r} and no picture for it; expected as many pictures as placeholders",
            kind="placeholder_mismatch",
        )
    in_order = [slot.filled for slot in holes if not (slot.tag and (slot.tag.path or slot.tag.number >= 0))]
    lists = (*pools, *(turns[number].pictures for number in beside))
    return _settle(turns, slots, added), tuple(assumed_of(lists, in_order, added, pools.row))


def _sided(holes: list[_Slot], pools: Pools, sides: Sequence[str]) -> Pools:
    """Numbers of placeholders count the pictures of all pools; otherwise a mapping may say which side each is of."""
    is_one = not (pools.prompt and pools.answer) and not ((pools.prompt or pools.answer) and pools.row)
    if is_one and not sides:
        return pools
    numbered = any(slot.tag and slot.tag.number >= 0 for slot in holes if slot.is_open)
    if numbered and not is_one:
        return Pools([], [], [reference for pool in pools for reference in pool])
    if numbered or not sides or not pools.row:
        return pools
    if len(sides) != len(pools.row):
        raise RowError(
            f"{len(pools.row)} pictures in one list, and sides: of the mapping names {len(sides)}; expected as many",
            kind="sides_mismatch",
        )
    pairs = list(zip(sides, pools.row, strict=True))
    prompt, answer = ([each for side, each in pairs if side == name] for name in ("prompt", "answer"))
    return Pools([*pools.prompt, *prompt], [*pools.answer, *answer], [])


def _slots(number: int, turn: Turn, placeholders: Placeholders | None) -> Iterator[_Slot]:
    for piece in turn.content:
        if not isinstance(piece, str):
            yield _Slot(number, turn.role, piece)
            continue
        end = 0
        for tag in placeholders.find(piece) if placeholders else ():
            if tag.start > end:
                yield _Slot(number, turn.role, piece[end : tag.start])
            yield _Slot(number, turn.role, piece[tag.start : tag.end], tag)
            end = tag.end
        if end < len(piece):
            yield _Slot(number, turn.role, piece[end:])


def _place_named(holes: list[_Slot], pools: Pools) -> Pools:
    """Tags that hold a path take the picture of that path, or are the only ones that name it."""
    tags = [slot for slot in holes if slot.tag and slot.tag.path and slot.is_open]
    if not tags:
        return pools
    listed = [reference for pool in pools for reference in pool]
    known = [next((each for each in listed if same_name(each.path, slot.tag.path)), None) for slot in tags if slot.tag]
    if listed and not any(known):
        bare = sum(slot.is_open and not (slot.tag and slot.tag.path) for slot in holes)
        if bare == 0:
            raise RowError(
                f"the text names {shorten(slot.tag.path for slot in tags if slot.tag)} and a column "
                f"{shorten(each.path for each in listed)}; expected the same pictures; say in a mapping which columns "
                "or placeholders count",
                kind="picture_conflict",
            )
        for slot in tags:
            slot.tag = None  # the column's pictures have placeholders of their own: these are text
        return pools
    if listed and not all(known):
        raise RowError(
            f"the text names {len(tags)} pictures, and a column lists {sum(map(bool, known))} of them; expected all or "
            "none",
            kind="picture_conflict",
        )
    for slot, reference in zip(tags, known, strict=True):
        assert slot.tag is not None
        slot.filled = reference or Reference(slot.tag.path)
        if slot.tag.caption and not slot.filled.caption:
            slot.filled = slot.filled._replace(caption=slot.tag.caption)
    taken = [slot.filled.path for slot in tags if slot.filled]
    return Pools(*([each for each in pool if not any(same_name(each.path, path) for path in taken)] for pool in pools))


def _place_pools(
    turns: Sequence[Turn],
    slots: list[_Slot],
    holes: list[_Slot],
    pools: Pools,
    placeholders: Placeholders,
    quadrant: str,
    unplaced: str,
) -> list[Added]:
    """Fill open slots from the pools; pictures of the row that have none go as quadrant `unplaced` says."""
    added: list[Added] = []
    is_prompt_text, is_answer_text = quadrant.startswith("text-"), quadrant.endswith("-text")
    for pool, roles, where, is_text in (
        (pools.prompt, PROMPT_ROLES, "mm-text", is_prompt_text and "prompts"),
        (pools.answer, ANSWER_ROLES, "text-mm", is_answer_text and "answers"),
        (pools.row, PROMPT_ROLES + ANSWER_ROLES, unplaced, ""),
    ):
        if not pool or _fill([slot for slot in holes if slot.is_open and slot.role in roles], pool):
            continue
        for slot in slots:
            if isinstance(slot.piece, str) and slot.tag is None and (tag := placeholders.unknown(slot.piece)):
                raise RowError(
                    f"text has {tag!r}, which may stand for a picture, and {len(pool)} pictures have no place; add "
                    "it to placeholder: in a mapping, or list there those that count",
                    kind="unknown_placeholder",
                )
        if is_text:
            raise RowError(
                f"{len(pool)} pictures and no placeholder for them, of a task whose {is_text} are text; expected "
                "placeholders, or ignore: with the column in a mapping",
                kind="placeholder_mismatch",
            )
        added += _attach(turns, pool, where)
    return added


def _fill(here: list[_Slot], pool: list[Reference]) -> bool:
    """Put the pictures of a pool into open slots; False where there are none.

    Of several kinds of tags that one counts whose number fits; the others are text then.
    """
    if not here:
        return False
    by_kind: dict[str, list[_Slot]] = {}
    for slot in here:
        by_kind.setdefault(slot.tag.kind if slot.tag else "", []).append(slot)
    fitting = [here] if _fits(here, len(pool)) else [group for group in by_kind.values() if _fits(group, len(pool))]
    if len(fitting) != 1:
        found = ", ".join(f"{len(group)} x {kind or 'image part'}" for kind, group in by_kind.items())
        either = "more than one kind fits; say in a mapping which placeholder counts" if fitting else "expected as many"
        raise RowError(f"{found}, but {len(pool)} pictures; {either}", kind="placeholder_mismatch")
    first = min((slot.tag.number for slot in fitting[0] if slot.tag), default=-1)
    coming = iter(pool)
    for slot in fitting[0]:
        slot.filled = pool[slot.tag.number - first] if first >= 0 and slot.tag else next(coming)
    kinds = {slot.tag.kind for slot in fitting[0] if slot.tag}
    for slot in here:
        if slot.filled is None and slot.tag and slot.tag.kind not in kinds:
            slot.tag = None
    return True


def _fits(group: list[_Slot], count: int) -> bool:
    """As many as there are pictures; or numbers, from 1 or from 0, that name each picture at least once."""
    numbers = {slot.tag.number if slot.tag else -1 for slot in group}
    if -1 in numbers:
        return numbers == {-1} and len(group) == count
    return numbers in (set(range(1, count + 1)), set(range(count)))


def _attach(turns: Sequence[Turn], pool: list[Reference], quadrant: str) -> list[Added]:
    """Pictures no placeholder places: before the first user text, or after the last answer."""
    if quadrant.endswith("-text"):
        before = len(pool)
    elif quadrant.startswith("text-"):
        before = 0
    elif quadrant == "mm-mm" and len(pool) == 2:
        before = 1
    else:
        raise RowError(
            f"{len(pool)} pictures and no placeholder; expected placeholders, a column for each side, or sides: in a "
            "mapping",
            kind="placeholder_mismatch",
        )
    first = next((number for number, turn in enumerate(turns) if turn.role == "user"), 0)
    last = len(turns) - 1
    return [(first, True, each) for each in pool[:before]] + [(last, False, each) for each in pool[before:]]


def _settle(turns: Sequence[Turn], slots: list[_Slot], added: Sequence[Added]) -> tuple[Turn, ...]:
    contents: list[list[Piece]] = [[] for _ in turns]
    for number, at_start, reference in added:
        contents[number] += [reference] if at_start else []
    for slot in slots:
        contents[slot.turn].append(slot.filled if slot.filled is not None else slot.piece)
    for number, at_start, reference in added:
        contents[number] += [] if at_start else [reference]
    return tuple(Turn(turn.role, tuple(_join(content))) for turn, content in zip(turns, contents, strict=True))


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
        elif piece and isinstance(piece, str):
            text += ("\n\n" if at_break else "") + piece
            at_break = False
    if text:
        yield text
