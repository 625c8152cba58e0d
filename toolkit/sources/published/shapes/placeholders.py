"""Tags in a text that stand for pictures: which there are, what each names, and which merely look like one.

A *kind* is a tag as it is spelled, its number written as 1: "<image>", "<image_1>", "[IMG]",
"<|vision_start|><|image_pad|><|vision_end|>", or one of PATH_KINDS, which hold the picture's path.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_WORD = r"(?:image|img|picture|pic|photo)(?:[ _-]?(?:here|placeholder|pad|token|soft_token|patch|slot|tag))?|im_patch"
_PLAIN = r"<\|?(?:image|img|picture|pic|photo|im)(?:[ _-]?(?:here|placeholder|pad|token|soft_token|patch))?\|?>"
_OPEN = r"<\|?(?:vision_start|vision_begin|image_start|image_begin|img_start|im_start|start_of_image|boi|soi)\|?>"
_CLOSE = r"<\|?(?:vision_end|image_end|img_end|im_end|end_of_image|eoi)\|?>"

# Kinds that hold the picture's path: Qwen-VL's, HTML's, Markdown's. None looks far ahead from more than one place, or a
# text that never closes what it opens would take a time that grows with its square.
PATH_KINDS = {
    "<img>path</img>": r"<(?P<pair>img|image)>(?P<path0>(?=[^<>\n]*[./\\])[^<>\n]*)</(?P=pair)>",
    '<img src="path">': r"""<img\b(?=[^<>\n]*>)[^<>\n]*?\bsrc\s*=\s*["'](?P<path1>[^"'\n]+)["'][^<>\n]*>""",
    "![caption](path)": r"""!\[(?P<caption>[^\]\n!]*(?:!(?!\[)[^\]\n!]*)*)\]"""
    r"""\((?P<path2>[^()"\n]+(?:\([^()"\n]*\)[^()"\n]*)*)(?:"[^"\n]*")?\)""",
}
_PATHS = "|".join(f"(?P<kind{number}>{pattern})" for number, pattern in enumerate(PATH_KINDS.values()))
# One picture for all of: an opening tag, any number of plain ones, a closing one.
_GROUP = rf"(?P<group>{_OPEN}(?P<inner>{_PLAIN})?(?:{_PLAIN})*{_CLOSE}|<(?P<empty>img|image)>\s*</(?P=empty)>)"
_BARE = (
    "(?P<bare>"
    + "|".join(
        opening + f"(?:{_WORD}{more})" + rf"(?:[ _#:-]{{0,3}}(?P<number{place}>\d{{1,4}}))?" + closing
        for place, (opening, more, closing) in enumerate(
            [
                (r"<\|?", "|start_of_image", r"\s?/?\|?>"),
                (r"\[{1,2}", "", r"\]{1,2}"),
                (r"\{{1,2}\s?", "", r"\s?\}{1,2}"),
            ]
        )
    )
    + ")"
)
KNOWN = re.compile(f"{_GROUP}|{_PATHS}|{_BARE}", re.IGNORECASE)
LIKELY = re.compile(
    r"<[^<>\n]{0,40}(?:image|img|pictur|photo|\bpic|vision|visual)[^<>\n]{0,40}>"
    r"|\[\s?(?:image|img|picture|pic|photo)\b[^\[\]\n]{0,60}\]|\{[^{}\n]{0,20}(?:image|img|picture|photo)[^{}\n]{0,20}\}",
    re.IGNORECASE,
)
COMMON = "<image>"
OPENER = re.compile(r"[<\[{]|!\[")


class Tag(NamedTuple):
    """A tag in a text, from `start` to `end`; the number it names (-1: none), or the path and caption it holds."""

    kind: str
    start: int
    end: int
    number: int = -1
    path: str = ""
    caption: str = ""


class Placeholders:
    """Which tags of a text are looked at.

    Args:
        kinds: as a mapping gives them: a kind, any other literal, or "re:PATTERN" with groups "number" or "path";
            None = every known kind.
    """

    def __init__(self, kinds: tuple[str, ...] | None = None) -> None:
        self.kinds = kinds
        own = [(kind, re.compile(_pattern_of(kind))) for kind in kinds or () if not is_known(kind)]
        self._own = own

    def find(self, text: str) -> list[Tag]:
        """Tags in the order of the text."""
        tags = find_known(text)
        if self.kinds is not None:
            tags = [tag for tag in tags if tag.kind in self.kinds]
        for kind, pattern in self._own:
            tags += [_own_tag(kind, match) for match in pattern.finditer(text) if match[0]]
        if self._own:
            tags.sort(key=lambda tag: (tag.start, -tag.end))
            tags = [tag for number, tag in enumerate(tags) if not number or tag.start >= tags[number - 1].end]
        return tags

    def unknown(self, text: str) -> str:
        """The first thing in a text that may be a placeholder of an unknown kind; "" if there is none, or if a mapping
        says which kinds there are.
        """
        return next(iter(likely_tags(text)), "") if self.kinds is None else ""


@lru_cache(maxsize=64)
def placeholders_of(kinds: tuple[str, ...] | None) -> Placeholders:
    return Placeholders(kinds)


def is_known(kind: str) -> bool:
    return kind in PATH_KINDS or kind_of(kind) == kind


def kind_of(tag: str) -> str:
    """ "<image_2>" -> "<image_1>": the kind of a whole tag; "" if it is of no known kind."""
    tags = find_known(tag)
    return tags[0].kind if len(tags) == 1 and (tags[0].start, tags[0].end) == (0, len(tag)) else ""


def _pattern_of(kind: str) -> str:
    return kind.removeprefix("re:") if kind.startswith("re:") else re.escape(kind)


def _own_tag(kind: str, match: re.Match[str]) -> Tag:
    groups = match.groupdict()
    number = groups.get("number")
    return Tag(
        kind, *match.span(), int(number) if number else -1, groups.get("path") or "", groups.get("caption") or ""
    )


def find_known(text: str) -> list[Tag]:
    """Tags of known kinds, in the order of the text."""
    if text.count(COMMON) == text.count("<") and "[" not in text and "{" not in text:  # nearly every text
        found, end = [], 0
        while (start := text.find(COMMON, end)) >= 0:
            end = start + len(COMMON)
            found.append(Tag(COMMON, start, end))
        return found
    return list(_find_all(text))


def _find_all(text: str) -> Iterator[Tag]:
    for match in _matches(text):
        groups = match.groupdict()
        if groups["group"]:
            yield Tag(_group_kind(groups), *match.span())
        elif groups["bare"]:
            yield _bare_tag(match)
        else:
            which = next(number for number in range(len(PATH_KINDS)) if groups[f"kind{number}"])
            path = (groups[f"path{which}"] or "").strip()
            caption = groups["caption"] or "" if which == len(PATH_KINDS) - 1 else ""
            yield Tag(list(PATH_KINDS)[which], *match.span(), path=path, caption=caption.strip())


def _matches(text: str) -> Iterator[re.Match[str]]:
    """What KNOWN.finditer() finds, tried only where a tag can begin."""
    end = 0
    for opener in OPENER.finditer(text):
        if opener.start() >= end and (match := KNOWN.match(text, opener.start())):
            end = match.end()
            yield match


def _bare_tag(match: re.Match[str]) -> Tag:
    for name in ("number0", "number1", "number2"):
        if match[name]:
            first, end = (place - match.start() for place in match.span(name))
            return Tag(f"{match[0][:first]}1{match[0][end:]}", *match.span(), int(match[name]))
    return Tag(match[0], *match.span())


def _group_kind(groups: dict[str, str | None]) -> str:
    text = groups["group"] or ""
    if groups["empty"]:
        return re.sub(r"\s", "", text)
    ends = re.fullmatch(rf"({_OPEN}).*?({_CLOSE})", text, re.IGNORECASE | re.DOTALL)
    assert ends is not None  # it was matched by these
    return ends[1] + (groups["inner"] or "") + ends[2]


def likely_tags(text: str) -> list[str]:
    """What looks like a placeholder and is of no known kind, number written as 1."""
    if not ("<" in text or "[" in text or "{" in text):
        return []
    rest = KNOWN.sub(" ", text)
    return [re.sub(r"\d+", "1", found) for found in LIKELY.findall(rest) if not found.startswith("</")]
