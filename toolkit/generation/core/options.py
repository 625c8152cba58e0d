"""Options and records, typed: what recipes and backends declare, and what is wrong with what they are given."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from toolkit.errors import UsageError


class Options(BaseModel):
    """Base of what a recipe or a backend takes: fields with types, defaults and limits; nothing else is taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Declared = TypeVar("Declared", bound=BaseModel)


def read_options(kind: type[Declared], values: Mapping[str, Any], where: str) -> Declared:
    """
    Args:
        where: they were found, for messages: "backends: 'openai_chat'".

    Raises:
        UsageError: unknown, missing or of another kind; names all of them.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(f"{where}: {'; '.join(problems_of(error, kind))}") from error


def problems_of(error: ValidationError, kind: type[BaseModel]) -> Iterator[str]:
    """What is wrong, in words, each with its place."""
    for each in error.errors(include_url=False):
        place = ".".join(map(str, each["loc"]))
        if each["type"] == "extra_forbidden":
            yield f"{place!r} is not known; known: {', '.join(sorted(kind.model_fields)) or 'none'}"
        elif each["type"] == "missing":
            yield f"{place!r} is missing"
        else:
            said = each["msg"].removeprefix("Value error, ")
            yield f"{place!r} is {_shown(each['input'])}: {said[:1].lower()}{said[1:]}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
