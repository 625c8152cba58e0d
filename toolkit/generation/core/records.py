"""What a sample starts from, and how it ends before it is a row."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, StringConstraints

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]  # a text that says something
Picture = Annotated[str, StringConstraints(min_length=1)]  # path of a picture, relative to the file of the record


class RecordModel(BaseModel):
    """Base of what the records of a recipe hold; a record with anything else, or without what has no default, stops a
    run before its first call.

    Attributes:
        source, license: of the row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    id: str | None = None
    source: str | None = None
    license: str | None = None


class QuestionedPicture(RecordModel):
    """
    Attributes:
        question: where there is one already.
        caption: of the picture.
    """

    image: Picture
    question: str | None = None
    caption: str | None = None


def picture_keys(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names and values that are pictures: `image`, `images` and names that end in `_image`."""
    for name, value in values.items():
        if name == "image" or name.endswith("_image") or (name == "images" and isinstance(value, list)):
            yield name, value


class Rejected(Exception):
    """This sample is no good, and why.

    Args:
        step: where it was seen; reason: one word or two, counted; detail: for the reader of a report.
    """

    def __init__(self, step: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{step}: {reason}: {detail}")
        self.step, self.reason, self.detail = step, reason, detail


def reject(step: str, reason: str, detail: object = "") -> NoReturn:
    raise Rejected(step, reason, str(detail)[:500])


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a sample starts from: named values, and encoded pictures by name."""

    sha256: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        return str(self.values.get(name) or default)

    def image(self, name: str) -> bytes:
        if name not in self.images:
            known = ", ".join(sorted(self.images)) or "none"
            reject("source", "no_image", f"the record has no picture {name!r}; it has: {known}")
        return self.images[name]
