"""mmc4: a list of texts, and pictures that each belong to one of them. The files hold addresses, and names under which
the pictures are kept once they are downloaded: pass the folder of those as image_folder.

Source: https://github.com/allenai/mmc4 README.md
"""

from dataclasses import dataclass
from typing import Any

from toolkit.errors import RowError, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Piece, Use
from toolkit.sources.dialects.documents import Side, StepOptions, document
from toolkit.sources.dialects.fields import one_picture
from toolkit.sources.dialects.tasks import INTERLEAVED
from toolkit.sources.published.shapes.pictures import Reference, parse_text

HELD_IN = ("image_base64", "image", "image_name", "raw_url")


@dataclass(frozen=True, kw_only=True)
class Options(StepOptions):
    """
    Attributes:
        image: as in documents; "before", as trainers of mmc4 put them.
    """

    image: Side = "before"


def fits(fields: Fields) -> bool:
    texts, images = parse_text(fields["texts"]), parse_text(fields["images"])
    return isinstance(texts, list) and isinstance(images, list) and all("matched_text_index" in each for each in images)


def read(fields: Fields, options: Options) -> Draft:
    texts, images = parse_text(fields["texts"]), parse_text(fields["images"])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or not isinstance(images, list):
        raise RowError(f"texts {shown(texts)}, images {shown(images)}; expected lists", kind="bad_record")
    at: dict[int, list[Reference]] = {}
    for image in images:
        at.setdefault(_place(image, len(texts)), []).append(_picture(image))
    pieces: list[Piece] = []
    for number, text in enumerate(texts):
        pictures = at.get(number, [])
        pieces += [*pictures, text] if options.image == "before" else [text, *pictures]
    return document(pieces, options)


def _place(image: Any, count: int) -> int:
    place = image.get("matched_text_index") if isinstance(image, dict) else None
    if not isinstance(place, int) or not 0 <= place < count:
        raise RowError(f"an image belongs to text {shown(place)} of {count}; expected one of them", kind="bad_record")
    return place


def _picture(image: dict[str, Any]) -> Reference:
    held = next((image[key] for key in HELD_IN if image.get(key)), None)
    return one_picture(held, "image_info")


DIALECT = Dialect(
    name="mmc4",
    reads="mmc4 and mmc4-core",
    sign="a list of texts, and images with matched_text_index",
    task=INTERLEAVED,
    uses={"texts": Use(("text_list", "texts")), "images": Use(("image_info", "images"))},
    fits=fits,
    read=read,
    options=Options,
)
