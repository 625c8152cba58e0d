"""Texts of models -> values that fit a JSON schema; says in words what does not.

Only the keywords in `KEYWORDS` are known; prompts use no others (a test reads them all).
"""

import json
from collections.abc import Iterator
from typing import Any

from toolkit.generation.core.texts import whole_texts

KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "items", "enum", "description"),
    *("minItems", "maxItems", "minLength", "minimum", "maximum"),
}
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_NO_JSON = "not JSON"
_FENCE = "```"
_DECODER = json.JSONDecoder(parse_constant=lambda name: _no_number(name))
_MOST_FENCES, _MOST_BRACES = 20, 100  # of a text that are tried as the start of an object


class ReplyProblem(ValueError):
    pass


def parse_reply(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The object a reply holds. Thoughts before it, a Markdown fence and sentences around it are not part of it; of
    several objects it is the first that fits.

    Raises:
        ReplyProblem: no JSON object, or none that fits; says what and where.
    """
    first: list[str] = []
    for value in _values(text):
        problems = [str(value)] if isinstance(value, ReplyProblem) else list(problems_of(value, schema))
        if not problems:
            return dict(whole_texts(value))
        if not first or (isinstance(value, dict) and first[0].startswith(_NO_JSON)):
            first = problems
    raise ReplyProblem("; ".join(first[:5]))


def _values(text: str) -> Iterator[Any]:
    """JSON values of a reply, the likeliest first: all of it, what is fenced, what begins with a brace."""
    plain = text.rpartition("</think>")[2] if "</think>" in text else text
    yield _loads(plain.strip())
    yield from (_loads(part.strip().removeprefix("json")) for part in plain.split(_FENCE)[1:_MOST_FENCES:2])
    start = plain.find("{")
    for _ in range(_MOST_BRACES):
        if start < 0:
            return
        try:
            value, end = _DECODER.raw_decode(plain, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = plain.find("{", end)


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        return ReplyProblem(f"{_NO_JSON} ({error}): {text[:120]!r}")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def problems_of(value: Any, schema: dict[str, Any], where: str = "reply") -> Iterator[str]:
    """Everything about a value that its schema does not allow."""
    kind, types = schema["type"], TYPES[schema["type"]]
    is_kind = isinstance(value, types) and (kind == "boolean" or not isinstance(value, bool))
    if not is_kind:
        yield f"{where} is {_short(value)}; expected {kind}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {_short(value)}; expected one of {', '.join(map(repr, schema['enum']))}"
    if kind == "object":
        yield from _object_problems(value, schema, where)
    elif kind == "array":
        yield from _length_problems(len(value), schema.get("minItems", 0), schema.get("maxItems"), where, "items")
        for number, item in enumerate(value):
            yield from problems_of(item, schema["items"], f"{where}[{number}]")
    elif kind == "string":
        yield from _length_problems(len(value.strip()), schema.get("minLength", 0), None, where, "characters")
    elif kind in ("integer", "number"):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            yield f"{where} is {value}; expected {low} to {high}"


def _object_problems(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where} has no {name!r}"
    for name, item in value.items():
        if name in known:
            yield from problems_of(item, known[name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{where} has {name!r}, which is not asked for"


def _length_problems(length: int, low: int, high: int | None, where: str, what: str) -> Iterator[str]:
    if length < low or (high is not None and length > high):
        yield (
            f"{where} has {length} {what}; expected {low} to {high}"
            if high is not None
            else f"{where} has {length} {what}; expected at least {low}"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
