"""OBELICS: lists of images and texts as long as each other; at each place one of the two is null.

Source: https://huggingface.co/datasets/HuggingFaceM4/OBELICS
"""

from toolkit.errors import RowError, shown
from toolkit.sources.dialects.dialect import Dialect, Draft, Fields, Piece, Use, text_in
from toolkit.sources.dialects.documents import DocumentOptions, document
from toolkit.sources.dialects.fields import one_picture
from toolkit.sources.dialects.tasks import INTERLEAVED
from toolkit.sources.published.shapes.pictures import parse_text


def fits(fields: Fields) -> bool:
    images, texts = parse_text(fields["images"]), parse_text(fields["texts"])
    return (
        isinstance(images, list)
        and isinstance(texts, list)
        and len(images) == len(texts) > 0
        and all((image is None) != (text is None) for image, text in zip(images, texts, strict=True))
    )


def read(fields: Fields, options: DocumentOptions) -> Draft:
    images, texts = parse_text(fields["images"]), parse_text(fields["texts"])
    if not isinstance(images, list) or not isinstance(texts, list) or len(images) != len(texts):
        raise RowError(
            f"images {shown(images)} and texts {shown(texts)}; expected lists of one length", kind="bad_record"
        )
    pieces: list[Piece] = []
    for number, (image, text) in enumerate(zip(images, texts, strict=True)):
        if (image is None) == (text is None) or not isinstance(text, str | None):
            raise RowError(
                f"at place {number} image {shown(image)} and text {shown(text)}; expected one", kind="bad_record"
            )
        pieces.append(one_picture(image, f"images[{number}]") if text is None else text)
    return document(pieces, options, text_in(fields, "title", default=""))


DIALECT = Dialect(
    name="obelics",
    reads="OBELICS, and documents like its",
    sign="images and texts of one length, at each place one of them",
    task=INTERLEAVED,
    uses={
        "images": Use(("images", "image_list")),
        "texts": Use(("texts", "text_list")),
        "title": Use(("title",), needed=False),
    },
    fits=fits,
    read=read,
    options=DocumentOptions,
)
