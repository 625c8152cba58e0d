"""What a check finds: counts, and every problem, none hidden behind the first."""

import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from toolkit.errors import ImageError
from toolkit.images import decode_image
from toolkit.images.files import format_name, says_nothing_of_pixels, without_chunks
from toolkit.schema import Row
from toolkit.sources.skips import Skips

Problem = tuple[str, str]  # kind, message


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a dataset holds, what is wrong with it, and what is right but could be better.

    Attributes:
        source: name of what was checked.
        rows, images: task -> how many were read.
        problems, notes: (kind, message) of each.
    """

    source: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()

    def by_kind(self) -> dict[str, list[str]]:
        """Kind of problem -> its messages."""
        found: dict[str, list[str]] = {}
        for kind, message in self.problems:
            found.setdefault(kind, []).append(message)
        return found


def every_problem() -> Skips:
    """Skips that stop at nothing and keep every message."""
    return Skips(on_missing="skip", on_bad_row="skip", max_in_a_row=sys.maxsize, num_examples=sys.maxsize)


def image_problems(row: Row, where: str) -> Iterator[Problem]:
    """Pictures of a row that cannot be decoded."""
    for number, image in enumerate(row.images):
        try:
            path = f" ({image.path})" if image.path else ""
            decode_image(image.bytes, f"{where}: row {row.id!r}: images[{number}]{path}")
        except ImageError as error:
            yield f"image_{error.kind}", str(error)


def refused_elsewhere(row: Row, where: str) -> Iterator[Problem]:
    """Pictures that are decoded here without chunks which say nothing of pixels, and which Pillow refuses because of
    these: so does `datasets`, without naming the row.
    """
    for number, image in enumerate(row.images):
        if format_name(image.bytes or b"") != "PNG" or not _has_more_than_pixels(image.bytes):
            continue
        try:
            decode_image(image.bytes, where)
            with Image.open(io.BytesIO(image.bytes)) as picture:
                picture.load()
        except ImageError:
            continue
        except Exception as error:  # Pillow raises almost anything
            yield (
                "refused_by_pillow",
                f"{where}: row {row.id!r}: images[{number}]: read here, but not by Pillow alone, as `datasets` reads "
                f"it ({type(error).__name__}: {error!s:.100}); save the image again without its text",
            )


def _has_more_than_pixels(png: bytes) -> bool:
    return len(without_chunks(png, says_nothing_of_pixels)) < len(png)
