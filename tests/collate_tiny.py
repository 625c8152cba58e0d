"""Rows for the collator tests, and the tiny random models of the examples."""

import io

import pytest
from PIL import Image

from toolkit.schema import EncodedImage, Message, Part, Row, quadrant_of

pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
pytest.importorskip(
    "transformers", reason="the collator tests run transformers' own models and processors; pip install transformers"
)

import torch

torch.set_num_threads(1)  # tiny models gain nothing from more

COLOURS = {
    "red": (220, 30, 20),
    "green": (20, 200, 40),
    "blue": (10, 40, 230),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}


def picture(colour: str, size: tuple[int, int] = (16, 16)) -> Image.Image:
    """A plain picture with a darker corner, so that neither colour nor place is lost on an encoder."""
    image = Image.new("RGB", size, COLOURS[colour])
    image.paste(tuple(c // 3 for c in COLOURS[colour]), (0, 0, size[0] // 2, size[1] // 2))
    return image


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def make_row(row_id: str, *turns: str, sizes: dict[str, tuple[int, int]] | None = None) -> dict:
    """Turns alternate user and assistant (system first if it begins with "system:"); `{red}` stands for a picture."""
    messages, images = [], []
    system = [turn for turn in turns if turn.startswith("system:")]
    roles = ["system"] * len(system) + ["user", "assistant"] * len(turns)
    for role, turn in zip(roles, turns, strict=False):
        parts = []
        for number, piece in enumerate(turn.removeprefix("system:").replace("}", "{").split("{")):
            if number % 2:
                parts.append(Part("image"))
                images.append(EncodedImage(png(picture(piece, (sizes or {}).get(piece, (16, 16)))), f"{piece}.png"))
            elif piece:
                parts.append(Part("text", piece))
        messages.append(Message(role, tuple(parts)))
    sides = [message.role for message in messages for part in message.content if part.type == "image"]
    row = Row(
        id=row_id,
        task="image_editing",
        quadrant=quadrant_of(messages),
        messages=tuple(messages),
        images=tuple(images),
        image_roles=tuple("output" if side == "assistant" else "input" for side in sides),
        image_captions=("",) * len(images),
    )
    return row.to_dict()


QUADRANT_ROWS = [
    make_row("tt", "Is ice cold?", "Yes, it is."),
    make_row("mt", "{red}What colour?", "Red."),
    make_row("tm", "Draw grass.", "Here:{green}"),
    make_row("mm", "{blue}Make it white.", "First {black} then {white} done."),
]


def sharpen(head: torch.nn.Module) -> None:
    """Makes the logits of a random head differ enough for a wrong position or a wrong target to show in the loss."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(30)


def decode(tokenizer, ids) -> str:
    """Text of ids, control tokens by name."""
    return tokenizer.decode(
        [int(token_id) for token_id in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False
    )


def supervised(batch, row: int = 0) -> list[int]:
    """Ids a row is trained on, checked to be the very ids of its input at the same places."""
    keep = batch["labels"][row] != -100
    assert torch.equal(batch["labels"][row][keep], batch["input_ids"][row][keep])
    return batch["labels"][row][keep].tolist()


def assert_same_alone_and_together(collate, rows) -> None:
    """Each row of a batch, padding taken off, is what it is on its own."""
    together = collate(rows)
    for number, row in enumerate(rows):
        alone = collate([row])
        length = alone["input_ids"].shape[1]
        assert together["attention_mask"][number].tolist() == [1] * length + [0] * (
            together["input_ids"].shape[1] - length
        )
        for name, value in alone.items():
            if value.shape[:2] == (1, length):
                assert torch.equal(together[name][number, :length], value[0]), name
                assert (
                    together[name][number, length:] == (-100 if name == "labels" else 0)
                ).all() or name == "input_ids"


def train(step, parameters, *, num_steps: int, learning_rate: float = 3e-3) -> list[float]:
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    losses = []
    for _ in range(num_steps):
        optimizer.zero_grad()
        loss = step()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
