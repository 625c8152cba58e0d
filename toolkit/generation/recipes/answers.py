"""Do two answers say the same: numbers with their sign and unit, number words, letters of options, yes and no.

"Five." = "5"       "-5" != "5"       "1,000 g" = "1000 grams"       "5 cm" != "5 m"       "0.5" = "1/2"
"(B)" = "B. A blue star"              "Yes, it is." = "yes"
"""

import re
from fractions import Fraction
from typing import NamedTuple

_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_NUMBERS: dict[str, Fraction] = {word: Fraction(number) for number, word in enumerate(_WORDS)}
_NUMBERS |= {"no": Fraction(0), "none": Fraction(0), "half": Fraction(1, 2)}
# Spellings of a unit -> one of them. Units are compared, never converted.
_UNITS = {
    **dict.fromkeys(("%", "percent", "per cent"), "%"),
    **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), "cm"),
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), "m"),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), "km"),
    **dict.fromkeys(("g", "gram", "grams"), "g"),
    **dict.fromkeys(("kg", "kilogram", "kilograms", "kilo", "kilos"), "kg"),
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("$", "dollar", "dollars", "usd"), "$"),
}
_ARTICLES = {"a", "an", "the"}
_LEAD = re.compile(r"^(?:so\s+)?(?:the\s+)?(?:correct\s+)?(?:final\s+)?answer(?:\s+is)?\s*:?\s*", re.IGNORECASE)
_OPTION = re.compile(r"^\(?([A-Ha-h])(?:\)|[.:]\s|[.:]$|$)|^(?:option|choice)\s+\(?([A-Ha-h])\b", re.IGNORECASE)
_AMOUNT = re.compile(
    r"^(?P<sign>[-+\u2212]|minus\s+)?(?P<money>\$)?\s*(?P<number>\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?|[a-z]+)\s*(?P<unit>%|.*)$"
)


class _Amount(NamedTuple):
    number: Fraction
    unit: str


def same_answer(one: str, other: str) -> bool:
    mine, theirs = (_LEAD.sub("", text.strip()) for text in (one, other))
    options = [_option(text) for text in (mine, theirs)]
    if all(options) or (any(options) and 1 in (len(mine.strip("(). ")), len(theirs.strip("(). ")))):
        return options[0] == options[1]
    amounts = [_amount(text) for text in (mine, theirs)]
    if amounts[0] and amounts[1]:
        return amounts[0].number == amounts[1].number and _units_agree(amounts[0].unit, amounts[1].unit)
    words = [_plain(text) for text in (mine, theirs)]
    for few, many in (words, words[::-1]):
        if few in (["yes"], ["no"]) and many[:1] in (["yes"], ["no"]):
            return few == many[:1]
    return words[0] == words[1]


def _option(text: str) -> str:
    found = _OPTION.match(text)
    return (found[1] or found[2]).upper() if found else ""


def _amount(text: str) -> _Amount | None:
    found = _AMOUNT.match(text.lower().strip().rstrip(".!"))
    if not found:
        return None
    said, unit = found["number"], found["unit"].strip()
    if said[0].isdigit():
        try:
            number = Fraction(said.replace(",", "").replace(" ", ""))
        except (ValueError, ZeroDivisionError):
            return None
    elif said in _NUMBERS and (said != "no" or unit):
        number = _NUMBERS[said]
    else:
        return None
    if ":" in unit:  # a time, as in 9:05
        return None
    sign = -1 if (found["sign"] or "").strip() in ("-", "\u2212", "minus") else 1
    return _Amount(sign * number, "$" if found["money"] else unit)


def _units_agree(one: str, other: str) -> bool:
    """Equal, or one of them is not said."""
    return not one or not other or _UNITS.get(one, _bare(one)) == _UNITS.get(other, _bare(other))


def _bare(unit: str) -> str:
    return " ".join(word.removesuffix("s") for word in _plain(unit))


def _plain(text: str) -> list[str]:
    found = re.findall(r"[^\W_]+", text.lower())
    return [str(_NUMBERS[word]) if word in _WORDS else word for word in found if word not in _ARTICLES]
