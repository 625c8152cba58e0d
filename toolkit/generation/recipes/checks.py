"""Checks that cost nothing: words, boxes, pictures. Each rejects with step and reason, or returns what it checked."""

import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable

from toolkit.errors import ImageError
from toolkit.generation.core.records import reject
from toolkit.generation.recipes.answers import same_answer
from toolkit.images import decode_image, image_size

Box = tuple[float, float, float, float]
LEAST_BOX_PX = 16  # narrower close-ups show nothing

# OBELICS, build_obelics/configs (facts of its filter code): sides in pixels, aspect, pictures and words of a document.
SIDE_PX = (150, 20_000)
MAX_ASPECT = 2.0
NUM_IMAGES = (1, 30)
NODE_WORDS = (4, 1_000)
DOCUMENT_WORDS = (10, 2_000)
MAX_CHARACTER_REPETITION = 0.1  # of runs of 10 characters


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words of a phrase stand in a text, in a row, also in the plural."""
    return f" {' '.join(map(singular, words(phrase)))} " in f" {' '.join(map(singular, words(text)))} "


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


def agree(step: str, one: str, other: str) -> None:
    """Two answers that say the same."""
    if not same_answer(one, other):
        reject(step, "answers_disagree", f"{one!r} and {other!r}")


def good_box(step: str, box: dict[str, float], picture: bytes) -> Box:
    """A box with an inside that is large enough to see something, as fractions."""
    x0, y0, x1, y1 = (float(box[name]) for name in ("x0", "y0", "x1", "y1"))
    width, height = image_size(picture, step)
    if (x1 - x0) * width < LEAST_BOX_PX or (y1 - y0) * height < LEAST_BOX_PX:
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


def good_document(
    step: str, texts: list[str], pictures: list[bytes], *, max_repetition: float = MAX_CHARACTER_REPETITION
) -> None:
    """The rules of OBELICS that need no model."""
    _within(step, "too_few_images", "too_many_images", len(pictures), NUM_IMAGES)
    for text in texts:
        _within(step, "short_text", "long_text", len(text.split()), NODE_WORDS)
    _within(step, "short_document", "long_document", sum(len(text.split()) for text in texts), DOCUMENT_WORDS)
    for picture in pictures:
        try:
            width, height = image_size(picture, step)
        except ImageError as error:
            reject(step, "bad_image", error)
        _within(step, "small_image", "large_image", min(width, height), SIDE_PX)
        if max(width, height) > MAX_ASPECT * min(width, height):
            reject(step, "odd_aspect", f"{width} x {height}")
    if any(repetition(text) > max_repetition for text in texts):
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
