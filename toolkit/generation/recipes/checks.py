"""Checks that cost nothing: words, boxes, pictures. Each rejects with step and reason, or returns what it checked."""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

import numpy as np
from pydantic import Field

from toolkit.errors import ImageError
from toolkit.generation.core.options import Options
from toolkit.generation.core.records import reject
from toolkit.generation.recipes.answers import same_answer
from toolkit.images import decode_image, image_size

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)


class CropOptions(Options):
    """
    Attributes:
        min_box_px: least width and height of a part of a picture that is shown; narrower ones show nothing.
    """

    min_box_px: int = Field(16, ge=1)


class DocumentOptions(Options):
    """Bounds of a page. Defaults are those of OBELICS, build_obelics/configs (facts of its filter code).

    Attributes:
        min_side_px, max_side_px: width and height of an image.
        max_aspect: its longer side over the shorter one.
        min_text_words, max_text_words: of each text; min_words, max_words: of all of them.
        max_repetition: share of runs of 10 characters that come again.
    """

    min_images: int = Field(1, ge=1)
    max_images: int = Field(30, ge=1)
    min_side_px: int = Field(150, ge=1)
    max_side_px: int = Field(20_000, ge=1)
    max_aspect: float = Field(2.0, ge=1)
    min_text_words: int = Field(4, ge=0)
    max_text_words: int = Field(1_000, ge=1)
    min_words: int = Field(10, ge=0)
    max_words: int = Field(2_000, ge=1)
    max_repetition: float = Field(0.1, ge=0, le=1)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words of a phrase stand in a text, in a row, each in any of its forms: "wolves" has "wolf"."""
    wanted, found = words(phrase), [forms(word) for word in words(text)]
    return bool(wanted) and any(
        all(forms(word) & found[start + number] for number, word in enumerate(wanted))
        for start in range(len(found) - len(wanted) + 1)
    )


@cache
def forms(word: str) -> frozenset[str]:
    """A word and what it may be a form of: its lemma, and its singular by the rules of spelling."""
    from simplemma import lemmatize

    return frozenset((word, lemmatize(word, lang="en"), singular(word)))


def singular(word: str) -> str:
    """ "berries" -> "berry", "crosses" -> "cross", "stars" -> "star"; what only looks like a plural, alike wherever."""
    for end, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("ss", "ss")):
        if word.endswith(end) and len(word) > len(end) + 1:
            return word.removesuffix(end) + instead
    return word.removesuffix("s") if len(word) > 3 and not word.endswith(("us", "is")) else word


def names_none_of(step: str, reason: str, text: str, phrases: Iterable[str]) -> None:
    found = sorted({phrase for phrase in phrases if words(phrase) and has_phrase(text, phrase)})
    if found:
        reject(step, reason, f"{found} in {text!r}")


def names_one_of(step: str, reason: str, text: str, phrases: Iterable[str]) -> None:
    """At least one, as a part of a word too ("star" in "stars")."""
    wanted = list(phrases)
    if not any(phrase.lower() in text.lower() for phrase in wanted):
        reject(step, reason, f"none of {wanted} in {text!r}")


def is_named(phrase: str, things: Iterable[str]) -> bool:
    """Whether one of the names of things is that phrase, or a wider or narrower name with the same words."""
    return any(has_phrase(thing, phrase) or has_phrase(phrase, thing) for thing in things)


def agree(step: str, one: str, *others: str) -> None:
    """An answer says the same as one of the others."""
    if not any(same_answer(one, other) for other in others):
        reject(step, "answers_disagree", f"{one!r} and {' or '.join(map(repr, others))}")


def good_box(step: str, box: dict[str, float], picture: bytes, min_px: int = 16) -> Box:
    """A box with an inside that is large enough to see something, as fractions."""
    x0, y0, x1, y1 = (float(np.float32(box[name])) for name in ("x0", "y0", "x1", "y1"))  # as columns hold them
    width, height = image_size(picture, step)
    if (x1 - x0) * width < min_px or (y1 - y0) * height < min_px:
        reject(step, "box_too_small", f"{(x0, y0, x1, y1)} of {width} x {height} pixels")
    return x0, y0, x1, y1


def crop(picture: bytes, box: Box) -> bytes:
    """The part of a picture in a box, unscaled, as PNG."""
    opened = decode_image(picture, "crop")
    x0, y0, x1, y1 = box
    cut = opened.crop(
        (round(x0 * opened.width), round(y0 * opened.height), round(x1 * opened.width), round(y1 * opened.height))
    )
    buffer = io.BytesIO()
    cut.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def same_pixels(one: bytes, other: bytes) -> bool:
    return _pixels(one) == _pixels(other)


def _pixels(picture: bytes) -> tuple[tuple[int, int], str]:
    opened = decode_image(picture, "picture")
    return opened.size, hashlib.sha256(opened.tobytes()).hexdigest()


def good_document(step: str, texts: list[str], pictures: list[bytes], options: DocumentOptions) -> None:
    """The rules of OBELICS that need no model."""
    _within(step, "too_few_images", "too_many_images", len(pictures), (options.min_images, options.max_images))
    for text in texts:
        _within(step, "short_text", "long_text", len(text.split()), (options.min_text_words, options.max_text_words))
    count = sum(len(text.split()) for text in texts)
    _within(step, "short_document", "long_document", count, (options.min_words, options.max_words))
    for picture in pictures:
        try:
            width, height = image_size(picture, step)
        except ImageError as error:
            reject(step, "bad_image", error)
        _within(step, "small_image", "large_image", min(width, height), (options.min_side_px, options.max_side_px))
        if max(width, height) > options.max_aspect * min(width, height):
            reject(step, "odd_aspect", f"{width} x {height}")
    if any(repetition(text) > options.max_repetition for text in texts):
        reject(step, "repeats_itself", max(texts, key=repetition)[:200])


def repetition(text: str, length: int = 10) -> float:
    """Share of the most frequent run of characters among all that occur, as OBELICS computes it: 0 where each occurs
    once.
    """
    runs = Counter(text[start : start + length] for start in range(len(text) - length + 1))
    repeated = sorted((count for count in runs.values() if count > 1), reverse=True)
    return sum(repeated[: max(1, int(len(runs) ** 0.5))]) / sum(runs.values()) if runs and repeated else 0.0


def _within(step: str, below: str, above: str, value: int, bounds: tuple[int, int]) -> None:
    low, high = bounds
    if not low <= value <= high:
        reject(step, below if value < low else above, f"{value}; expected {low} to {high}")
