"""Names under which published sets keep pictures, and how they are read from there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.errors import RowError
from toolkit.images.files import format_name
from toolkit.sources.dialects.dialect import Fields, Use, is_text
from toolkit.sources.published.shapes.pictures import Reference, is_encoded, is_picture_name, pictures_in

SUFFIX = "(jpe?g|png|webp|gif|bmp|tiff?|avif)"
PICTURE = "(images?|imgs?|pictures?)(_?(paths?|files?|file_?names?|names?|urls?|bytes|list))?"
VIDEO = re.compile(r"\.(mp4|webm|avi|mov|mkv|m4v)$", re.IGNORECASE)
IMAGE_NAMES = (
    "decoded_images?",
    "images?",
    PICTURE,
    SUFFIX,
    rf"(.+[._])?\d+\.{SUFFIX}",
    rf"(image|img)_?\d+(\.{SUFFIX})?",
    "file_?names?|path",
    rf".+\.{SUFFIX}",
)
IMAGES = Use(IMAGE_NAMES, needed=False, many=True)


def pool(fields: Fields, use: str = "images") -> list[Reference]:
    """The pictures of a use of many columns, in order; columns without one are passed over.

    Raises:
        RowError: a value that is no picture, or a hole in a list of them.
    """
    columns = fields.get(use) or {}
    return [found for column, value in columns.items() if value is not None for found in pictures_in(value, column)]


def are_pictures(references: Sequence[Reference]) -> bool:
    """Whether they look like pictures; any text may be the name of one."""
    return all(each.bytes or is_picture_name(each.path) or "://" in each.path for each in references)


def are_words(value: object) -> bool:
    """Whether it is text, and not just the path of a picture."""
    return is_text(value) and not (is_picture_name(str(value)) and len(str(value).split()) == 1)


def one_picture(value: object, what: str) -> Reference:
    """
    Raises:
        RowError: kind "null_picture" where there is not exactly one.
    """
    found = pictures_in(value, what)
    if len(found) != 1:
        raise RowError(f"{what} holds {len(found)} pictures; expected one", kind="null_picture")
    return found[0]


def is_video_name(value: Any) -> bool:
    return isinstance(value, str) and bool(VIDEO.search(value))


def holds_image(value: Any, depth: int = 4) -> bool:
    """Whether a value is an encoded image, the name of one, or holds either, a few levels down."""
    if isinstance(value, str):
        try:
            return is_picture_name(value) or is_encoded(value)
        except RowError:  # base64 that is cut off
            return True
    if isinstance(value, bytes):
        return bool(format_name(value))
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return depth > 0 and any(holds_image(each, depth - 1) for each in inner)
