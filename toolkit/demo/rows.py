"""Photographs -> rows of all nine tasks, a pure function of (task, number).

Names, places and details are those of `toolkit.photos`.
"""

import io
from collections.abc import Callable, Iterator
from functools import cache

from PIL import Image, ImageOps

from toolkit.photos import Photo, photos
from toolkit.published import PUBLISHED
from toolkit.rules import check_row
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, image_roles, quadrant_of, text_of
from toolkit.tasks import TASKS

LONG_SIDE_PX = 384
FORMATS: tuple[tuple[str, str, dict[str, int]], ...] = (
    ("JPEG", "jpg", {"quality": 90}),
    ("PNG", "png", {"compress_level": 1}),  # the size is of no account here, the time is
    ("WEBP", "webp", {"quality": 90}),
)

Piece = str | EncodedImage
Pieces = tuple[Piece, ...]
Made = tuple[Pieces, Pieces, Pieces]  # prompt, rationale and answer of a turn


@cache
def _picture(photo: Photo) -> Image.Image:
    picture = Image.open(io.BytesIO(photo.bytes)).convert("RGB")
    picture.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
    return picture


def demo_rows(task: str, count: int, *, turns: int = 1) -> Iterator[Row]:
    """The first `count` rows of a task; all differ."""
    for number in range(count):
        yield demo_row(task, number, turns=turns)


def demo_row(task: str, number: int, *, turns: int = 1) -> Row:
    """A row of a task, as so many questions and answers: those that the next rows would ask first."""
    made = [_turn(task, number + turn) for turn in range(turns)]
    messages = tuple(message for prompt, rationale, answer in made for message in _messages(prompt, rationale, answer))
    images = tuple(piece for pieces in made for part in pieces for piece in part if isinstance(piece, EncodedImage))
    row = Row(
        id=f"{TASKS[task].prefix}-{number:04d}",
        task=task,
        quadrant=quadrant_of(messages),
        source=PUBLISHED[task].source,
        license=PUBLISHED[task].license,
        messages=messages,
        images=images,
        image_roles=image_roles(messages, TASKS[task]),
        image_captions=("",) * len(images),
        instruction=text_of(messages, "user"),
        rationale=text_of((Message("assistant", _parts(rationale)) for _, rationale, _ in made), "assistant"),
        answer=text_of((Message("assistant", _parts(answer)) for _, _, answer in made), "assistant"),
    )
    check_row(row)
    return row


def _turn(task: str, number: int) -> Made:
    photo = photos()[number % len(photos())]
    other = photos()[(number + 5 + number // len(photos())) % len(photos())]
    return _MAKERS[task](photo, other, number)


def _messages(prompt: Pieces, rationale: Pieces, answer: Pieces) -> tuple[Message, Message]:
    return Message("user", _parts(prompt)), Message("assistant", _parts(_reply(rationale, answer)))


def _reply(rationale: Pieces, answer: Pieces) -> Pieces:
    """An empty line between two texts, nothing beside a picture."""
    if rationale and isinstance(rationale[-1], str) and isinstance(answer[0], str):
        return (*rationale[:-1], f"{rationale[-1]}\n\n{answer[0]}", *answer[1:])
    return (*rationale, *answer)


def _parts(pieces: Pieces) -> tuple[Part, ...]:
    return tuple(Part("text", piece) if isinstance(piece, str) else IMAGE_PART for piece in pieces)


def _encode(picture: Image.Image, name: str, number: int) -> EncodedImage:
    kind, suffix, options = FORMATS[number % len(FORMATS)]
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return EncodedImage(buffer.getvalue(), f"{number:04d}_{name}.{suffix}")


def _photo(photo: Photo, number: int, name: str = "photo") -> EncodedImage:
    return _encode(_picture(photo), name, number)


def _detail(photo: Photo, number: int) -> EncodedImage:
    picture = _picture(photo)
    x0, y0, x1, y1 = (float(value) for value in photo.box.split())
    return _encode(
        picture.crop(
            (int(x0 * picture.width), int(y0 * picture.height), int(x1 * picture.width), int(y1 * picture.height))
        ),
        "detail",
        number,
    )


def _grey(picture: Image.Image) -> Image.Image:
    return ImageOps.grayscale(picture).convert("RGB")


def _poster(picture: Image.Image) -> Image.Image:
    return ImageOps.posterize(picture, 2)


EDITS: tuple[tuple[str, str, Callable[[Image.Image], Image.Image]], ...] = (
    (
        "look as if it had been taken before colour film",
        "Early film knew only light and dark, so every colour becomes a grey.",
        _grey,
    ),
    ("appear as it would in a mirror", "A mirror swaps left and right and leaves up and down alone.", ImageOps.mirror),
    (
        "feel like the negative strip it was printed from",
        "A negative turns light into dark and each colour into its opposite.",
        ImageOps.invert,
    ),
    (
        "resemble a poster printed with very few inks",
        "Few inks mean few shades, so smooth tones fall into flat steps.",
        _poster,
    ),
)


def _image_generation(photo: Photo, other: Photo, number: int) -> Made:
    rationale = (
        f"That describes the {photo.name}. It belongs to {photo.place}, and the {photo.detail} should be easy to see.",
    )
    return (f"Show me {photo.hint}. Picture {number}.",), rationale, (_photo(photo, number),)


def _image_editing(photo: Photo, other: Photo, number: int) -> Made:
    wish, why, change = EDITS[number % len(EDITS)]
    edited = _encode(change(_picture(photo)), "edited", number)
    return (
        (_photo(photo, number), f"I would like this picture to {wish}."),
        (f"It shows the {photo.name}. {why}",),
        (edited,),
    )


def _image_correction(photo: Photo, other: Photo, number: int) -> Made:
    wrong = _encode(ImageOps.flip(_picture(photo)), "wrong", number)
    prompt = (
        f"Description: the {photo.name}, upright, as one sees it in {photo.place}.\n",
        wrong,
        "\nWhat does not match? Correct the picture.",
    )
    return (
        prompt,
        ("Sky and ground have changed places: the picture is upside down, while the description says upright.",),
        (_photo(photo, number, "corrected"),),
    )


def _mm_reasoning_o(photo: Photo, other: Photo, number: int) -> Made:
    prompt = (_photo(photo, number), f"Is this the {photo.name} or the {other.name}? Point at what tells you.")
    rationale = ("I look closer at one part of the picture.", _detail(photo, number), f"This shows the {photo.detail}.")
    return prompt, rationale, (f"It is the {photo.name}.",)


def _mm_reasoning_mm(photo: Photo, other: Photo, number: int) -> Made:
    prompt = (
        _photo(photo, number, "first"),
        _photo(other, number + 1, "second"),
        f"Which of the two belongs to {photo.place}?",
    )
    rationale = (
        f"For comparison, a closer view of the {photo.name}:",
        _detail(photo, number),
        f"The first picture shows the same {photo.detail}.",
    )
    return prompt, rationale, (f"The first picture, the {photo.name}.",)


def _mm_reasoning_t(photo: Photo, other: Photo, number: int) -> Made:
    prompt = (f"Question {number}: someone speaks of {photo.hint}. Which detail would prove it on a photograph?",)
    rationale = (
        f"That is the {photo.name}.",
        _photo(photo, number),
        "One part of it stands out:",
        _detail(photo, number),
    )
    return prompt, rationale, (f"The {photo.detail}.",)


def _mm_internet(photo: Photo, other: Photo, number: int) -> Made:
    prompt = (f"Tell me, with pictures, about the {photo.name} and the {other.name}. Page {number}.",)
    answer = (
        f"First {photo.hint}.",
        _photo(photo, number, "first"),
        f"Then {other.hint}.",
        _photo(other, number + 1, "second"),
        "Both are worth the journey.",
    )
    return prompt, (), answer


def _llava_cot(photo: Photo, other: Photo, number: int) -> Made:
    sections = {
        "SUMMARY": "I will name what the picture shows.",
        "CAPTION": f"The picture shows {photo.hint}.",
        "REASONING": f"What tells it from others of its kind ({photo.kind}): the {photo.detail}.",
        "CONCLUSION": f"The {photo.name}.",
    }
    text = "\n\n".join(f"<{name}>{content}</{name}>" for name, content in sections.items())
    return (_photo(photo, number), f"\nWhat is this {photo.kind}?"), (), (text,)


def _cot_collection(photo: Photo, other: Photo, number: int) -> Made:
    prompt = (
        f"Line {number}. The {photo.name}: {photo.kind}. The {other.name}: {other.kind}. Are both of one kind? (An "
        "<image> tag is just text here.)",
    )
    same = photo.kind == other.kind
    return prompt, (f"The kinds are {photo.kind} and {other.kind}.",), ("Yes." if same else "No.",)


_MAKERS: dict[str, Callable[[Photo, Photo, int], Made]] = {
    "image_generation": _image_generation,
    "image_editing": _image_editing,
    "image_correction": _image_correction,
    "mm_reasoning_o": _mm_reasoning_o,
    "mm_reasoning_mm": _mm_reasoning_mm,
    "mm_reasoning_t": _mm_reasoning_t,
    "mm_internet": _mm_internet,
    "llava_cot": _llava_cot,
    "cot_collection": _cot_collection,
}
