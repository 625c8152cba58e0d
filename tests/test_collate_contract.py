"""What holds for the collator of every family."""

from functools import cache

import pytest

from tests.collate_tiny import QUADRANT_ROWS, decode, make_row, supervised
from toolkit.collate import COLLATORS, TOKENIZERS, get_collator
from toolkit.demo import tiny_models

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")


@cache
def collator(family):
    tiny = getattr(tiny_models, "tiny_llava" if family == "understanding" else f"tiny_{family}")()
    drawing = {"image_tokens": TOKENIZERS.load(family)(tiny.model, tiny.processor)} if family in TOKENIZERS else {}
    return get_collator(family, processor=tiny.processor, **drawing)


def text(*pieces):
    return [{"type": "text", "text": piece} for piece in pieces]


@pytest.mark.parametrize("family", COLLATORS)
def test_neighbouring_texts_are_joined_by_a_line_break(family):
    row = make_row("a", "{red}-", "-{green}-")
    (_, image_in), (_, image_out) = ([None, {"type": "image", "text": ""}] for _ in range(2))
    row["messages"][0]["content"] = [image_in, *text("How many?", "", "Count.")]
    row["messages"][1]["content"] = [
        *text("I count four triangles.", "The answer is 4."),
        image_out,
        *text("This.", "Done"),
    ]
    batch = collator(family)([row])
    tokenizer = collator(family).encoder.tokenizer
    assert "How many?\nCount." in decode(tokenizer, batch["input_ids"][0])
    answer = decode(tokenizer, supervised(batch))
    assert "I count four triangles.\nThe answer is 4." in answer
    assert "This.\nDone" in answer


@pytest.mark.parametrize("family", COLLATORS)
@pytest.mark.parametrize("row", [*QUADRANT_ROWS, make_row("turns", "1? {red}", "One", "{blue}2?", "Two {green}")])
def test_a_prompt_is_what_stands_before_the_last_answer(family, row):
    collate = collator(family)
    whole, prompt = (collate.encode(row), collate.encode_prompt(row))
    length = prompt.num_tokens
    assert whole.columns["input_ids"][:length] == prompt.columns["input_ids"]
    assert whole.columns["labels"][:length] == prompt.columns["labels"]
    rest = [label for label in whole.columns["labels"][length:] if label != -100]
    first = decode(collate.encoder.tokenizer, rest).strip().partition(" ")[0]
    expected = row["messages"][-1]["content"][0]["text"]
    assert first.startswith(expected.strip().partition(" ")[0][:3])
    question = {**row, "messages": row["messages"][:-1], "images": row["images"][: _pictures(row["messages"][:-1])]}
    assert collate.encode_prompt(question).columns == prompt.columns


def _pictures(messages):
    return sum(part["type"] == "image" for message in messages for part in message["content"])
