"""Options and records, typed: what recipes and backends declare, and what is wrong with what they are given."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from toolkit.errors import UsageError
from toolkit.generation.core.texts import without_secrets

TAG = "#"  # begins the tag of a model among several; the rest is its name


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
        place = ".".join(str(step) for step in each["loc"] if not str(step).startswith(TAG))
        if each["type"] == "extra_forbidden":
            yield f"{place!r} is not known; known: {', '.join(sorted(_fields_at(kind, each['loc'][:-1]))) or 'none'}"
        elif each["type"] == "missing":
            yield f"{place!r} is missing"
        else:
            said = each["msg"].removeprefix("Value error, ")
            yield f"{place!r} is {_shown(each['input'])}: {said[:1].lower()}{said[1:]}"


def _fields_at(kind: Any, way: Sequence[str | int]) -> list[str]:
    """Names of the fields of the model at the end of a way through fields, lists and mappings."""
    models = [kind]
    for step in way:
        if str(step).startswith(TAG):
            models = [each for each in models if each.__name__ == str(step)[len(TAG) :]]
        elif any(step in each.model_fields for each in models):
            models = [
                found
                for each in models
                if step in each.model_fields
                for found in _models_in(each.model_fields[str(step)].annotation)
            ]
    return [name for each in models for name in each.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for each in get_args(annotation) for found in _models_in(each)]


def _shown(value: Any) -> str:
    text = without_secrets(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
