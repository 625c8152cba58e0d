"""One question of the benchmark: what is asked, what a right answer looks like, and how an answer is checked."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.evaluation.checks import Check
from toolkit.scene.names import LICENSE, SOURCE
from toolkit.scene.render import encode
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, quadrant_of

VERSION = 1  # raise it when an item of the same id asks for something else
Pixels: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A model's answer to one item: its text, parts joined by line breaks, and its pictures in order."""

    text: str = ""
    pictures: tuple[Pixels, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """
    Attributes:
        id: `uvbench<version>-<part>-<number>`, which tells all of the item.
        part: name of its part of the benchmark.
        kind: of question, edit or problem within the part; "" where there is one only.
        task: the task whose rows look like this item, for its row.
        prompt: texts and pictures, in reading order.
        answer: texts and pictures of a right answer.
        check: verdicts on a reply. A reply without what was asked for, as a picture, is checked as well.
        chance: share of right answers of a blind guesser; 0.0 for pictures.
        is_held_out: whether it needs a pair of colour and shape that generated rows never show.
    """

    id: str
    part: str
    kind: str = ""
    task: str
    prompt: Sequence[str | Pixels]
    answer: Sequence[str | Pixels]
    check: Callable[[Reply], list[Check]]
    chance: float = 0.0
    is_held_out: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


def reply_of(parts: Sequence[str | Pixels]) -> Reply:
    """The reply that says exactly these parts."""
    return Reply(
        text="\n".join(part for part in parts if isinstance(part, str)),
        pictures=tuple(part for part in parts if not isinstance(part, str)),
    )


def row_of(item: Item) -> Row:
    """The item as a row, its right answer as the assistant's turn."""
    prompt, answer = (
        tuple(Part("text", each) if isinstance(each, str) else IMAGE_PART for each in parts)
        for parts in (item.prompt, item.answer)
    )
    asked, drawn = ([each for each in parts if not isinstance(each, str)] for parts in (item.prompt, item.answer))
    messages = (Message("user", prompt), Message("assistant", answer))
    roles = ["input"] * len(asked) + ["intermediate"] * max(len(drawn) - 1, 0) + ["output"] * bool(drawn)
    return Row(
        id=item.id,
        task=item.task,
        quadrant=quadrant_of(messages),
        source=f"{SOURCE}, benchmark {VERSION}",
        license=LICENSE,
        origin="procedural",
        messages=messages,
        images=tuple(
            EncodedImage(encode(pixels), f"{item.id}-{number}.png") for number, pixels in enumerate([*asked, *drawn])
        ),
        image_roles=tuple(roles),
        image_captions=("",) * len(roles),
        instruction="\n".join(each for each in item.prompt if isinstance(each, str)),
        answer="\n".join(each for each in item.answer if isinstance(each, str)),
        provenance=json.dumps(
            {
                "benchmark": VERSION,
                "part": item.part,
                "kind": item.kind,
                "chance": item.chance,
                "held_out": item.is_held_out,
                **item.facts,
            }
        ),
    )
