"""Columns of a spec: what is drawn for each sample, such as a persona, and may be named by its prompts.

columns:
  persona: [a nurse, a pilot]                                  # one of these
  length: {values: {short: 3, long: 1}}                        # by weight
  age: {range: [18, 80]}                                       # a whole number; of two decimals where an end has any
  tone: {by: persona, values: {a nurse: [warm], a pilot: {brief: 2, dry: 1}}, otherwise: [plain]}
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from toolkit.errors import UsageError
from toolkit.generation.core.options import problems_of
from toolkit.scene.streams import Stream

Weighted: TypeAlias = list[Any] | dict[str, float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Values(_Model):
    """One of a list, or one of a mapping by weight."""

    values: Weighted = Field(min_length=1)

    @model_validator(mode="after")
    def _has_weight(self) -> "Values":
        if isinstance(self.values, dict):
            _check_weights(self.values)
        return self

    def draw(self, stream: Stream, drawn: Mapping[str, Any]) -> Any:
        return _pick(self.values, stream)


class Range(_Model):
    """A number from the first to the second, both among them."""

    range: tuple[float, float]

    @model_validator(mode="after")
    def _is_upward(self) -> "Range":
        if self.range[0] > self.range[1]:
            raise ValueError(f"range goes from {self.range[0]} down to {self.range[1]}")
        return self

    def draw(self, stream: Stream, drawn: Mapping[str, Any]) -> Any:
        low, high = self.range
        if low.is_integer() and high.is_integer():
            return int(low) + stream.below(int(high - low) + 1)
        return round(stream.between(low, high), 2)


class By(_Model):
    """What is drawn depends on a column before it.

    Attributes:
        by: name of that column.
        values: its value -> what is drawn from.
        otherwise: for all other values; without it, each must have an entry.
    """

    by: str
    values: dict[str, Weighted] = Field(min_length=1)
    otherwise: Weighted | None = None

    @model_validator(mode="after")
    def _has_weight(self) -> "By":
        for each in (*self.values.values(), self.otherwise):
            if isinstance(each, dict):
                _check_weights(each)
        return self

    def draw(self, stream: Stream, drawn: Mapping[str, Any]) -> Any:
        found = self.values.get(str(drawn[self.by]), self.otherwise)
        return _pick(found, stream) if found else ""


Column: TypeAlias = Values | Range | By


def column(name: str, value: Any, before: Mapping[str, Column], where: str) -> Column:
    """A column of a spec.

    Args:
        before: columns that it may depend on.

    Raises:
        UsageError: it is wrong.
    """
    if not name.isidentifier():
        raise UsageError(f"{where}: {name!r} cannot stand in a prompt; expected letters, digits and _")
    given = {"values": value} if isinstance(value, list) else value
    if not isinstance(given, dict):
        raise UsageError(f"{where}: {name} is {value!r}; expected a list, or values, range, or by and values")
    kind = By if "by" in given else Range if "range" in given else Values
    try:
        found = kind.model_validate(given)
    except ValidationError as error:
        raise UsageError(f"{where}: {name}: {'; '.join(problems_of(error, kind))}") from error
    if isinstance(found, By):
        _check_by(name, found, before, where)
    return found


def draw_columns(columns: Mapping[str, Column], stream: Stream) -> dict[str, Any]:
    """A value of each, in order; each has numbers of its own, so that a new column changes no other."""
    drawn: dict[str, Any] = {}
    for name, each in columns.items():
        drawn[name] = each.draw(stream.child(name), drawn)
    return drawn


def _check_by(name: str, found: By, before: Mapping[str, Column], where: str) -> None:
    if found.by not in before:
        known = ", ".join(before) or "none"
        raise UsageError(f"{where}: {name}: by is {found.by!r}, which is no column before it; those are: {known}")
    other = before[found.by]
    if found.otherwise is None and isinstance(other, Values):
        missing = [str(value) for value in other.values if str(value) not in found.values]
        if missing:
            raise UsageError(f"{where}: {name}: nothing for {found.by} = {', '.join(missing)}; add it, or otherwise")
    if found.otherwise is None and not isinstance(other, Values):
        raise UsageError(f"{where}: {name}: needs otherwise, as {found.by} may be many things")


def _check_weights(values: Mapping[str, float]) -> None:
    if any(weight < 0 for weight in values.values()) or not sum(values.values()):
        raise ValueError("weights are 0 or more, and not all 0")


def _pick(values: Weighted, stream: Stream) -> Any:
    return weighted(list(values.items()), stream) if isinstance(values, dict) else stream.pick(values)


def weighted(values: list[tuple[str, float]], stream: Stream) -> str:
    """One of names with weights."""
    place = stream.between(0, 1) * sum(weight for _, weight in values)
    for name, weight in values:
        place -= weight
        if place < 0:
            return name
    return next(name for name, weight in reversed(values) if weight)
