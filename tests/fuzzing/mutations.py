"""A good input and dice -> another input. Dice of `random` are quick; those of hypothesis find the smallest input."""

import random
from collections.abc import Iterator
from typing import Any

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, float("nan"), float("inf"), "", " ", "0",
    "<image>", "\0", "\ud800", "\u202e", "../../x", "/etc/passwd", "file:///etc/passwd", "~", "$(id)", "a" * 10_000,
    b"\xff\xfe", [], {}, [None], [[]], {"": None}, {"type": "image"}, "[" * 3_000, "null", "<think>", "2026-01-01",
    1e308, "a.png", "x/../a.png", "https://127.0.0.1:1/a.png", "\x1b[31m", "9" * 5_000, ["a", 1], "<image 1>",
)  # fmt: skip
ALPHABET = (*"aZ0 .,:;/\\<>{}[]\"'\n\t%&#@=-_", "\0", "\x7f", "\xe9", "\u2028", "\u202e", "\ufeff", "\U0001f600")
WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63)
DROPPED = object()


def changed_bytes(data: bytes, dice: random.Random) -> bytes:
    """A few of: bytes changed, cut, doubled, moved, overwritten with numbers that readers trust."""
    content = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        at, size = dice.randrange(len(content) + 1), dice.choice((1, 2, 4, 8, 64, 512))
        how = dice.randrange(8)
        if how == 0 and content:
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        elif how == 1:
            content[at : at + size] = dice.randbytes(size)
        elif how == 2:
            del content[at:]
        elif how == 3:
            del content[at : at + size]
        elif how == 4:
            content[at:at] = content[at : at + size]
        elif how == 5:
            content[at : at + size] = dice.choice((b"\0", b"\xff", b"\x7f", b"0", b"9")) * size
        elif how == 6:
            word = dice.choice(WORDS).to_bytes(8, "little")
            content[at : at + 4] = (word[:4], word[3::-1], word, word[::-1])[dice.randrange(4)]
        else:
            other = dice.randrange(len(content) + 1)
            content[at:at] = content[other : other + size * 8]
    return bytes(content)


def changed_value(base: Any, dice: random.Random) -> Any:
    """A structure with one to three of its values replaced; what is not on the way to them is that of `base`."""
    value = base
    for _ in range(dice.choice((1, 1, 2, 3))):
        found = list(places(value))
        path = dice.choice(found)
        value = _at(value, path, dice, found, base)
    return value


def _at(value: Any, path: tuple[Any, ...], dice: random.Random, found: list[tuple[Any, ...]], base: Any) -> Any:
    how = dice.randrange(10)
    if how == 0 and path:
        return replaced(value, path, DROPPED)
    if how == 1 and isinstance(holder := value_at(value, path), (dict, list)):
        more = hostile(dice)
        return replaced(value, path, {**holder, text(dice): more} if isinstance(holder, dict) else [*holder, more])
    if how == 2:  # a value that is right elsewhere
        return replaced(value, path, value_at(value, dice.choice(found)))
    if how == 3 and isinstance(whole := value_at(value, path), str) and whole:
        at = dice.randrange(len(whole))
        return replaced(value, path, whole[:at] + text(dice) + whole[at + dice.randrange(3) :])
    return replaced(value, path, hostile(dice))


def hostile(dice: random.Random, depth: int = 2) -> Any:
    how = dice.randrange(16)
    if how < 9:
        return dice.choice(HOSTILE)
    if how == 9:
        return text(dice)
    if how == 10:
        return dice.choice((-1, 1)) * dice.getrandbits(dice.choice((3, 8, 31, 64, 70)))
    if how == 11:
        return dice.choice((-1, 1)) * dice.random() * 10 ** dice.randrange(20)
    if how == 12:
        return deep(dice.randrange(10, 3_000), in_objects=dice.random() < 0.5)
    if depth and how == 13:
        return [hostile(dice, depth - 1) for _ in range(dice.randrange(4))]
    return {text(dice): hostile(dice, depth - 1) for _ in range(dice.randrange(3))} if depth else None


def deep(levels: int, *, in_objects: bool) -> Any:
    value: Any = []
    for _ in range(levels):
        value = {"a": value} if in_objects else [value]
    return value


def is_deep(value: Any, most: int = 60) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not most or any(is_deep(each, most - 1) for each in inner)


def text(dice: random.Random) -> str:
    return "".join(dice.choice(ALPHABET) for _ in range(dice.randrange(12)))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value within a structure, and of itself; as far down as structures are read."""
    yield path
    if len(path) < 20:
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            yield from places(value[key], (*path, key))


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy as far as it differs."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    if by is DROPPED and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], by)
    return copy
