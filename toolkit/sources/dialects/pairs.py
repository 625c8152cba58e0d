"""Pairs of a text and a picture: the picture is drawn from the text. See captions.py for the other direction.

Source: webdataset; BLIP3o/BLIP3o-Pretrain-Long-Caption; JourneyDB/JourneyDB; FreedomIntelligence/ShareGPT-4o-Image;
datasets docs/source/image_dataset.mdx (ImageFolder)
"""

from typing import Any

from toolkit.errors import RowError, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, NoOptions, Turn, Use, is_text, text_in
from toolkit.sources.dialects.fields import IMAGE_NAMES, are_pictures, pool
from toolkit.sources.dialects.tasks import TEXT_TO_IMAGE
from toolkit.sources.published.shapes.pictures import Reference, parse_text

TEXT_NAMES = (
    "(input_)?prompts?",
    "captions?",
    "text|txt",
    "long_?captions?",
    "(.+_)?captions?(_.+)?",
    "descriptions?",
    "alt(_text)?",
    "label",
    "folder",
)
OUTPUT_NAMES = ("output_(image|img)(_path)?", "(target|generated)_(image|img)", *IMAGE_NAMES)


def texts_in(value: Any) -> list[str]:
    """A text, or the texts of a list, or of an object by name, as JSON too."""
    value = parse_text(value)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [each for each in value if is_text(each)]
    return [value] if is_text(value) else []


def fits(fields: Fields) -> bool:
    pictures = pool(fields, "image")
    return bool(texts_in(fields["text"])) and len(pictures) == 1 and are_pictures(pictures)


def both(fields: Fields) -> tuple[str, Reference, dict[str, Any]]:
    """The text, the picture, and what else there is of texts.

    Raises:
        RowError: "null_text", "bad_text", "null_picture".
    """
    texts = texts_in(fields["text"]) or [text_in(fields, "text")]
    pictures = pool(fields, "image")
    if len(pictures) != 1:
        raise RowError(f"has {len(pictures)} pictures ({shown(fields['image'])}); expected one", kind="null_picture")
    return texts[0], pictures[0], {"texts": texts} if len(texts) > 1 else {}


def read(fields: Fields, options: NoOptions) -> Draft:
    text, picture, facts = both(fields)
    return Draft((Turn("user", (text,)), Turn("assistant", (picture,))), facts=facts)


DIALECT = Dialect(
    name="pairs",
    reads="BLIP3o, JourneyDB, ShareGPT-4o-Image, LAION-like tars, folders of images; several texts: the first",
    sign="a text and one picture",
    task=TEXT_TO_IMAGE,
    uses={"text": Use(TEXT_NAMES), "image": Use(OUTPUT_NAMES, many=True)},
    fits=fits,
    read=read,
)
