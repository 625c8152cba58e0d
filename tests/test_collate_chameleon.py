import pytest

from tests.collate_tiny import (
    COLOURS,
    QUADRANT_ROWS,
    assert_same_alone_and_together,
    decode,
    make_row,
    picture,
    sharpen,
    supervised,
    train,
)
from toolkit.collate import get_collator
from toolkit.collate.chameleon import chameleon_tokenizer
from toolkit.collate.loss import LossModel, vocabulary_losses
from toolkit.demo.tiny_models import tiny_chameleon
from toolkit.errors import ImageTokenMismatch

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")


@pytest.fixture(scope="module")
def tiny():
    tiny = tiny_chameleon()
    tiny.vq = chameleon_tokenizer(tiny.model, tiny.processor)
    tiny.collate = get_collator("chameleon", processor=tiny.processor, image_tokens=tiny.vq)
    return tiny


def codes(tiny, colour):
    """The picture's ids straight from the model, as the text the tokenizer gives them."""
    pixels = tiny.processor.image_processor(picture(colour), return_tensors="pt")["pixel_values"]
    return decode(tiny.tokenizer, tiny.model.get_image_tokens(pixels)[0])


def test_the_test_pictures_have_different_ids(tiny):
    assert len({codes(tiny, colour) for colour in COLOURS}) == len(COLOURS)


def test_each_picture_lands_on_its_own_place_and_the_answer_is_supervised_exactly(tiny):
    row = make_row("a", "{blue}Make it {red}.", "First {black} then {white} done.")
    batch = tiny.collate([row])
    answer = (
        "First <racm3:break>"
        + codes(tiny, "black")
        + "<eoss> then <racm3:break>"
        + codes(tiny, "white")
        + "<eoss> done.</s>"
    )
    prompt = (
        "<s><racm3:break>"
        + codes(tiny, "blue")
        + "<eoss>Make it <racm3:break>"
        + codes(tiny, "red")
        + "<eoss>.<reserved08706>"
    )
    assert decode(tiny.tokenizer, batch["input_ids"][0]) == prompt + answer
    assert decode(tiny.tokenizer, supervised(batch)) == answer


def test_no_placeholder_is_left_in_inputs_or_labels(tiny):
    batch = tiny.collate(QUADRANT_ROWS)
    placeholder = tiny.tokenizer.convert_tokens_to_ids("<image>")
    assert not (batch["input_ids"] == placeholder).any()
    assert not (batch["labels"] == placeholder).any()
    assert set(batch) == {"input_ids", "attention_mask", "labels"}


def test_a_prompt_has_the_ids_of_the_processor(tiny):
    row = make_row("a", "{red}{blue}What\u2019s this?", "Red.")
    theirs = tiny.processor(
        text="<image><image>What\u2019s this?", images=[picture("red"), picture("blue")], return_tensors="pt"
    )["input_ids"][0]
    ours = tiny.collate([row])["input_ids"][0][: len(theirs)]
    is_placeholder = theirs == tiny.tokenizer.convert_tokens_to_ids("<image>")
    assert is_placeholder.sum() == 8
    assert torch.equal(ours[~is_placeholder], theirs[~is_placeholder])


def test_several_turns_close_each_answer_with_eos_and_each_prompt_with_the_separator(tiny):
    batch = tiny.collate([make_row("a", "system:Be kind.", "1?", "One", "2?", "Two")])
    assert (
        decode(tiny.tokenizer, batch["input_ids"][0]) == "<s>Be kind.\n1?<reserved08706>One</s>2?<reserved08706>Two</s>"
    )
    assert decode(tiny.tokenizer, supervised(batch)) == "One</s>Two</s>"


@pytest.mark.parametrize("literal", ["<image>", "<racm3:break>", "IMGIMGBZ", "</s>"])
def test_literal_control_tokens_in_text_stay_text(tiny, literal):
    batch = tiny.collate([make_row("a", f"What is {literal}?", f"Text: {literal}")])
    assert decode(tiny.tokenizer, supervised(batch)) == f"Text: {literal}</s>"
    assert tiny.tokenizer.convert_tokens_to_ids(literal) not in batch["input_ids"][0][:-1].tolist()


def test_quadrants_mix_and_rows_do_not_change_with_their_batch(tiny):
    assert_same_alone_and_together(tiny.collate, QUADRANT_ROWS)


def test_a_picture_with_another_number_of_ids_is_named(tiny):
    class Short:
        revision = "short"

        def encode(self, images):
            return [torch.zeros(3, dtype=torch.int64) for _ in images]

    collate = get_collator("chameleon", processor=tiny.processor, image_tokens=Short())
    with pytest.raises(ImageTokenMismatch, match="row 'mt': a picture has 3 ids; expected 4"):
        collate(QUADRANT_ROWS)


def test_the_budget_counts_picture_ids_and_never_cuts_one(tiny):
    row = make_row("tm", "Draw grass.", "Here:{green}")
    length = tiny.collate([row])["input_ids"].shape[1]
    for max_length, skipped in ((length, {}), (length - 1, {"too_long": 1})):
        collate = get_collator(
            "chameleon", processor=tiny.processor, image_tokens=tiny.vq, max_length=max_length, on_bad_row="skip"
        )
        assert collate([row, make_row("tt", "a", "b")])["input_ids"].shape[0] == 2 - len(skipped)
        assert collate.skipped == skipped


def test_the_stock_loss_is_infinite_on_answer_pictures_and_gives_their_rows_no_gradient(tiny):
    batch = tiny.collate(QUADRANT_ROWS)
    loss = tiny.model(**batch).loss
    assert loss.isinf() or loss > 1e30


def test_vocabulary_losses_reaches_text_and_picture_rows_of_the_head_and_not_the_vq(tiny):
    tiny.model.zero_grad()
    loss = vocabulary_losses(tiny.model, tiny.collate(QUADRANT_ROWS)).mean
    loss.backward()
    assert abs(loss.item() - torch.tensor(float(len(tiny.tokenizer))).log().item()) < 0.5  # random model: ln V
    image_rows = tiny.model.lm_head.weight.grad[tiny.model.model.vocabulary_mapping.image_tokens]
    assert (image_rows.abs().sum(1) > 0).all()
    assert tiny.model.lm_head.weight.grad[tiny.tokenizer.eos_token_id].abs().sum() > 0
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in tiny.model.model.vqmodel.parameters()
    )


def test_vocabulary_losses_is_the_mean_over_supervised_tokens():
    tiny = tiny_chameleon()
    collate = get_collator(
        "chameleon", processor=tiny.processor, image_tokens=chameleon_tokenizer(tiny.model, tiny.processor)
    )
    batch = collate(QUADRANT_ROWS)
    sharpen(tiny.model.lm_head)
    with torch.no_grad():
        hidden = tiny.model.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).last_hidden_state
        log_probs = tiny.model.lm_head(hidden).log_softmax(-1)
        expected, count = 0.0, 0
        for row, labels in enumerate(batch["labels"].tolist()):
            for at, label in enumerate(labels[1:]):
                if label != -100:
                    expected, count = expected - log_probs[row, at, label].item(), count + 1
        assert vocabulary_losses(tiny.model, batch).mean.item() == pytest.approx(expected / count, rel=1e-4)


def test_padding_does_not_change_the_loss(tiny):
    alone = [vocabulary_losses(tiny.model, tiny.collate([row])).mean.item() for row in QUADRANT_ROWS]
    counts = [len(supervised(tiny.collate([row]))) for row in QUADRANT_ROWS]
    together = vocabulary_losses(tiny.model, tiny.collate(QUADRANT_ROWS)).mean.item()
    assert together == pytest.approx(sum(a * n for a, n in zip(alone, counts, strict=True)) / sum(counts), rel=1e-4)


def test_vq_ids_do_not_change_under_train(tiny):
    before = tiny.collate(QUADRANT_ROWS)["input_ids"]
    tiny.model.train()
    assert torch.equal(tiny.collate(QUADRANT_ROWS)["input_ids"], before)
    tiny.model.eval()


def test_a_few_steps_learn_output_text_and_output_pictures():
    tiny = tiny_chameleon()
    collate = get_collator(
        "chameleon", processor=tiny.processor, image_tokens=chameleon_tokenizer(tiny.model, tiny.processor)
    )
    batch = collate(QUADRANT_ROWS)
    wrapped = LossModel(tiny.model, vocabulary_losses).train()
    before = _split_loss(tiny, batch)
    losses = train(lambda: wrapped(**batch)["loss"], tiny.model.parameters(), num_steps=25)
    after = _split_loss(tiny, batch)
    assert losses[-1] < losses[0] - 1
    assert after["text"] < before["text"] - 1
    assert after["picture"] < before["picture"] - 1


def _split_loss(tiny, batch):
    is_picture = torch.isin(batch["labels"], torch.tensor(tiny.model.model.vocabulary_mapping.image_tokens))
    with torch.no_grad():
        return {
            name: vocabulary_losses(
                tiny.model, {**batch, "labels": batch["labels"].masked_fill(hidden, -100)}
            ).mean.item()
            for name, hidden in (("picture", ~is_picture), ("text", is_picture))
        }
