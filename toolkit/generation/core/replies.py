"""Texts of models -> values that fit a JSON schema; says in words what does not.

Only the keywords in `KEYWORDS` are known; prompts use no others (a test reads them all).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

KEYWORDS = {
    *("type", "properties", "required", "additionalProperties", "items", "enum", "description"),
    *("minItems", "maxItems", "minLength", "minimum", "maximum"),
}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_FENCE = re.compile(r"^\s*```(?:json)?\s*(.*?)\s*```\s*$", re.DOTALL)


class ReplyProblem(ValueError):
    pass


def parse_reply(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """The object a reply holds; a Markdown fence around it is forgiven, nothing else.

    Raises:
        ReplyProblem: no JSON object, or one that does not fit; says what and where.
    """
    match = _FENCE.match(text)
    try:
        value = json.loads(match[1] if match else text)
    except ValueError as error:
        raise ReplyProblem(f"not JSON ({error}): {text[:120]!r}") from error
    problems = list(problems_of(value, schema))
    if problems:
        raise ReplyProblem("; ".join(problems[:5]))
    return dict(value)


def problems_of(value: Any, schema: dict[str, Any], where: str = "reply") -> Iterator[str]:
    """Everything about a value that its schema does not allow."""
    kind, types = schema["type"], _TYPES[schema["type"]]
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
