"""Every family that the documentation names for understanding, on its own model and processor, made tiny."""

from functools import cache

import pytest

from tests.collate_tiny import decode, make_row, supervised
from tests.understanding_families import MAKERS
from toolkit.collate import get_collator
from toolkit.errors import ImageError, UsageError

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")

from toolkit.collate.common import IGNORE_INDEX  # noqa: E402
from toolkit.collate.loss import LossModel  # noqa: E402
from toolkit.collate.understanding_loss import understanding_losses  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*:FutureWarning")

WIDE = {"blue": (32, 16)}
ROWS = [
    make_row("one", "{red}What colour?", "Red."),
    make_row("text", "Is ice cold?", "Yes, it is."),
    make_row("two", "{blue}{white}Which is white?", "The second.", sizes=WIDE),
    make_row("turns", "{green}Grass?", "Yes.", "And {black}?", "No."),
]


@cache
def tiny(family):
    made = MAKERS[family]()
    made.collate = get_collator("understanding", processor=made.processor)
    return made


def batches(family):
    """Mllama's rows of a batch have one number of pictures."""
    return [ROWS] if family != "Mllama" else [ROWS[:1], ROWS[1:2], ROWS[2:]]


@pytest.mark.parametrize("family", MAKERS)
def test_a_row_is_computed_in_its_batch_as_alone(family):
    made = tiny(family)
    for rows in batches(family):
        with torch.no_grad():
            together = made.model.eval()(**made.collate(rows)).logits
            for number, row in enumerate(rows):
                alone = made.model(**made.collate([row])).logits[0]
                assert torch.allclose(together[number, : len(alone)], alone, atol=1e-5), row["id"]


@pytest.mark.parametrize("family", MAKERS)
def test_answers_alone_are_asked_for_and_every_picture_is_seen(family):
    made = tiny(family)
    batch = made.collate(ROWS[3:])
    assert decode(made.processor.tokenizer, supervised(batch)) == "Yes.<|im_end|>No.<|im_end|>"
    seen = made.model.eval()(**batch).loss
    for place in ("green", "black"):
        row = make_row(
            "turns", *[turn.replace(place, "red") for turn in ("{green}Grass?", "Yes.", "And {black}?", "No.")]
        )
        assert not torch.isclose(made.model(**made.collate([row])).loss, seen, atol=1e-7, rtol=0)


@pytest.mark.parametrize("family", MAKERS)
def test_a_step_with_checkpointing_moves_the_weights_and_lowers_the_loss(family):
    made = MAKERS[family]()
    made.model.train().gradient_checkpointing_enable()
    parts = [tiny(family).collate(rows) for rows in batches(family)]
    optimizer = torch.optim.AdamW(made.model.parameters(), lr=1e-2)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        found = [made.model(**part).loss for part in parts]
        sum(found).backward()
        optimizer.step()
        losses.append(sum(loss.item() for loss in found))
    assert losses[-1] < losses[0]
    towers = [each for name, each in made.model.named_parameters() if "vis" in name and each.grad is not None]
    assert any(each.grad.any() for each in towers)


def test_a_batch_of_mllama_with_unlike_numbers_of_pictures_is_refused():
    with pytest.raises(UsageError, match="have 0, 1, 2 images, and Mllama would let one row look at the padding"):
        tiny("Mllama").collate(ROWS)


@pytest.mark.parametrize("family", MAKERS)
def test_rows_with_unlike_numbers_of_pictures_teach_what_each_does_alone(family):
    made = MAKERS[family]()
    made.model.eval()
    singly = [tiny(family).collate([row]) for row in ROWS]
    tokens = torch.tensor([(batch["labels"] != IGNORE_INDEX).sum() for batch in singly])
    collate = get_collator("understanding", processor=made.processor)
    with torch.no_grad():
        alone = torch.stack([made.model(**batch).loss for batch in singly])
        loss = LossModel(made.model, understanding_losses(collate))(**collate(ROWS))["loss"]
    assert torch.isclose(loss, (alone * tokens).sum() / tokens.sum(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("family", ["Qwen2.5-VL", "Qwen3-VL"])
def test_a_picture_that_the_processor_refuses_is_a_bad_row(family):
    row = make_row("thread", "{red}?", "Yes.", sizes={"red": (500, 2)})
    with pytest.raises(ImageError, match=r"row 'thread': the image processor refuses .*; found 500 x 2 pixels"):
        tiny(family).collate([row])
    skipping = get_collator("understanding", processor=tiny(family).processor, on_bad_row="skip")
    assert len(skipping([row, ROWS[0]])["input_ids"]) == 1
    assert skipping.skipped == {"refused_picture": 1}


def test_a_batch_of_mllama_from_before_its_losses_is_refused():
    made = MAKERS["Mllama"]()
    collate = get_collator("understanding", processor=made.processor)
    batch = collate(ROWS[1:2])
    with pytest.raises(UsageError, match="made before"):
        LossModel(made.model, understanding_losses(collate))(**batch)


def test_a_token_of_mllama_sees_the_last_picture_before_it():
    mask = tiny("Mllama").collate(ROWS[3:])["cross_attention_mask"][0, :, :, 0]  # (L, pictures), first tile
    ids = tiny("Mllama").collate(ROWS[3:])["input_ids"][0]
    first, second = (ids == tiny("Mllama").collate.encoder.image_id).nonzero().flatten().tolist()
    assert mask[:first].sum() == 0
    assert mask[first:second].tolist() == [[1, 0]] * (second - first)
    assert mask[second:].tolist() == [[0, 1]] * (len(ids) - second)
