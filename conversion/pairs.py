"""What generation trainers eat: a text and a picture to draw, or a picture, an instruction and the edited picture."""

from typing import Any, NamedTuple

from conversion.formats import belongs_to, choose
from conversion.report import Tally
from toolkit.errors import RowError
from toolkit.schema import Row, text_of

TEXTS = ("instruction", "caption")
INPUT_IMAGES = ("error", "drop")


class Pair(NamedTuple):
    """`row.images[image]`, and the text it is to be drawn from."""

    image: int
    text: str


class Edit(NamedTuple):
    """`row.images[before]` becomes `row.images[after]` by an instruction."""

    before: int
    instruction: str
    after: int


def refuse(row: Row, kind: str, problem: str) -> RowError:
    return RowError(f"{row.task}: row {row.id!r}: {problem}", kind=kind)


def check_pair_options(options: Any, profile: str) -> None:
    """Checks `text` and `input_images`, which belong to one profile."""
    choose("text", options.text, TEXTS)
    choose("input_images", options.input_images, INPUT_IMAGES)
    belongs_to(options, "text", profile)
    belongs_to(options, "input_images", profile)


def output_pairs(row: Row, *, text: str, input_images: str) -> list[Pair]:
    """One pair per output picture.

    Args:
        text: "instruction" (the user's words) or "caption" (the prompt or caption of the picture itself).
        input_images: "error" refuses rows whose prompt has pictures, for a pair cannot show them; "drop" leaves those
            pictures out.

    Raises:
        RowError: kinds "no_output_image", "input_image", "no_text".
    """
    outputs = [number for number, role in enumerate(row.image_roles) if role == "output"]
    if not outputs:
        raise refuse(row, "no_output_image", "has no output picture; a text-to-image pair needs one")
    if input_images == "error" and "input" in row.image_roles:
        raise refuse(
            row,
            "input_image",
            "its prompt has pictures, which a text-to-image pair cannot hold; pass input_images='drop' to leave them "
            "out",
        )
    instruction = row.instruction or text_of(row.messages, "user")
    pairs = [Pair(number, row.image_captions[number] if text == "caption" else instruction) for number in outputs]
    if not all(pair.text.strip() for pair in pairs):
        raise refuse(row, "no_text", f"has no {text} for an output picture")
    return pairs


def count_pairs(tally: Tally, row: Row, pairs: list[Pair]) -> None:
    """What a row loses as pairs: its other pictures, and that its outputs belonged together."""
    used = {pair.image for pair in pairs}
    count_left_out(tally, row, used)
    tally.count("flattened", "outputs_told_apart", row.id, len(pairs) > 1)


def count_left_out(tally: Tally, row: Row, used: set[int]) -> None:
    for number, role in enumerate(row.image_roles):
        tally.count("images_dropped", f"{role}_image", row.id, number not in used)


def edit_steps(row: Row) -> list[Edit]:
    """A chain of edits, one per user turn: the picture before, the user's words, the output picture.

    Raises:
        RowError: kinds "no_output_image", "input_images" (not exactly one, or one in a later turn), "output_images"
            (not one per turn), "no_text".
    """
    if "output" not in row.image_roles:
        raise refuse(row, "no_output_image", "has no output picture; an edit needs one")
    steps: list[Edit] = []
    before, number = -1, 0
    for message in row.messages:
        here = [number + offset for offset in range(sum(part.type == "image" for part in message.content))]
        number += len(here)
        if message.role == "user":
            if len(here) != (before < 0):
                raise refuse(
                    row,
                    "input_images",
                    f"a user turn has {len(here)} pictures; an edit starts from exactly one, in the first turn",
                )
            before = here[0] if here else before
            words = text_of((message,), "user")
        elif message.role == "assistant":
            outputs = [image for image in here if row.image_roles[image] == "output"]
            if len(outputs) != 1 or not words:
                kind = "output_images" if words else "no_text"
                raise refuse(
                    row,
                    kind,
                    f"a turn has {len(outputs)} output pictures and {len(words)} characters of instruction; an edit "
                    "needs one and some",
                )
            steps.append(Edit(before, words, outputs[0]))
            before = outputs[0]
        elif here:
            raise refuse(row, "input_images", "the system message has pictures; an edit has no place for them")
    return steps
