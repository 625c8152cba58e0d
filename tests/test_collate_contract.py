"""What holds for the collator of every family."""

from functools import cache

import pytest

from tests.collate_tiny import QUADRANT_ROWS, assert_same_alone_and_together, decode, make_row, supervised
from toolkit.collate import COLLATORS, TOKENIZERS, get_collator
from toolkit.demo import tiny_models
from toolkit.errors import ImageTokenMismatch, RowError

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")


@cache
def needs(family):
    """What a collator cannot do without: the processor of a tiny model, and its picture ids where the family draws."""
    tiny = getattr(tiny_models, "tiny_llava" if family == "understanding" else f"tiny_{family}")()
    drawing = {"image_tokens": TOKENIZERS.load(family)(tiny.model, tiny.processor)} if family in TOKENIZERS else {}
    return {"processor": tiny.processor, **drawing}


@cache
def collator(family):
    return get_collator(family, **needs(family))


TALK = make_row("talk", "QQ: 12?", "abc, de.", "RR: 34?", "fgh")  # questions and answers share no letter or digit


@pytest.mark.parametrize("family", COLLATORS)
def test_labels_are_the_answers_of_every_turn_and_nothing_else(family):
    tokenizer = collator(family).encoder.tokenizer
    found = tokenizer.decode(supervised(collator(family)([TALK])), skip_special_tokens=True)
    assert "".join(found.split()) == "abc,de.fgh"


@pytest.mark.parametrize("family", COLLATORS)
@pytest.mark.parametrize(
    ("messages", "found"), [([], "has no messages"), (TALK["messages"][1:], "begins with an answer")]
)
def test_a_row_without_a_prompt_is_a_bad_row(family, messages, found):
    with pytest.raises(RowError, match=f"row 'odd' {found}; expected a turn of the user first") as caught:
        collator(family)([{**TALK, "id": "odd", "messages": messages}])
    assert caught.value.kind == "no_prompt"


@pytest.mark.parametrize("family", COLLATORS)
def test_a_picture_of_one_pixel_is_one(family):
    seen = collator(family)([make_row("dot", "{red}?", "Yes.{red}", sizes={"red": (1, 1)})])
    assert seen["input_ids"].shape[1] > collator(family)([make_row("none", "?", "Yes.")])["input_ids"].shape[1]


@pytest.mark.parametrize("family", COLLATORS)
def test_rows_of_a_batch_do_not_see_one_another(family):
    assert_same_alone_and_together(collator(family), [*QUADRANT_ROWS, TALK])


@pytest.mark.parametrize("family", TOKENIZERS)
def test_pictures_of_an_answer_are_targets_and_those_of_a_prompt_are_not(family):
    asked, answered = make_row("a", "{red}Draw.", "Done."), make_row("b", "Draw.", "Done.{red}")
    without = _targets(collator(family)([make_row("c", "Draw.", "Done.")]))
    assert _targets(collator(family)([asked])) == without
    assert _targets(collator(family)([answered])) > without


def _targets(batch):
    drawn = (
        batch["gen_image_mask"].sum() if "gen_image_mask" in batch else 0
    )  # Janus: pictures have labels of their own
    return int((batch["labels"] != -100).sum() + drawn)


@pytest.mark.parametrize("family", COLLATORS)
def test_bad_and_long_rows_are_named_or_counted_and_never_cut(family):
    bad = {**QUADRANT_ROWS[1], "id": "bad", "images": []}
    with pytest.raises(ImageTokenMismatch, match="row 'bad'"):
        collator(family)([bad])
    with pytest.raises(RowError, match=r"row 'talk': \d+ tokens, more than max_length=5"):
        get_collator(family, **needs(family), max_length=5)([TALK])
    skipping = get_collator(family, **needs(family), max_length=200, on_bad_row="skip")
    long = make_row("long", "Q" * 300, "a")
    assert torch.equal(skipping([bad, long, TALK])["input_ids"], collator(family)([TALK])["input_ids"])
    assert skipping.skipped == {"image_token_mismatch": 1, "too_long": 1}


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
