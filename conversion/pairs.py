"""What generation trainers eat: a text and a picture to draw, or a picture, an instruction and the edited picture."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from conversion.formats import check_options, choose
from conversion.report import Tally
from toolkit.errors import ImageError, RowError
from toolkit.images import image_size
from toolkit.schema import Row, text_of

TEXTS = ("instruction", "caption")
INPUT_IMAGES = ("error", "drop")


class Pair(NamedTuple):
    """`row.images[image]`, and the text it is to be drawn from; `turn` counts the answers before its own."""

    image: int
    text: str
    turn: int = 0


class Edit(NamedTuple):
    """From `row.images[n]` of every n in `before`, `row.images[after]` is made by an instruction."""

    before: tuple[int, ...]
    instruction: str
    after: int


def refuse(row: Row, kind: str, problem: str) -> RowError:
    return RowError(f"{row.task}: row {row.id!r}: {problem}", kind=kind)


def picture_size(row: Row, number: int, *, max_pixels: int = 0, max_ratio: int = 0) -> tuple[int, int]:
    """Width and height of `row.images[number]`, which a reader would pass over if it could not open it.

    Args:
        max_pixels, max_ratio: more pixels, or a side as much longer than the other, are passed over too; 0 = never.

    Raises:
        RowError: kinds "picture_format", "picture_too_large", "picture_shape".
    """
    try:
        width, height = image_size(row.images[number].bytes)
    except ImageError as error:
        raise refuse(row, "picture_format", f"images[{number}] cannot be opened: {error}") from error
    found = f"images[{number}] is {width} x {height}; the reader skips"
    if max_pixels and width * height > max_pixels:
        raise refuse(row, "picture_too_large", f"{found} more than {max_pixels:,} pixels")
    if max_ratio and max(width, height) > max_ratio * min(width, height):
        raise refuse(row, "picture_shape", f"{found} pictures of one side over {max_ratio} times the other")
    return width, height


def check_pair_options(options: Any, profiles: Iterable[str]) -> None:
    """`check_options`, and the words of `text` and `input_images`."""
    check_options(options, profiles)
    choose("text", options.text, TEXTS)
    choose("input_images", options.input_images, INPUT_IMAGES)


def output_pairs(row: Row, *, text: str, input_images: str) -> list[Pair]:
    """One pair per output picture.

    Args:
        text: "instruction" (the user's words up to the picture's turn) or "caption" (the prompt or caption of the
            picture itself).
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
    asked = _asked(row)
    turns = _turns(row)
    pairs = [
        Pair(number, row.image_captions[number] if text == "caption" else asked[turns[number]], turns[number])
        for number in outputs
    ]
    if not all(pair.text.strip() for pair in pairs):
        raise refuse(row, "no_text", f"has no {text} for an output picture")
    return pairs


def _asked(row: Row) -> list[str]:
    """Per answer, the user's words up to it; the last words do not belong to an earlier picture."""
    ends = [number for number, message in enumerate(row.messages) if message.role == "assistant"]
    if len(ends) == 1:
        return [row.instruction or text_of(row.messages, "user")]
    return [text_of(row.messages[:end], "user") for end in ends]


def _turns(row: Row) -> list[int]:
    """Per picture, how many answers are before the one it is in, or belongs to."""
    turns, answers = list[int](), 0
    for message in row.messages:
        turns += [answers] * sum(part.type == "image" for part in message.content)
        answers += message.role == "assistant"
    return turns


def count_pairs(tally: Tally, row: Row, pairs: list[Pair]) -> None:
    """What a row loses as pairs: its other pictures, that its outputs belonged together, where a turn ends."""
    used = {pair.image for pair in pairs}
    count_left_out(tally, row, used)
    tally.count("flattened", "outputs_told_apart", row.id, len(pairs) > 1)
    tally.count("flattened", "turns_joined", row.id, any(pair.turn for pair in pairs))


def count_left_out(tally: Tally, row: Row, used: set[int]) -> None:
    for number, role in enumerate(row.image_roles):
        tally.count("images_dropped", f"{role}_image", row.id, number not in used)


def count_steps(tally: Tally, row: Row, steps: Sequence[Edit], *, together: bool = False) -> None:
    """What a row loses as edits: its other pictures, where they stood in the text, that its edits belonged together.

    Args:
        together: one record holds them all.
    """
    uses = [number for step in steps for number in (*step.before, step.after)]
    count_left_out(tally, row, set(uses))
    tally.count("images_moved", "beside_the_text", row.id, _behind_text(row))
    if not together:
        tally.count("flattened", "chain_told_apart", row.id, len(steps) > 1)
        tally.count("images_repeated", "chain_told_apart", row.id, len(uses) - len(set(uses)))


def _behind_text(row: Row) -> int:
    """Pictures of prompts that stand behind a text."""
    kinds = [[part.type for part in message.content] for message in row.messages if message.role == "user"]
    return sum(each[each.index("text") :].count("image") for each in kinds if "text" in each)


def edit_steps(row: Row, *, fewest: int = 1, most: int | None = 1) -> list[Edit]:
    """A chain of edits, one per user turn: the pictures before, the user's words, the output picture. A later turn
    starts from the output before it and the pictures that its user adds.

    Args:
        fewest, most: pictures that one edit may start from; None = any number.

    Raises:
        RowError: kinds "no_output_image", "input_images" (fewer or more), "output_images" (not one per turn),
            "no_text".
    """
    if "output" not in row.image_roles:
        raise refuse(row, "no_output_image", "has no output picture; an edit needs one")
    steps: list[Edit] = []
    before: tuple[int, ...] = ()
    words, number = "", 0
    is_one_turn = sum(message.role == "user" for message in row.messages) == 1
    for message in row.messages:
        here = tuple(number + offset for offset in range(sum(part.type == "image" for part in message.content)))
        number += len(here)
        if message.role == "user":
            before = (*(step.after for step in steps[-1:]), *here)
            words = (row.instruction if is_one_turn else "") or text_of((message,), "user")
            _check_inputs(row, len(before), fewest, most)
        elif message.role == "assistant":
            steps.append(Edit(before, words, _output_of(row, here, words)))
        elif here:
            raise refuse(row, "input_images", "the system message has pictures; an edit has no place for them")
    return steps


def _check_inputs(row: Row, found: int, fewest: int, most: int | None) -> None:
    if found < fewest or (most is not None and found > most):
        expected = f"exactly {most}" if fewest == most else f"{fewest} {'or more' if most is None else f'to {most}'}"
        raise refuse(row, "input_images", f"a user turn starts from {found} pictures; expected {expected}")


def _output_of(row: Row, here: Sequence[int], words: str) -> int:
    outputs = [image for image in here if row.image_roles[image] == "output"]
    if len(outputs) != 1 or not words:
        raise refuse(
            row,
            "output_images" if words else "no_text",
            f"a turn has {len(outputs)} output pictures and {len(words)} characters of instruction; an edit needs one "
            "and some",
        )
    return outputs[0]
