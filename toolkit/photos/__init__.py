"""Twelve photographs, and true things to say about them: `photos.csv` names author, terms and source of each."""

import csv
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photograph and true things to say about it.

    Attributes:
        box: of the detail: x0 y0 x1 y1, fractions of width and height.
    """

    file: str
    name: str
    kind: str
    hint: str
    place: str
    detail: str
    box: str
    licence: str
    author: str
    source: str

    @property
    def bytes(self) -> bytes:
        """The encoded picture, WebP."""
        return files(__package__).joinpath(self.file).read_bytes()


@cache
def photos() -> tuple[Photo, ...]:
    text = files(__package__).joinpath("photos.csv").read_text(encoding="utf-8")
    return tuple(Photo(**line) for line in csv.DictReader(io.StringIO(text)))
