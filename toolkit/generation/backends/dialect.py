"""What a server does not know of the protocol, learned from what it refuses. A request that is not accepted costs
nothing: it is sent again without the part that the server names, and from then on so are all others.

limit    "max_completion_tokens" where `max_tokens` is not known
seed     false where seeds are not
system   false where there is no system message; its text goes before the user's
schema   "plain" without the keywords that servers differ in, "object" as JSON of any form, "none" without
         response_format; what is no longer said to the server is said in the prompt, and checked here either way
format   false where images have no `response_format`
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.generation.backends.answers import error_body
from toolkit.generation.core.protocol import BadRequest

SCHEMA_LEVELS = ("full", "plain", "object", "none")
PLAIN_KEYWORDS = {"type", "properties", "required", "additionalProperties", "items", "enum", "description"}
_OTHER_KEYWORDS = ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "pattern", "uniqueItems")
_TOO_MUCH = re.compile(
    r"too (large|long|high|many|big)|at most|maximum|exceed|less than|greater than|<=", re.IGNORECASE
)
_SCHEMA_WORDS = ("response_format", "json_schema", "guided_json", "structured output", "schema")


def chat_lesson(known: Mapping[str, Any], sent: Mapping[str, Any], error: BadRequest) -> dict[str, Any] | None:
    """What is known of a server after it did not accept a request; None: nothing that can be left out is at fault.

    Args:
        sent: the body that was not accepted.
    """
    named = _Named(error)
    if "max_tokens" in sent and named.has("max_tokens") and not _TOO_MUCH.search(error.detail):
        return {**known, "limit": "max_completion_tokens"}
    if "seed" in sent and named.has("seed"):
        return {**known, "seed": False}
    level = SCHEMA_LEVELS.index(known.get("schema", "full")) + 1
    if level < len(SCHEMA_LEVELS) and "response_format" in sent and named.has(*_SCHEMA_WORDS, *_OTHER_KEYWORDS):
        return {**known, "schema": SCHEMA_LEVELS[level]}
    roles = [message.get("role") for message in sent.get("messages", ())]
    if "system" in roles and named.has("system") and re.search(r"\brole\b|\bmessage", error.detail, re.IGNORECASE):
        return {**known, "system": False}
    return None


def images_lesson(known: Mapping[str, Any], sent: Mapping[str, Any], error: BadRequest) -> dict[str, Any] | None:
    """The same for images."""
    if "response_format" in sent and _Named(error).has("response_format"):
        return {**known, "format": False}
    return None


def plain_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without the keywords that servers differ in."""
    kept = {name: value for name, value in schema.items() if name in PLAIN_KEYWORDS}
    if "properties" in kept:
        kept["properties"] = {name: plain_schema(value) for name, value in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = plain_schema(kept["items"])
    return kept


class _Named:
    """What an error is about: the parameters it names as such, or else the words of its sentence."""

    def __init__(self, error: BadRequest) -> None:
        self._params = set(_params(error_body(error.raw)))
        self._text = error.detail.lower()

    def has(self, *names: str) -> bool:
        if self._params:
            return any(name in self._params for name in names)
        return any(re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", self._text) for name in names)


def _params(value: Any) -> Iterator[str]:
    """As OpenAI names them (`param`), and as pydantic does (`loc`)."""
    if isinstance(value, list):
        for each in value:
            yield from _params(each)
    elif isinstance(value, dict):
        if isinstance(value.get("param"), str) and value["param"]:
            yield from re.findall(r"\w+", value["param"])
        if isinstance(value.get("loc"), list):
            yield from (str(each) for each in value["loc"])
        for name in ("error", "detail", "message", "errors"):
            yield from _params(value.get(name))
