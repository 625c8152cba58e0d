"""Which rows a model is given: the same items, with their thoughts or without, coupled or apart."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random

from toolkit.evaluation.microworld.items import Item, Piece, training_item
from toolkit.evaluation.microworld.split import Side, Split
from toolkit.evaluation.microworld.world import codes_of, paint
from toolkit.schema import IMAGE_PART, EncodedImage, Message, Part, Row, quadrant_of

SIDES: tuple[Side, Side] = ("U", "D")


def _plain(item: Item, other: Item) -> list[tuple[Sequence[Piece], Sequence[Piece]]]:
    return [(item.prompt, (item.answer,))]


def _coupled(item: Item, other: Item) -> list[tuple[Sequence[Piece], Sequence[Piece]]]:
    return [(item.prompt, (*item.thought, item.answer))]


def _split(item: Item, other: Item) -> list[tuple[Sequence[Piece], Sequence[Piece]]]:
    """The thoughts as rows of their own, from the same prompt and a word that asks for them; no answer follows."""
    return [*_plain(item, other), *([(("think", *item.prompt), item.thought)] if item.thought else [])]


def _wrong(item: Item, other: Item) -> list[tuple[Sequence[Piece], Sequence[Piece]]]:
    """The thoughts of another item of the task."""
    return [(item.prompt, (*other.thought, item.answer))]


def _words(item: Item, other: Item) -> list[tuple[Sequence[Piece], Sequence[Piece]]]:
    """Thoughts without their pictures."""
    return [(item.prompt, (*(each for each in item.thought if isinstance(each, str)), item.answer))]


_Shaped = Callable[[Item, Item], list[tuple[Sequence[Piece], Sequence[Piece]]]]
# Regime -> (sides of the data, what becomes of an item, whether every row weighs alike in the loss).
REGIMES: dict[str, tuple[tuple[Side, ...], _Shaped, bool]] = {
    "text only": (("U",), _plain, False),
    "pictures only": (("D",), _plain, False),
    "isolated": (SIDES, _plain, False),
    "split": (SIDES, _split, False),
    "coupled": (SIDES, _coupled, False),
    "isolated, row mean": (SIDES, _plain, True),
}
CONTROLS: dict[str, tuple[tuple[Side, ...], _Shaped, bool]] = {
    "coupled, row mean": (SIDES, _coupled, True),
    "coupled, wrong thoughts": (SIDES, _wrong, False),
    "coupled, words alone": (SIDES, _words, False),
}


def rows(regime: str, seed: int, num_items: int, *, mixture: dict[str, float] | None = None) -> Iterator[Row]:
    """The rows of a regime.

    Args:
        seed: of the split and of the items.
        num_items: of both sides together.
        mixture: instead of a regime: kind of row -> its share, see `KINDS`.
    """
    if mixture is not None:
        yield from _mixed(mixture, seed, num_items)
        return
    sides, shape, _ = {**REGIMES, **CONTROLS}[regime]
    split = Split.of(seed)
    for side in sides:
        for number in range(num_items // len(sides)):
            yield from _shaped(split, side, shape, seed, number)


# Kind of row of a mixture -> (side, what becomes of an item, which part of it). What `evaluate compare` mixes.
KINDS: dict[str, tuple[Side, _Shaped]] = {
    "understanding": ("U", _plain),
    "understanding with thoughts": ("U", _coupled),
    "drawing": ("D", _plain),
    "drawing with thoughts": ("D", _coupled),
}


def _mixed(mixture: dict[str, float], seed: int, num_items: int) -> Iterator[Row]:
    split, total = Split.of(seed), sum(mixture.values())
    for kind, share in mixture.items():
        side, shape = KINDS[kind]
        for number in range(round(num_items * share / total)):
            yield from _shaped(split, side, shape, seed, number, name=kind.replace(" ", "-"))


def _shaped(split: Split, side: Side, shape: _Shaped, seed: int, number: int, name: str = "") -> Iterator[Row]:
    item = training_item(split, side, seed, number)
    step = 8 if side == "U" else 5
    other = training_item(split, side, seed, number + step * (1 + Random(f"other {seed} {number}").randrange(1000)))
    for part, (prompt, answer) in enumerate(shape(item, other)):
        yield row_of(f"mw-{name or 'r'}-{side.lower()}-{number:06d}-{part}", item.task, prompt, answer)


def row_of(id: str, task: str, prompt: Sequence[Piece], answer: Sequence[Piece]) -> Row:
    """A row of the micro-world. Its pictures are PNG files of 32 x 32 pixels."""
    messages = tuple(
        Message(role, tuple(Part("text", each) if isinstance(each, str) else IMAGE_PART for each in pieces))
        for role, pieces in (("user", prompt), ("assistant", answer))
        if pieces
    )
    pictures = [("input", each) for each in prompt if not isinstance(each, str)]
    drawn = [each for each in answer if not isinstance(each, str)]
    last = bool(answer) and not isinstance(answer[-1], str)
    pictures += [("output" if last and n == len(drawn) - 1 else "intermediate", each) for n, each in enumerate(drawn)]
    return Row(
        id=id,
        task="image_generation" if last else "mm_reasoning_o",
        quadrant=quadrant_of(messages),
        source="UnifiedVisual micro-world",
        license="Apache-2.0",
        origin="procedural",
        messages=messages,
        images=tuple(EncodedImage(_png(codes_of(each)), f"{n}.png") for n, (_, each) in enumerate(pictures)),
        image_roles=tuple(role for role, _ in pictures),
        image_captions=("",) * len(pictures),
        instruction=" ".join(each for each in prompt if isinstance(each, str)),
        answer=" ".join(each for each in answer if isinstance(each, str)),
        provenance=json.dumps({"task": task}),
    )


def _png(codes: list[int]) -> bytes:
    buffer = io.BytesIO()
    paint(codes).save(buffer, "PNG")
    return buffer.getvalue()
