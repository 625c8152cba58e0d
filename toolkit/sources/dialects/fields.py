"""Names under which published sets keep pictures, and how they are read from there."""

from collections.abc import Sequence

from toolkit.errors import RowError
from toolkit.sources.dialects.dialect import Fields, Use, is_text
from toolkit.sources.published.shapes.pictures import Reference, is_picture_name, pictures_in

SUFFIX = "(jpe?g|png|webp|gif|bmp|tiff?|avif)"
PICTURE = "(images?|imgs?|pictures?)(_?(paths?|files?|file_?names?|names?|urls?|bytes|list))?"
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
