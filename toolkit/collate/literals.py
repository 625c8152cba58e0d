"""Text that looks like a control token: private marks stand for it while a template runs."""

import re
from collections.abc import Iterator, Sequence

# Unicode noncharacters: no text may hold them, so nothing is lost by dropping them from a part.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
_MARK = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")


class Literals:
    """Marks for the control tokens of a tokenizer. By length and look-up: Emu3 has 33,000, too many for one pattern.

    Args:
        tokens: the longest first.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._lengths = sorted({len(token) for token in tokens}, reverse=True)
        self._first_letter = re.compile(f"[{re.escape(''.join({token[0] for token in tokens}))}]")
        self._number = {token: number for number, token in enumerate(tokens)}

    def protect(self, text: str) -> str:
        """Marks instead of control tokens."""
        text = text.replace(_OPEN, "").replace(_CLOSE, "")
        pieces, at = [], 0
        for start in (match.start() for match in self._first_letter.finditer(text)):
            token = next(
                (
                    text[start : start + length]
                    for length in self._lengths
                    if text[start : start + length] in self._number
                ),
                None,
            )
            if token is not None and start >= at:
                pieces += [text[at:start], f"{_OPEN}{self._number[token]}{_CLOSE}"]
                at = start + len(token)
        return "".join([*pieces, text[at:]])

    def pieces(self, text: str) -> Iterator[tuple[str, bool, int]]:
        """Each piece of a protected text, whether it is the token that a mark stands for, and its characters there."""
        for number, piece in enumerate(_MARK.split(text)):
            if number % 2:
                yield self._tokens[int(piece)], True, len(piece) + len(_OPEN + _CLOSE)
            else:
                yield piece, False, len(piece)
