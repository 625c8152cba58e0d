"""Answers compared as answers: what a text says in the end, whatever words stand around it."""

import re
from collections.abc import Sequence

_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORDS = {word: str(number) for number, word in enumerate(_NUMBERS)}
_WORDS |= {"none": "0", "nothing": "0", "center": "centre"}
_ARTICLES = frozenset(("a", "an", "the"))
# Ways in which models announce what they settle on; the last one in a text counts, to the end of its line.
_FINAL = re.compile(r"\\boxed\{|<CONCLUSION>\s*|\banswer\s*(?:is\b\s*:?|:|=)", re.IGNORECASE)
_END = re.compile(r"\}|</CONCLUSION>|\n")


def final_answer(text: str) -> str:
    """What a reply settles on: what follows its last "answer is", "Answer:", <CONCLUSION> or \\boxed{, else its last
    line that says anything.
    """
    for announced in reversed(list(_FINAL.finditer(text))):
        if said := _END.split(text[announced.end() :], maxsplit=1)[0].strip():
            return said
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def normalised(text: str) -> str:
    """Lower case, digits for number words, no articles, no punctuation but within times and numbers."""
    text = text.lower().replace("\N{MINUS SIGN}", "-").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    words = re.findall(r"-?\d+(?:[:.]\d+)?%?|[^\W_]+(?:[-'][^\W_]+)*", text)
    return " ".join(_WORDS.get(word, word) for word in words if word not in _ARTICLES)


def choice_of(text: str, choices: Sequence[str]) -> int | None:
    """The number of the choice that a reply settles on; None if it names none of them, or more than one.

    Args:
        text: the reply; its final answer counts, see `final_answer`.
        choices: all answers that could be right. One that lies within another, as "top" in "top left", counts by itself
            only where the longer one is not said.
    """
    said = f" {normalised(final_answer(text))} "
    found = set()
    for number, choice in sorted(enumerate(choices), key=lambda each: -len(normalised(each[1]))):
        word = f" {normalised(choice)} "
        if word.strip() and word in said:
            found.add(number)
            said = said.replace(word, "  ")
    return found.pop() if len(found) == 1 else None
