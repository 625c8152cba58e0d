"""What is scored of a row: pictures with their captions, pictures with the text beside them, edits.

caption     a picture and what `image_captions` says of it
text        a picture and the nearest text of its message, before it if there is one; else the last text before it
edit        a picture that a prompt shows, what the prompt says, and the last picture of the answer
"""

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.schema import Message, Row

KINDS = ("caption", "text", "edit")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Pictures and a text that should fit.

    Attributes:
        image: place in the row of the picture that is judged; of an edit its result.
        images: encoded: the picture, or of an edit what it was made from and the result.
        captions: of these pictures.
        origin: of the row.
    """

    id: str
    image: int
    kind: str
    text: str
    images: tuple[bytes, ...]
    captions: tuple[str, ...]
    origin: str


def fits_of(row: Row, kinds: tuple[str, ...] = KINDS) -> Iterator[Fit]:
    """All of a row, in reading order."""
    for number in range(len(row.images)):
        for kind, text in (("caption", row.image_captions[number]), ("text", _text_beside(row.messages, number))):
            if kind in kinds and text.strip():
                yield _fit(row, kind, text, number)
    outputs = [number for number, role in enumerate(row.image_roles) if role == "output"]
    inputs = [number for number, role in enumerate(row.image_roles) if role == "input"]
    if "edit" in kinds and inputs and outputs and row.instruction.strip():
        yield _fit(row, "edit", row.instruction, inputs[0], outputs[-1])


def _fit(row: Row, kind: str, text: str, *places: int) -> Fit:
    return Fit(
        id=row.id,
        image=places[-1],
        kind=kind,
        text=text,
        images=tuple(row.images[place].bytes for place in places),
        captions=tuple(row.image_captions[place] for place in places),
        origin=row.origin,
    )


def _text_beside(messages: tuple[Message, ...], number: int) -> str:
    seen, before = 0, ""
    for message in messages:
        texts = [part.text.strip() for part in message.content]
        for place, part in enumerate(message.content):
            if part.type == "image":
                if seen == number:
                    near = [text for text in (*reversed(texts[:place]), *texts[place + 1 :]) if text]
                    return next(iter(near), before)
                seen += 1
        before = next((text for text in reversed(texts) if text), before)
    return ""
