"""Pictures that no member is named like, and the members that a rule may give them."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from toolkit.sources.published.holdings import Archive
from toolkit.sources.published.matching import RULE, short_name
from toolkit.sources.published.spool import Held

Scope = tuple[int, ...]  # numbers of archives, in the order in which they are read


@dataclass(slots=True)
class Picture:
    """One that rows wait for, while it is looked for. There may be millions, so it holds few objects that the garbage
    collector has to visit.
    """

    name: str
    scope: Scope
    is_told: bool  # of rows whose task the archives tell
    rows: "array[int]" = field(default_factory=lambda: array("Q"))  # that use it
    uses: int = 0  # by rows not yet out
    held: Held | None = None
    how: int = 0  # EXACT, NEAR, WRAPPED or RULE; 0 = it has not come
    common: int = 0  # of its name and the member's
    is_settled: bool = False
    is_out: bool = False  # in a row that is
    rivals: tuple[str, ...] = ()  # members that may be meant
    hint: str = ""  # why none was taken
    candidates: Sequence[tuple[int, Held]] = ()  # by a rule: what is common, member

    def add_candidate(self, common: int, held: Held) -> None:
        held.uses += 1
        if isinstance(self.candidates, list):
            self.candidates.append((common, held))
        else:
            self.candidates = [(common, held)]


def choose(pictures: Sequence[Picture], known: Iterable[Picture], archives: Sequence[Archive]) -> None:
    """Of the members that fit by a rule, the one that has most in common: if it is one, and of one picture, and no
    other picture of the same folder was found by its name, or fits several.

    Args:
        pictures: that no member is named like; they get their member, or rivals.
        known: all pictures, for what those that have their member say.
    """
    if not pictures:
        return
    claims: defaultdict[tuple[int, str], set[str]] = defaultdict(set)
    by_name, unclear = set(), set()
    for picture in known:
        if picture.held:
            claims[picture.held.archive, picture.held.name].add(_short(picture.name, archives, picture.held.archive))
        if picture.held and picture.how > RULE:
            by_name.add(folder_of(picture.name, archives, picture.held.archive))
    for picture in pictures:
        fit = [
            common
            for common, each in picture.candidates
            if folder_of(picture.name, archives, each.archive) not in by_name
        ]
        # One that does not fit may be meant all the same: it takes the certainty from those that fit.
        best = [each for common, each in picture.candidates if fit and common >= max(fit)]
        names = tuple(dict.fromkeys(f"{each.name!r} of {archives[each.archive].name!r}" for each in best))
        if len(names) > 1:
            picture.rivals = names
            unclear |= {folder_of(picture.name, archives, each.archive) for each in best}
        elif names:
            picture.held, picture.how, picture.common = best[0], RULE, max(fit)
            best[0].uses += 1
        else:
            picture.hint = (
                f"; {picture.candidates[0][1].name!r} ends alike, but others of its folder have their own names"
            )
        for _, held in picture.candidates:
            claims[held.archive, held.name].add(_short(picture.name, archives, held.archive))
            held.let_go()
        picture.candidates = ()
    for picture in pictures:
        if picture.held and len(callers := claims[picture.held.archive, picture.held.name]) > 1:
            picture.rivals = tuple(f"the one that rows call {name!r}" for name in sorted(callers))
        elif picture.held and folder_of(picture.name, archives, picture.held.archive) in unclear:
            picture.rivals = (repr(picture.held.name), "another, as others of its folder fit several members")


def _short(path: str, archives: Sequence[Archive], archive: int) -> str:
    return short_name(path, archives[archive].name, archives[archive].task)


def folder_of(path: str, archives: Sequence[Archive], archive: int) -> tuple[int, str]:
    return archive, _short(path, archives, archive).rpartition("/")[0]
