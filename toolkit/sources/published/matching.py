"""Which member of an archive a path in a row means.

exact    the names are equal, after normalising
near     they are equal but for what only says where the archive lies: its own name, "./", a host, a query
wrapped  they are equal but for "images/" and the like at their start
rule     one ends as the other does, as far as the shorter one goes

An exact name wins over everything, a near one over rules, a wrapped one over rules that have less in common. A rule is
taken only where nothing else is there and one member alone fits best.
What shares no more than a file name is never taken: that is how one picture becomes another.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from toolkit.sources.published.members import decodings, is_utf8, normalise_name
from toolkit.sources.published.shapes.pictures import is_picture_name
from toolkit.sources.published.shapes.words import ALIASES, squash

RULE, WRAPPED, NEAR, EXACT = 1, 2, 3, 4
WRAPPERS = ("images", "image", "imgs", "img", "data", "pictures", "pics")
ABSOLUTE = re.compile(r"(?i)^(?:https?|file|s3|gs|hf):/+|^[a-z]:/")


class Found(NamedTuple):
    """A picture that a member may be.

    Attributes:
        picture: its number.
        how: EXACT, NEAR, WRAPPED or RULE.
        common: how many folders, counted from the file name, which is one, are the same.
    """

    picture: int
    how: int
    common: int


class Names:
    """The pictures that rows look for in one archive, found by members' names.

    Args:
        archive, task: its path, and whose pictures it holds: what names may begin with.
        wanted: (number of a picture, the normalised path rows give).
    """

    def __init__(self, archive: str, task: str, wanted: Iterable[tuple[int, str]]) -> None:
        self._own = _own_names(archive, task)
        self._exact: defaultdict[str, list[int]] = defaultdict(list)
        self._by_last: defaultdict[str, list[tuple[int, list[str]]]] = defaultdict(list)  # number, pieces of the path
        self._has_bare = False  # whether some names have no suffix
        for number, path in wanted:
            self._exact[path].append(number)
            is_plain = not ("?" in path or "#" in path or "%" in path)
            for spelling in (path,) if is_plain else dict.fromkeys(spellings(path)):
                pieces = shorten_path(spelling, self._own).split("/")
                self._has_bare = self._has_bare or not is_picture_name(pieces[-1])
                self._by_last[pieces[-1]].append((number, pieces))

    def find(self, name: str) -> tuple[str, list[Found]]:
        """A member's name as it can be shown, and the pictures it may be."""
        if is_utf8(name):
            return name, self._find(name)
        given = decodings(name)
        for spelling in given:
            if found := self._find(spelling):
                return spelling, found
        return given[-1], []

    def below(self, folders: Iterable[str]) -> Iterator[str]:
        """Names that rows give of what lies in one of these folders."""
        tops = set(folders)
        for name in self._exact if tops else ():
            pieces = name.split("/")
            if any("/".join(pieces[:count]) in tops for count in range(1, len(pieces))):
                yield name

    def _find(self, name: str) -> list[Found]:
        exact, last = self._exact.get(name, ()), name.rpartition("/")[2]
        alike = self._by_last.get(last, ())
        bare = self._by_last.get(last.rpartition(".")[0], ()) if self._has_bare and is_picture_name(last) else ()
        if len(exact) == len(alike) and not bare:  # no other picture has this file name
            return [Found(number, EXACT, 0) for number in exact]
        pieces = shorten_path(name, self._own).split("/")
        found = {number: Found(number, EXACT, 0) for number in exact}
        for group, own in ((alike, pieces), (bare, [*pieces[:-1], last.rpartition(".")[0]])):
            for number, wanted in group:
                how, common = _compare(wanted, own)
                how = how if group is alike else min(how, RULE)
                if how and ((known := found.get(number)) is None or (how, common) > known[1:]):
                    found[number] = Found(number, how, common)
        return list(found.values())


def spellings(path: str) -> Iterator[str]:
    """A path as it is, without a query, and with %20 as a blank."""
    yield path
    has_query = ("?" in path or "#" in path) and re.search(r"\.\w+[?#]", path)
    plain = re.sub(r"[?#].*$", "", path) if has_query else path
    yield plain
    if "%" in plain:
        yield normalise_name(unquote(plain))


@lru_cache(maxsize=64)
def _own_names(archive: str, task: str) -> frozenset[str]:
    """Folders that stand for the archive itself, squashed."""
    stem = archive.rpartition("/")[2].partition(".")[0]
    aliases = [alias for alias, named in ALIASES.items() if task and named == task]
    return frozenset(filter(None, [squash(stem), squash(re.sub(r"[-_.]?\d.*$", "", stem)), *aliases]))


def short_name(path: str, archive: str, task: str) -> str:
    """A path without the folders that only say in which archive it lies."""
    return "/".join(_unwrapped(shorten_path(path, _own_names(archive, task)).split("/")))


def shorten_path(path: str, own: frozenset[str]) -> str:
    """What is left of a path behind the last folder that stands for the archive itself."""
    pieces = (ABSOLUTE.sub("", path) if ":" in path else path).split("/")
    for number in range(len(pieces) - 2, -1, -1):
        if squash(pieces[number]) in own:
            return "/".join(pieces[number + 1 :])
    return "/".join(pieces)


def _compare(left: list[str], right: list[str]) -> tuple[int, int]:
    """NEAR, WRAPPED, RULE or 0, and how many pieces they have in common at their ends."""
    if left == right:
        return NEAR, len(left)
    bare, other = _unwrapped(left), _unwrapped(right)
    if bare == other:
        return WRAPPED, len(bare)
    commons = [(_common_end(a, b), min(len(a), len(b))) for a, b in ((left, right), (bare, other))]
    return max((RULE, common) if common == shorter else (0, 0) for common, shorter in commons)


def _unwrapped(pieces: list[str]) -> list[str]:
    start = 0
    while start < len(pieces) - 1 and pieces[start].lower() in WRAPPERS:
        start += 1
    return pieces[start:]


def _common_end(left: list[str], right: list[str]) -> int:
    length = 0
    while length < min(len(left), len(right)) and left[-1 - length] == right[-1 - length]:
        length += 1
    return length
