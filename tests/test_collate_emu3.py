import pytest
from PIL import Image

from tests.collate_tiny import (
    COLOURS,
    QUADRANT_ROWS,
    assert_same_alone_and_together,
    decode,
    make_row,
    picture,
    supervised,
    train,
)
from toolkit.collate import get_collator
from toolkit.collate.common import Sample
from toolkit.collate.emu3 import emu3_tokenizer
from toolkit.demo.tiny_models import tiny_emu3
from toolkit.errors import ImageTokenMismatch

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")

EOL, EOF, EOI, EOS = "<|extra_200|>", "<|extra_201|>", "<|image end|>", "<|extra_204|>"
WIDE = {"red": (32, 16), "green": (16, 24)}  # pixels, width first; 8 pixels an id


@pytest.fixture(scope="module")
def tiny():
    tiny = tiny_emu3()
    tiny.vq = emu3_tokenizer(tiny.model, tiny.processor)
    tiny.collate = get_collator("emu3", processor=tiny.processor, image_tokens=tiny.vq)
    return tiny


def codes(tiny, colour, size=(16, 16)):
    """The picture as the model tokenizes it on its own, as text."""
    tiny.model.model.vqmodel.eval()
    inputs = tiny.processor.image_processor(picture(colour, size), return_tensors="pt")
    return decode(tiny.tokenizer, tiny.model.model.get_image_tokens(inputs["pixel_values"], inputs["image_sizes"]))


def framed(tiny, colour, size=(16, 16)):
    return f"<|image start|>{size[1] // 8}*{size[0] // 8}<|image token|>{codes(tiny, colour, size)}{EOF}{EOI}"


def test_the_test_pictures_have_different_ids(tiny):
    assert len({codes(tiny, colour) for colour in COLOURS}) == len(COLOURS)


def test_each_picture_lands_on_its_own_place_and_size_text_and_line_ends_are_supervised(tiny):
    row = make_row("a", "{blue}Widen it.", "First {red} then {green} done.", sizes=WIDE)
    batch = tiny.collate([row])
    # the template puts a blank behind each text, and the row's texts end with one already
    answer = f" First  {framed(tiny, 'red', (32, 16))} then  {framed(tiny, 'green', (16, 24))} done. {EOS}"
    assert (
        decode(tiny.tokenizer, batch["input_ids"][0])
        == f"<|extra_203|>USER: {framed(tiny, 'blue')}Widen it. ASSISTANT:{answer}"
    )
    assert decode(tiny.tokenizer, supervised(batch)) == answer
    assert "<|image start|>2*4<|image token|>" in answer
    assert "<|image start|>3*2<|image token|>" in answer
    assert answer.count(EOL) == 2 + 3


def test_a_picture_that_opens_an_answer_follows_the_colon_as_in_generation(tiny):
    whole = decode(tiny.tokenizer, tiny.collate([make_row("a", "Draw", "{red}")])["input_ids"][0])
    theirs = tiny.processor(text="USER: Draw ASSISTANT:", return_for_image_generation=True, image_area=16 * 16)[
        "input_ids"
    ][0]
    assert whole.startswith(decode(tiny.tokenizer, theirs))
    assert whole.endswith(EOF + EOI + EOS)


def test_ids_are_those_of_the_processor_with_the_published_template(tiny):
    row = make_row("a", "system:Be kind.", "{red}What {blue} is\u00df?", "Red, blue.", "Sure?", "Yes")
    conversation = [
        {
            "role": m["role"],
            "content": [{"type": p["type"]} | ({"text": p["text"]} if p["text"] else {}) for p in m["content"]],
        }
        for m in row["messages"]
    ]
    rendered = tiny.processor.apply_chat_template(conversation, tokenize=False)
    theirs = torch.tensor(tiny.processor(text=[rendered], images=[[picture("red"), picture("blue")]])["input_ids"][0])
    ours = tiny.collate([row])["input_ids"][0]
    is_placeholder = theirs == tiny.tokenizer.convert_tokens_to_ids("<image>")
    assert is_placeholder.sum() == 12
    assert torch.equal(ours[:-1][~is_placeholder], theirs[~is_placeholder])
    assert ours[-1] == tiny.tokenizer.eos_token_id


def test_a_text_only_batch_collates(tiny):
    assert decode(tiny.tokenizer, supervised(tiny.collate(QUADRANT_ROWS[:1]))) == f" Yes, it is. {EOS}"


@pytest.mark.parametrize("literal", ["<image>", "<|image start|>", "<|visual token 000003|>", "<|extra_200|>"])
def test_literal_control_tokens_in_text_stay_text(tiny, literal):
    batch = tiny.collate([make_row("a", f"What is {literal}?", f"Text: {literal}")])
    assert decode(tiny.tokenizer, supervised(batch)) == f" Text: {literal} {EOS}"
    assert tiny.tokenizer.convert_tokens_to_ids(literal) not in batch["input_ids"][0].tolist()


def test_quadrants_mix_and_rows_do_not_change_with_their_batch(tiny):
    rows = [*QUADRANT_ROWS, make_row("wide", "{red}{blue}?", "{green}{white}", sizes=WIDE)]
    assert_same_alone_and_together(tiny.collate, rows)


def test_pictures_of_other_sizes_in_a_batch_would_change_ids(tiny):
    # the trap: the image processor pads to the largest picture, and the padding is seen by the encoder
    inputs = tiny.processor.image_processor([picture("red"), picture("green", (32, 24))], return_tensors="pt")
    padded = decode(tiny.tokenizer, tiny.model.model.get_image_tokens(inputs["pixel_values"], inputs["image_sizes"]))
    assert not padded.startswith(codes(tiny, "red"))
    encoded = [decode(tiny.tokenizer, ids) for ids in tiny.vq.encode([picture("red"), picture("green", (32, 24))])]
    assert encoded == [codes(tiny, "red"), codes(tiny, "green", (32, 24))]


@pytest.mark.parametrize("ids", [[], [270] * 4, "row of 2, row of 1"])
def test_ids_that_are_no_grid_are_named(tiny, ids):
    eol = tiny.tokenizer.convert_tokens_to_ids(EOL)
    ids = [270, 270, eol, 270, eol] if isinstance(ids, str) else ids

    class Wrong:
        revision = "wrong"

        def encode(self, images):
            return [torch.tensor(ids, dtype=torch.int64) for _ in images]

    with pytest.raises(ImageTokenMismatch, match=f"row 'mt': a picture has {len(ids)} ids and .* ends of line"):
        get_collator("emu3", processor=tiny.processor, image_tokens=Wrong())(QUADRANT_ROWS)


def test_the_budget_drops_rows_whole(tiny):
    collate = get_collator("emu3", processor=tiny.processor, image_tokens=tiny.vq, max_length=60, on_bad_row="skip")
    batch = collate(QUADRANT_ROWS)
    assert collate.skipped == {"too_long": 1}  # the row with three pictures
    assert batch["input_ids"].shape[0] == 3
    assert (batch["input_ids"] == tiny.tokenizer.convert_tokens_to_ids("<|image start|>")).sum() == 2
    assert (batch["input_ids"] == tiny.tokenizer.convert_tokens_to_ids(EOI)).sum() == 2


def test_train_mode_changes_stock_ids_and_statistics_but_not_ours():
    tiny = tiny_emu3()
    vq = emu3_tokenizer(tiny.model, tiny.processor)
    collate = get_collator("emu3", processor=tiny.processor, image_tokens=vq)
    before, revision = collate(QUADRANT_ROWS)["input_ids"], vq.revision
    for _ in range(3):
        tiny.model.train()  # transformers' Trainer does this on every step
        assert torch.equal(collate(QUADRANT_ROWS)["input_ids"], before)
    assert (
        emu3_tokenizer(tiny.model, tiny.processor).revision == revision
    )  # weights and running statistics are untouched
    # the trap itself, on the stock path
    pictures = [picture(colour, (32, 24)) for colour in COLOURS] + [
        Image.radial_gradient("L").resize((32, 24)).convert("RGB")
    ]
    tiny.model.train()
    inputs = tiny.processor.image_processor(pictures, return_tensors="pt")
    stock = tiny.model.model.get_image_tokens(inputs["pixel_values"], inputs["image_sizes"])
    assert not torch.equal(stock.long(), torch.cat(vq.encode(pictures)))
    assert emu3_tokenizer(tiny.model, tiny.processor).revision != revision


def test_the_stock_loss_is_right_and_reaches_picture_rows_and_not_the_vq(tiny):
    tiny.model.zero_grad()
    loss = tiny.model(**tiny.collate(QUADRANT_ROWS)).loss
    loss.backward()
    assert abs(loss.item() - torch.tensor(float(len(tiny.tokenizer))).log().item()) < 0.5
    head = tiny.model.lm_head.weight.grad
    assert (head[tiny.model.vocabulary_mapping.image_tokens].abs().sum(1) > 0).all()
    assert head[tiny.tokenizer.convert_tokens_to_ids(EOL)].abs().sum() > 0
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in tiny.model.model.vqmodel.parameters()
    )


def test_the_loss_is_that_of_placeholders_with_pixel_values(tiny):
    row = make_row("a", "Draw", "{red}")
    batch = tiny.collate([row])
    is_code = torch.isin(
        batch["input_ids"],
        torch.tensor([*tiny.model.vocabulary_mapping.image_tokens, tiny.tokenizer.convert_tokens_to_ids(EOL)]),
    )
    stock = {
        **batch,
        "input_ids": batch["input_ids"].masked_fill(is_code, tiny.tokenizer.convert_tokens_to_ids("<image>")),
    }
    tiny.model.eval()
    pixels = tiny.processor.image_processor(picture("red"), return_tensors="pt")
    with torch.no_grad():
        assert tiny.model(**stock, **pixels).loss.item() == pytest.approx(tiny.model(**batch).loss.item(), rel=1e-5)


def test_the_answer_picture_decodes_from_the_batch(tiny):
    # decode_image_tokens wants the ids and the three tokens behind them: eof, eoi, eos
    ids = tiny.collate([make_row("a", "Draw", "{red}", sizes=WIDE)])["input_ids"][0]
    start = ids.tolist().index(tiny.tokenizer.convert_tokens_to_ids("<|image token|>")) + 1
    assert tiny.model.decode_image_tokens(image_tokens=ids[None, start:], height=2, width=4).shape == (1, 3, 16, 32)


def test_a_few_steps_learn_output_text_and_output_pictures():
    tiny = tiny_emu3()
    collate = get_collator("emu3", processor=tiny.processor, image_tokens=emu3_tokenizer(tiny.model, tiny.processor))
    batch = collate(QUADRANT_ROWS)
    tiny.model.train()
    before = _split_loss(tiny, batch)
    losses = train(
        lambda: tiny.model(**batch).loss, [p for p in tiny.model.parameters() if p.requires_grad], num_steps=25
    )
    after = _split_loss(tiny, batch)
    assert losses[-1] < losses[0] - 1
    assert after["text"] < before["text"] - 1
    assert after["picture"] < before["picture"] - 1


def _split_loss(tiny, batch):
    is_picture = torch.isin(batch["labels"], torch.tensor(tiny.model.vocabulary_mapping.image_tokens))
    with torch.no_grad():
        return {
            name: tiny.model(**{**batch, "labels": batch["labels"].masked_fill(hidden, -100)}).loss.item()
            for name, hidden in (("picture", ~is_picture), ("text", is_picture))
        }


def test_samples_are_plain_values(tiny):
    sample = tiny.collate.encode(QUADRANT_ROWS[3])
    assert isinstance(sample, Sample)
    assert sample.num_tokens == tiny.collate([QUADRANT_ROWS[3]])["input_ids"].shape[1]
    assert sample.tensors == {}
