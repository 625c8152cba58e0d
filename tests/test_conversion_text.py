"""Strings with placeholders: whatever a text holds, importing it again is exact."""

import random

import pytest

from conversion.text import escape, turn_parts, turn_text, unescape
from toolkit.schema import IMAGE_PART, Part


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("<image>", "<\\image>"),
        ("<\\image>", "<\\\\image>"),
        ("a <video> b <audio>", "a <video> b <audio>"),
        ("<images> <image", "<images> <image"),
        ("<<image>>", "<<\\image>>"),
    ],
)
def test_escape_puts_one_backslash_more_and_unescape_takes_it(text, escaped):
    assert escape(text) == escaped
    assert unescape(escaped) == text


def test_only_tags_that_the_reader_knows_are_escaped():
    text = "<image> <video> <\\video> <box>"
    assert escape(text, ("image", "video")) == "<\\image> <\\video> <\\\\video> <box>"
    assert unescape(escape(text, ("image", "video")), ("image", "video")) == text
    assert unescape("<\\video>") == "<\\video>"  # as it stood, where nobody escapes it


def test_parts_come_back_from_any_text():
    chance = random.Random(0)
    pieces = ["<image>", "<\\image>", "\n", "<", "image>", "\\", "x", " ", "<video>"]
    for _ in range(2000):
        texts = [Part("text", "".join(chance.choices(pieces, k=chance.randint(1, 5)))) for _ in range(3)]
        parts = tuple(
            chance.choice(
                [
                    (texts[0], IMAGE_PART, texts[1]),
                    (IMAGE_PART, IMAGE_PART, texts[0]),
                    (texts[0], IMAGE_PART, IMAGE_PART, texts[1]),
                ]
            )
        )
        assert turn_parts(turn_text(parts)) == parts
        assert turn_text(parts).count("<image>") == parts.count(IMAGE_PART)
