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
from toolkit.collate.janus import janus_tokenizer
from toolkit.collate.loss import LossModel, janus_losses
from toolkit.demo.tiny_models import tiny_janus
from toolkit.errors import ImageTokenMismatch

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")

PLACE = "<image_placeholder>" * 4
FRAMED = f"<begin_of_image>{PLACE}<end_of_image>"


@pytest.fixture(scope="module")
def tiny():
    tiny = tiny_janus()
    tiny.vq = janus_tokenizer(tiny.model, tiny.processor)
    tiny.collate = get_collator("janus", processor=tiny.processor, image_tokens=tiny.vq)
    return tiny


def codes(tiny, colour):
    pixels = tiny.processor.image_processor(picture(colour), return_tensors="pt")["pixel_values"]
    return tiny.model.model.vqmodel.encode(pixels, return_dict=True).image_tokens.flatten().tolist()


def pixels(tiny, *colours):
    return torch.cat(
        [tiny.processor.image_processor(picture(colour), return_tensors="pt")["pixel_values"] for colour in colours]
    )


def test_the_test_pictures_have_different_ids(tiny):
    assert len({tuple(codes(tiny, colour)) for colour in COLOURS}) == len(COLOURS)


def test_prompt_pictures_are_pixels_and_answer_pictures_are_codes_each_in_its_place(tiny):
    row = make_row("a", "{blue}Make it {red}", "First {black}then {white}done.")
    batch = tiny.collate([row])
    answer = f" First \n{FRAMED}\nthen \n{FRAMED}\ndone.</s>"
    whole = f"<s><|User|>: {FRAMED}\nMake it \n{FRAMED}\n\n<|Assistant|>:{answer}"
    assert decode(tiny.tokenizer, batch["input_ids"][0]) == whole
    assert decode(tiny.tokenizer, supervised(batch)) == answer
    assert torch.equal(batch["pixel_values"], pixels(tiny, "blue", "red"))
    assert batch["gen_image_ids"].tolist() == [codes(tiny, "black"), codes(tiny, "white")]
    places = batch["gen_image_mask"][0].nonzero().flatten().tolist()
    placeholders = (
        (batch["input_ids"][0] == tiny.tokenizer.convert_tokens_to_ids("<image_placeholder>"))
        .nonzero()
        .flatten()
        .tolist()
    )
    assert places == placeholders[8:]
    assert torch.equal(batch["labels"][0][places], batch["input_ids"][0][places])


def test_rows_of_a_batch_keep_their_pictures_apart(tiny):
    rows = [make_row("a", "{blue}?", "{black}"), make_row("b", "x", "y"), make_row("c", "{red}?", "{green}{white}")]
    batch = tiny.collate(rows)
    assert torch.equal(batch["pixel_values"], pixels(tiny, "blue", "red"))
    assert batch["gen_image_ids"].tolist() == [codes(tiny, colour) for colour in ("black", "green", "white")]
    assert batch["gen_image_mask"].sum(1).tolist() == [4, 0, 8]


def test_a_text_only_batch_has_no_pixels_and_empty_codes(tiny):
    batch = tiny.collate(QUADRANT_ROWS[:1])
    assert "pixel_values" not in batch
    assert batch["gen_image_ids"].shape == (0, 4)
    assert not batch["gen_image_mask"].any()
    assert janus_losses(tiny.model, batch).mean.isfinite()


# Source: huggingface/transformers, tests/models/janus/test_processing_janus.py (what the published template renders)
@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (
            ["What is shown in this image?{red}", "A cat."],
            "<s><|User|>: What is shown in this image?\n#\n\n<|Assistant|>: A cat.</s>",
        ),
        (
            ["Compare this image{red}with this image{blue}", "No."],
            "<s><|User|>: Compare this image\n#\nwith this image\n#\n\n<|Assistant|>: No.</s>",
        ),
        (
            ["Hi", "Pie.", "{red}Third?", "Yes"],
            "<s><|User|>: Hi\n\n<|Assistant|>: Pie.</s><|User|>: #\nThird?\n\n<|Assistant|>: Yes</s>",
        ),
    ],
)
def test_the_template_renders_what_the_published_one_does(tiny, turns, expected):
    batch = tiny.collate([make_row("a", *turns)])
    assert decode(tiny.tokenizer, batch["input_ids"][0]).replace(FRAMED, "#") == expected


def test_a_prompt_has_the_ids_of_the_processor(tiny):
    theirs = tiny.processor(
        text="<|User|>: <image_placeholder>\nWhat?\n\n<|Assistant|>:", images=picture("red"), return_tensors="pt"
    )
    ours = tiny.collate([make_row("a", "{red}What?", "Red")])
    assert torch.equal(ours["input_ids"][0, : theirs["input_ids"].shape[1]], theirs["input_ids"][0])
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])


def test_a_picture_that_opens_an_answer_follows_the_prompt_of_image_mode(tiny):
    theirs = tiny.processor(text="<|User|>: Draw\n\n<|Assistant|>:", generation_mode="image", return_tensors="pt")[
        "input_ids"
    ][0]
    ours = tiny.collate([make_row("a", "Draw", "{red}")])["input_ids"][0]
    assert torch.equal(ours[: len(theirs)], theirs)


def test_the_default_system_prompt_is_the_processors_and_only_where_text_is_written(tiny):
    import transformers

    processor = transformers.JanusProcessor(
        tiny.processor.image_processor, tiny.tokenizer, num_image_tokens=4, use_default_system_prompt=True
    )
    collate = get_collator("janus", processor=processor, image_tokens=tiny.vq)
    theirs = processor(text="<|User|>: Hi\n\n<|Assistant|>:", return_tensors="pt")["input_ids"][0]
    assert torch.equal(collate([make_row("a", "Hi", "Yes")])["input_ids"][0][: len(theirs)], theirs)
    assert decode(tiny.tokenizer, collate([make_row("a", "Hi", "{red}")])["input_ids"][0]).startswith("<s><|User|>: Hi")
    assert decode(tiny.tokenizer, collate([make_row("a", "system:Own.", "Hi", "Yes")])["input_ids"][0]).startswith(
        "<s>Own.\n\n<|User|>: Hi"
    )


@pytest.mark.parametrize("literal", ["<image_placeholder>", "<begin_of_image>", "<|Assistant|>"])
def test_literal_control_tokens_in_text_stay_text(tiny, literal):
    batch = tiny.collate([make_row("a", f"{{red}}What is {literal}?", f"Text: {literal}")])
    assert decode(tiny.tokenizer, supervised(batch)) == f" Text: {literal}</s>"
    assert (batch["input_ids"] == tiny.tokenizer.convert_tokens_to_ids("<image_placeholder>")).sum() == 4


def test_quadrants_mix_and_rows_do_not_change_with_their_batch(tiny):
    assert_same_alone_and_together(tiny.collate, QUADRANT_ROWS)


def test_a_picture_with_another_number_of_ids_is_named(tiny):
    class Short:
        revision = "short"

        def encode(self, images):
            return [torch.zeros(3, dtype=torch.int64) for _ in images]

    with pytest.raises(ImageTokenMismatch, match="row 'tm': a picture has 3 ids; expected 4"):
        get_collator("janus", processor=tiny.processor, image_tokens=Short())(QUADRANT_ROWS)


def test_the_budget_drops_rows_whole_with_their_pictures(tiny):
    collate = get_collator("janus", processor=tiny.processor, image_tokens=tiny.vq, max_length=50, on_bad_row="skip")
    batch = collate(QUADRANT_ROWS)
    assert collate.skipped == {"too_long": 1}
    assert batch["gen_image_ids"].tolist() == [codes(tiny, "green")]
    assert torch.equal(batch["pixel_values"], pixels(tiny, "red"))


def test_answer_pictures_are_cropped_to_a_square_and_not_given_bars(tiny):
    wide = picture("red", (48, 16))
    square = wide.crop((16, 0, 32, 16))
    assert torch.equal(tiny.vq.encode([wide])[0], tiny.vq.encode([square])[0])


def test_the_stock_loss_leaves_the_generation_head_without_gradient(tiny):
    tiny.model.zero_grad()
    batch = tiny.collate(QUADRANT_ROWS[2:3])
    tiny.model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=batch["labels"]
    ).loss.backward()
    assert all(parameter.grad is None for parameter in tiny.model.model.generation_head.parameters())


def test_the_stock_forward_refuses_a_batch_with_prompt_and_answer_pictures(tiny):
    batch = tiny.collate(QUADRANT_ROWS[3:])
    with pytest.raises(ValueError, match="Image features and image tokens do not match"):
        tiny.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], pixel_values=batch["pixel_values"]
        )


def test_janus_losses_reaches_both_heads_both_embeddings_and_the_vision_tower_and_not_the_vq(tiny):
    tiny.model.zero_grad()
    janus_losses(tiny.model, tiny.collate(QUADRANT_ROWS)).mean.backward()
    inner = tiny.model.model
    for module in (
        tiny.model.lm_head,
        inner.generation_head,
        inner.generation_embeddings,
        inner.generation_aligner,
        inner.vision_model,
        inner.aligner,
    ):
        assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in inner.vqmodel.parameters())


@pytest.mark.parametrize(("rows", "head_gets_gradient"), [(QUADRANT_ROWS[:2], False), (QUADRANT_ROWS[2:3], True)])
def test_janus_losses_reaches_the_generation_head_only_where_pictures_are_answered(tiny, rows, head_gets_gradient):
    tiny.model.zero_grad()
    janus_losses(tiny.model, tiny.collate(rows)).mean.backward()
    total = sum(
        parameter.grad.abs().sum().item()
        for parameter in tiny.model.model.generation_head.parameters()
        if parameter.grad is not None
    )
    assert (total > 0) is head_gets_gradient


def test_janus_losses_is_the_mean_over_supervised_tokens_of_both_kinds():
    tiny = tiny_janus()
    collate = get_collator("janus", processor=tiny.processor, image_tokens=janus_tokenizer(tiny.model, tiny.processor))
    batch = collate([make_row("a", "Draw", "Ok {red}")])
    sharpen(tiny.model.lm_head)
    sharpen(tiny.model.model.generation_head)
    tiny.model.eval()
    with torch.no_grad():
        embeds = tiny.model.get_input_embeddings()(batch["input_ids"])
        places = batch["gen_image_mask"][0].nonzero().flatten().tolist()
        drawn = tiny.model.prepare_embeddings_for_image_generation(torch.tensor(codes(tiny, "red")))
        for number, place in enumerate(places):
            embeds[0, place] = drawn[number]
        hidden = tiny.model.model.language_model(
            inputs_embeds=embeds, attention_mask=batch["attention_mask"]
        ).last_hidden_state[0]
        text, image = (
            tiny.model.lm_head(hidden).log_softmax(-1),
            tiny.model.model.generation_head(hidden).log_softmax(-1),
        )
        labels = [(at, label) for at, label in enumerate(batch["labels"][0].tolist()) if label != -100]
        losses = [-text[at - 1, label] for at, label in labels if at not in places]
        losses += [-image[place - 1, code] for place, code in zip(places, codes(tiny, "red"), strict=True)]
        assert janus_losses(tiny.model, batch).mean.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-4)


def test_vq_ids_do_not_change_under_train(tiny):
    before = tiny.collate(QUADRANT_ROWS)["gen_image_ids"]
    tiny.model.train()
    assert torch.equal(tiny.collate(QUADRANT_ROWS)["gen_image_ids"], before)
    tiny.model.eval()


def test_a_few_steps_learn_output_text_and_output_pictures():
    tiny = tiny_janus()
    collate = get_collator("janus", processor=tiny.processor, image_tokens=janus_tokenizer(tiny.model, tiny.processor))
    batch = collate(QUADRANT_ROWS)
    wrapped = LossModel(tiny.model, janus_losses).train()
    before = _split_loss(tiny, batch)
    losses = train(
        lambda: wrapped(**batch)["loss"], [p for p in tiny.model.parameters() if p.requires_grad], num_steps=25
    )
    after = _split_loss(tiny, batch)
    assert losses[-1] < losses[0] - 1
    assert after["text"] < before["text"] - 1
    assert after["picture"] < before["picture"] - 0.5


def _split_loss(tiny, batch):
    with torch.no_grad():
        losses = janus_losses(tiny.model, batch)
    return {"picture": losses.image.mean().item(), "text": losses.text.mean().item()}
