import pytest

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
from tests.understanding_families import without_video
from toolkit.collate import get_collator
from toolkit.collate.packing import check_packing
from toolkit.demo.tiny_models import make_tokenizer, tiny_llava
from toolkit.errors import ImageTokenMismatch, UsageError
from toolkit.streaming.token_batches import PackedRows

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
transformers = pytest.importorskip(
    "transformers", reason="the collator tests run transformers' own models and processors; pip install transformers"
)

# Any part with an "image" key is a picture, as in Qwen2-VL's template.
QWEN_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' or "
    "'image' in c %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor "
    "%}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DROPPING_TEMPLATE = (
    "{% for m in messages %}{{ m.role }}:{% for c in m.content %}{% if c.type == 'image' %}{% if m.role == 'user' "
    "%}<image>{% endif %}"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}</s>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def llava():
    tiny = tiny_llava()
    tiny.collate = get_collator("understanding", processor=tiny.processor)
    return tiny


@pytest.fixture(scope="module")
def qwen():
    torch.manual_seed(0)
    tokens = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    tokenizer = make_tokenizer(
        tokens, bos=False, named={"image_token": "<|image_pad|>"}, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    ids = dict(zip(tokens, tokenizer.convert_tokens_to_ids(tokens), strict=True))
    image_processor = transformers.Qwen2VLImageProcessor(
        patch_size=4, merge_size=2, temporal_patch_size=2, min_pixels=64, max_pixels=1024
    )
    processor = without_video(
        transformers.Qwen2VLProcessor,
        image_processor,
        tokenizer,
        chat_template=QWEN_TEMPLATE,
        image_token="<|image_pad|>",
        image_token_id=ids["<|image_pad|>"],
        video_token="<|video_pad|>",
        video_token_id=ids["<|video_pad|>"],
    )
    config = transformers.Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 1,
            "embed_dim": 32,
            "hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )
    tiny = type("Tiny", (), {})()
    tiny.model, tiny.processor, tiny.tokenizer = (
        transformers.Qwen2VLForConditionalGeneration(config),
        processor,
        tokenizer,
    )
    tiny.collate = get_collator("understanding", processor=processor)
    return tiny


def pixels(tiny, *colours):
    return torch.cat(
        [tiny.processor.image_processor(picture(colour), return_tensors="pt")["pixel_values"] for colour in colours]
    )


def conversation(row):
    return [
        {
            "role": m["role"],
            "content": [{"type": p["type"]} | ({"text": p["text"]} if p["text"] else {}) for p in m["content"]],
        }
        for m in row["messages"]
    ]


def test_the_answer_text_is_supervised_exactly_and_pictures_never(llava):
    batch = llava.collate(QUADRANT_ROWS)
    answers = [decode(llava.tokenizer, supervised(batch, row)) for row in range(4)]
    assert answers == [" Yes, it is. </s>", " Red. </s>", " Here: \n</s>", " First  \n then  \n done. </s>"]
    placeholder = llava.tokenizer.convert_tokens_to_ids("<image>")
    assert (batch["input_ids"] == placeholder).sum(1).tolist() == [0, 4, 4, 12]
    assert not (batch["labels"] == placeholder).any()


def test_pictures_stand_in_reading_order_over_the_batch(llava):
    batch = llava.collate(QUADRANT_ROWS)
    assert torch.equal(batch["pixel_values"], pixels(llava, "red", "green", "blue", "black", "white"))


def test_ids_and_pixels_are_those_of_the_processor(llava):
    row = make_row("a", "{red}{blue}What\u2019s that?", "Red, blue.", "Sure?", "Yes")
    rendered = llava.processor.apply_chat_template(conversation(row), tokenize=False)
    theirs = llava.processor(text=[rendered], images=[[picture("red"), picture("blue")]], return_tensors="pt")
    ours = llava.collate([row])
    assert torch.equal(ours["input_ids"][0, :-1], theirs["input_ids"][0])
    assert ours["input_ids"][0, -1] == llava.tokenizer.eos_token_id
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])


def test_quadrants_mix_and_rows_do_not_change_with_their_batch(llava):
    assert_same_alone_and_together(llava.collate, QUADRANT_ROWS)


def test_a_text_only_batch_has_no_pixels_and_leaves_the_vision_tower_without_gradient(llava):
    llava.model.zero_grad()
    batch = llava.collate(QUADRANT_ROWS[:1])
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    llava.model(**batch).loss.backward()
    assert all(parameter.grad is None for parameter in llava.model.model.vision_tower.parameters())


@pytest.mark.parametrize("literal", ["<image>", "<image><image>", "</s>"])
def test_literal_control_tokens_in_text_stay_text(llava, literal):
    batch = llava.collate(
        [make_row("a", f"{{red}}What is {literal}?", f"Text: {literal}"), make_row("b", literal, literal)]
    )
    assert decode(llava.tokenizer, supervised(batch)) == f" Text: {literal} </s>"
    assert (batch["input_ids"] == llava.tokenizer.convert_tokens_to_ids("<image>")).sum(1).tolist() == [4, 0]
    assert llava.model(**batch).loss.isfinite()


def test_two_wrong_rows_cannot_cancel(llava):
    rows = [make_row("a", "{red}{blue}Hi", "Yes"), make_row("b", "{green}Hi", "Yes")]
    crossed = [
        {**rows[0], "images": rows[0]["images"][:1]},
        {**rows[1], "images": rows[1]["images"] + rows[0]["images"][1:]},
    ]
    # the trap: the processor counts over the whole batch, finds three of each, and shows b a picture of a
    rendered = [llava.processor.apply_chat_template(conversation(row), tokenize=False) for row in crossed]
    assert llava.processor(
        text=rendered, images=[[picture("red")], [picture("green"), picture("blue")]], padding=True, return_tensors="pt"
    )
    with pytest.raises(ImageTokenMismatch, match="row 'a': 2 image parts and 1 images"):
        llava.collate(crossed)
    collate = get_collator("understanding", processor=llava.processor, on_bad_row="skip")
    assert collate([*crossed, QUADRANT_ROWS[1]])["input_ids"].shape[0] == 1
    assert collate.skipped == {"image_token_mismatch": 2}


def test_a_small_budget_drops_rows_where_the_processor_would_cut_a_picture(llava):
    rendered = llava.processor.apply_chat_template(conversation(QUADRANT_ROWS[1]), tokenize=False)
    with pytest.raises(ValueError, match="Mismatch in `image` token count"):
        llava.processor(text=[rendered], images=[[picture("red")]], truncation=True, max_length=8)
    collate = get_collator("understanding", processor=llava.processor, max_length=50, on_bad_row="skip")
    assert collate(QUADRANT_ROWS)["input_ids"].shape[0] == 3
    assert collate.skipped == {"too_long": 1}


def test_a_template_that_drops_answer_pictures_is_known_beforehand_and_its_rows_are_bad_rows(llava):
    collate = get_collator(
        "understanding", processor=llava.processor, chat_template=DROPPING_TEMPLATE, on_bad_row="skip"
    )
    assert not collate.keeps_answer_images
    assert llava.collate.keeps_answer_images
    assert collate(QUADRANT_ROWS)["input_ids"].shape[0] == 2
    assert collate.skipped == {"image_token_mismatch": 2}


def test_a_processor_without_an_image_token_is_refused(llava):
    with pytest.raises(UsageError, match="Nameless has no image_token"):
        get_collator("understanding", processor=type("Nameless", (), {"tokenizer": llava.tokenizer})())


def test_a_broken_picture_is_a_bad_row(llava):
    row = {**QUADRANT_ROWS[1], "images": [{"bytes": b"<html>", "path": ""}]}
    collate = get_collator("understanding", processor=llava.processor, on_bad_row="skip")
    assert collate([row, QUADRANT_ROWS[0]])["input_ids"].shape[0] == 1
    assert collate.skipped == {"not_an_image": 1}


def test_a_few_steps_learn_the_answers():
    tiny = tiny_llava()
    batch = get_collator("understanding", processor=tiny.processor)(QUADRANT_ROWS)
    losses = train(lambda: tiny.model(**batch).loss, tiny.model.parameters(), num_steps=15)
    assert losses[-1] < losses[0] - 1


def test_qwen_ids_grids_and_token_types_are_those_of_the_processor(qwen):
    row = make_row("a", "{red}Hi {blue}", "Yes", sizes={"red": (32, 16), "blue": (16, 24)})
    rendered = qwen.processor.apply_chat_template(conversation(row), tokenize=False)
    pictures = [picture("red", (32, 16)), picture("blue", (16, 24))]
    theirs = qwen.processor(text=[rendered], images=pictures, return_tensors="pt")
    ours = qwen.collate([row])
    assert set(ours) == {*theirs, "labels"}
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert ours["mm_token_type_ids"].sum() == 8 + 6  # 4 x 8 and 6 x 4 patches, merged 2 x 2


def test_qwen_frames_around_an_answer_picture_are_not_supervised_but_what_closes_the_turn_is(qwen):
    batch = qwen.collate([make_row("a", "Hi", "See {red}."), make_row("b", "Hi", "See {red}")])
    assert decode(qwen.tokenizer, supervised(batch, 0)) == "See .<|im_end|>"
    assert decode(qwen.tokenizer, supervised(batch, 1)) == "See <|im_end|>"


def test_qwen_quadrants_mix_and_the_loss_is_finite(qwen):
    assert_same_alone_and_together(qwen.collate, QUADRANT_ROWS)
    batch = qwen.collate(QUADRANT_ROWS)
    assert batch["mm_token_type_ids"].shape == batch["input_ids"].shape
    assert qwen.model(**batch).loss.isfinite()


def test_qwen_pictures_of_other_sizes_keep_to_their_rows(qwen):
    rows = [
        make_row("a", "{red}?", "Red", sizes={"red": (32, 16)}),
        make_row("b", "x", "y"),
        make_row("c", "{blue}{white}?", "Two"),
    ]
    batch = qwen.collate(rows)
    assert batch["image_grid_thw"].tolist() == [[1, 4, 8], [1, 4, 4], [1, 4, 4]]
    assert (batch["input_ids"] == qwen.tokenizer.convert_tokens_to_ids("<|image_pad|>")).sum(1).tolist() == [8, 0, 8]
    assert torch.equal(batch["pixel_values"][-32:], pixels(qwen, "blue", "white"))


def test_processor_kwargs_reach_the_processor(qwen):
    collate = get_collator(
        "understanding", processor=qwen.processor, processor_kwargs={"size": {"shortest_edge": 64, "longest_edge": 64}}
    )
    assert collate([make_row("a", "{red}?", "Red")])["image_grid_thw"].tolist() == [[1, 2, 2]]


def test_llava_onevision_tiles_single_pictures_and_not_rows_of_several():
    torch.manual_seed(0)
    tokens = ["<|im_start|>", "<|im_end|>", "<image>", "<video>"]
    tokenizer = make_tokenizer(
        tokens, bos=False, named={"image_token": "<image>"}, eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    image_id, video_id = tokenizer.convert_tokens_to_ids(["<image>", "<video>"])
    grid = [[16, 16], [16, 32], [32, 16]]
    image_processor = transformers.LlavaOnevisionImageProcessor(
        size={"height": 16, "width": 16}, image_grid_pinpoints=grid
    )
    template = QWEN_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>\n")
    settings = {
        "image_token": "<image>",
        "image_token_id": image_id,
        "video_token": "<video>",
        "video_token_id": video_id,
    }
    settings |= {"num_image_tokens": 4, "vision_feature_select_strategy": "full", "vision_aspect_ratio": "anyres_max_9"}
    processor = without_video(
        transformers.LlavaOnevisionProcessor, image_processor, tokenizer, chat_template=template, **settings
    )
    config = transformers.LlavaOnevisionConfig(
        text_config=transformers.Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
        ),
        vision_config=transformers.SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
        ),
        image_token_id=image_id,
        video_token_id=video_id,
        image_grid_pinpoints=grid,
        vision_feature_layer=-1,
    )
    model = transformers.LlavaOnevisionForConditionalGeneration(config)
    collate = get_collator("understanding", processor=processor)
    rows = [
        make_row("one", "{red}?", "Red", sizes={"red": (32, 16)}),
        make_row("text", "x", "y"),
        make_row("two", "{blue}{white}?", "Two"),
    ]
    batch = collate(rows)
    theirs = processor(
        text=["<image>", "<image><image>"],
        images=[[picture("red", (32, 16))], [picture("blue"), picture("white")]],
        padding=True,
        return_tensors="pt",
    )
    counts = (batch["input_ids"] == image_id).sum(1).tolist()
    assert [counts[0], counts[2]] == (theirs["input_ids"] == image_id).sum(1).tolist()
    for name in ("pixel_values", "image_sizes", "batch_num_images"):
        assert torch.equal(batch[name], theirs[name]), name
    assert model(**batch).loss.isfinite()


def test_a_model_that_makes_its_own_positions_does_not_pack(qwen):
    with pytest.raises(UsageError, match="does not know whether its model keeps packed rows apart"):
        qwen.collate(PackedRows(QUADRANT_ROWS[:2]))
    with pytest.raises(UsageError, match="Qwen2VLForConditionalGeneration: the logits of a row differ by"):
        check_packing(qwen.model, qwen.collate, [QUADRANT_ROWS[1]] * 3)


def test_the_test_pictures_differ(llava):
    assert len({tuple(pixels(llava, colour).flatten().tolist()) for colour in COLOURS}) == len(COLOURS)
