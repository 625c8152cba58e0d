"""Which member of an archive a path in a row means.

exact    the names are equal, after normalising; of files in a folder, those behind it or behind the one it lies in too
near     they are equal but for what only says where the archive lies: its own name, "./", a host, a query
wrapped  they are equal but for "images/" and the like at their start
rule     one ends as the other does, as far as the shorter one goes

An exact name wins over everything, a near one over rules, a wrapped one over rules that have less in common. A rule is
taken only where nothing else is there and one member alone fits best.
What shares no more than a file name is never taken: that is how one picture becomes another.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from toolkit.sources.published.members import decodings, is_utf8, normalise_name
from toolkit.sources.published.shapes.pictures import ENDINGS, is_picture_name
from toolkit.sources.published.shapes.words import ALIASES, squash

RULE, WRAPPED, NEAR, EXACT = 1, 2, 3, 4
WRAPPERS = ("images", "image", "imgs", "img", "data", "pictures", "pics")
FEW = 8  # pictures of one file name that are compared one by one
Wanted = tuple[int, str]  # number of a picture, a spelling of its path
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
        is_folder: it is a folder, and members' names begin with its path.
    """

    def __init__(self, archive: str, task: str, wanted: Iterable[tuple[int, str]], *, is_folder: bool = False) -> None:
        self._tops = (f"{archive}/", f"{archive.rpartition('/')[0]}/") if is_folder else ()
        self._own = _own_names(archive, task)
        # Of many pictures: tuples of numbers and texts, which the garbage collector does not visit.
        self._exact: dict[str, tuple[int, ...]] = {}
        self._by_last: dict[str, Sequence[Wanted]] = {}
        self._ends: dict[str, _Ends] = {}  # file name -> its pictures, where they are many
        self._has_bare = False  # whether some names have no suffix
        for number, path in wanted:
            self._exact[path] = (*self._exact.get(path, ()), number)
            is_plain = not ("?" in path or "#" in path or "%" in path)
            for spelling in (path,) if is_plain else dict.fromkeys(spellings(path)):
                last = spelling.rpartition("/")[2]
                self._has_bare = self._has_bare or not (last.endswith(ENDINGS) or is_picture_name(last))
                self._add(last, (number, spelling))

    def _add(self, last: str, wanted: Wanted) -> None:
        known = self._by_last.get(last)
        if isinstance(known, list):
            known.append(wanted)
        else:
            self._by_last[last] = [*known, wanted] if known else (wanted,)

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
        for top in self._tops:
            exact += self._exact.get(name.removeprefix(top), ()) if name.startswith(top) else ()
        alike = self._by_last.get(last, ())
        stem = last.rpartition(".")[0] if self._has_bare and is_picture_name(last) else ""
        bare = self._by_last.get(stem, ()) if stem else ()
        if len(exact) == len(alike) and not bare:  # no other picture has this file name
            return [Found(number, EXACT, 0) for number in exact]
        pieces = shorten_path(name, self._own).split("/")
        found = {number: Found(number, EXACT, 0) for number in exact}
        for group, own in ((alike, pieces), (bare, [*pieces[:-1], stem])):
            for number, wanted in self._near(group, own):
                how, common = _compare(wanted, own)
                how = how if group is alike else min(how, RULE)
                if how and ((known := found.get(number)) is None or (how, common) > known[1:]):
                    found[number] = Found(number, how, common)
        return list(found.values())

    def _near(self, group: Sequence[Wanted], own: list[str]) -> Iterable[tuple[int, list[str]]]:
        """The pictures of one file name that may be a member, with the pieces of their paths."""
        if len(group) > FEW:
            if own[-1] not in self._ends:
                self._ends[own[-1]] = _Ends(self._shortened(group))
            return self._ends[own[-1]].near(own)
        return self._shortened(group)

    def _shortened(self, group: Sequence[Wanted]) -> Iterator[tuple[int, list[str]]]:
        return ((number, shorten_path(spelling, self._own).split("/")) for number, spelling in group)


class _Ends:
    """Many paths of one file name, found by a member that one of them is an end of, or that is an end of theirs."""

    def __init__(self, wanted: Iterable[tuple[int, list[str]]]) -> None:
        self._paths: list[tuple[int, list[str]]] = list(wanted)
        self._whole: defaultdict[str, list[int]] = defaultdict(list)  # a path, also without wrappers -> its places
        self._ends: defaultdict[str, list[int]] = defaultdict(list)  # each end of it -> the same
        for place, (_, pieces) in enumerate(self._paths):
            for whole in {"/".join(pieces), "/".join(_unwrapped(pieces))}:
                self._whole[whole].append(place)
            for end in _ends_of(pieces):
                self._ends[end].append(place)

    def near(self, own: list[str]) -> Iterator[tuple[int, list[str]]]:
        places = [place for end in _ends_of(own) for place in self._whole.get(end, ())]
        places += [place for whole in (own, _unwrapped(own)) for place in self._ends.get("/".join(whole), ())]
        return (self._paths[place] for place in dict.fromkeys(places))


def _ends_of(pieces: list[str]) -> Iterator[str]:
    return ("/".join(pieces[start:]) for start in range(len(pieces)))


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
