"""Rows whose every picture has a colour of its own, so that a picture in the wrong place shows."""

import io

from PIL import Image

from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, quadrant_of
from toolkit.tasks import TASKS


def picture(colour, kind="PNG", size=(64, 48)):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return EncodedImage(buffer.getvalue(), f"picture.{kind.lower()}")


def colour(row, number):
    """Far enough apart to survive lossy coding."""
    return (40 + 30 * (row % 7), 40 + 60 * number, 40 + 20 * (row // 7))


def planted_row(number, task="mm_reasoning_mm", images=None, **columns):
    """Two pictures asked with, one thought with, one of the answer: text between all of them."""
    asked = (IMAGE_PART, Part("text", f"first of {number}"), IMAGE_PART, Part("text", "second, which?"))
    replied = (Part("text", "Let me think."), IMAGE_PART, Part("text", "That was it.\n\nThe answer:"), IMAGE_PART)
    messages = columns.pop("messages", (Message("user", asked), Message("assistant", replied)))
    count = sum(part.type == "image" for message in messages for part in message.content)
    images = tuple(picture(colour(number, place)) for place in range(count)) if images is None else images
    roles = ("input", "input", "intermediate", "output")[:count]
    return Row(
        **{
            "id": f"{TASKS[task].prefix}-{number}",
            "task": task,
            "quadrant": quadrant_of(messages),
            "messages": messages,
            "images": images,
            "image_roles": roles,
            "image_captions": ("",) * count,
            "instruction": "which?",
            "rationale": "Let me think.\nThat was it.",
            "answer": "The answer:",
            **columns,
        }
    )


def text_row(number, text, task="cot_collection", **columns):
    """No pictures; the text is asked."""
    return planted_row(
        number,
        task,
        messages=(Message("user", (Part("text", text),)), Message("assistant", (Part("text", "yes"),))),
        rationale="",
        **columns,
    )
