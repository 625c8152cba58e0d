"""Messages for TRL, collated by TRL's own code. Skipped and named where it is not installed."""

from pathlib import Path

import pytest

from conversion import import_rows
from tests.conversion_rows import EDIT, LITERAL, SPECIAL, TEXT, UNDERSTAND, color_of, convert_rows
from tests.test_conversion_messages import FOREIGN_TAGS, PICTURED, run

# -- TRL

TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}]"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif "
    "%}|{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def tiny_processor():
    """A LLaVA processor of bytes and 8 x 8 pictures with 4 placeholders each; made in memory."""
    pytest.importorskip("torch", reason="pip install torch")
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    pytest.importorskip("trl", reason="pip install trl")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<pad>", "<image>"])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", extra_special_tokens={"image_token": "<image>"}
    )
    images = (
        transformers.CLIPImageProcessorPil
        if hasattr(transformers, "CLIPImageProcessorPil")
        else transformers.CLIPImageProcessor
    )
    pictures = images(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    return transformers.LlavaProcessor(
        pictures,
        fast,
        patch_size=4,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


@pytest.mark.filterwarnings("ignore")  # trl's and transformers' own
def test_trl_collates_every_picture_in_its_place_and_a_tiny_model_trains_on_it(tiny_processor, tmp_path):
    import datasets
    import torch
    import transformers
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    rows = [
        row for row in PICTURED if row not in (LITERAL, FOREIGN_TAGS)
    ]  # with a literal <image> any LLaVA processor counts one too many
    run(tmp_path / "out", *rows, profile="trl")
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "out" / "train-00000.parquet"), split="train")
    batch = DataCollatorForVisionLanguageModeling(tiny_processor)(list(loaded))
    for number, row in enumerate(rows):
        text = tiny_processor.tokenizer.decode(batch["input_ids"][number], skip_special_tokens=False).replace(
            "<pad>", ""
        )
        expected = "".join(
            f"[{m.role}]" + "".join(f"{'<image>' * 4 if part.type == 'image' else part.text}|" for part in m.content)
            for m in row.messages
        )
        assert text == expected
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in (tiny_processor.image_processor.image_mean, tiny_processor.image_processor.image_std)
    )
    seen = [tuple(((pixels * std + mean)[:, 2, 2] * 255).round().int().tolist()) for pixels in batch["pixel_values"]]
    assert [name_of(color) for color in seen] == [color_of(image.bytes) for row in rows for image in row.images]
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(
            vocab_size=len(tiny_processor.tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
        ),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8, patch_size=4
        ),
        image_token_id=tiny_processor.tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    loss = transformers.LlavaForConditionalGeneration(config)(**batch).loss
    loss.backward()
    assert torch.isfinite(loss)


def name_of(rgb):
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 4), rgb).save(file, "png")
    return color_of(file.getvalue())


@pytest.mark.filterwarnings("ignore")  # trl's and transformers' own
def test_trl_trains_all_tokens_or_those_of_answers_and_placeholders_among_them(tiny_processor, tmp_path):
    import datasets
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    run(tmp_path / "out", EDIT, UNDERSTAND, profile="trl")
    loaded = list(
        datasets.load_dataset("parquet", data_files=str(tmp_path / "out" / "train-00000.parquet"), split="train")
    )
    template = TEMPLATE.replace(
        "{% for part in message['content'] %}",
        "{% if message['role'] == 'assistant' %}{% generation %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}|{% endfor %}{% endgeneration %}"
        "{% else %}{% for part in message['content'] %}",
    ).replace("|{% endfor %}{% endfor %}", "|{% endfor %}{% endif %}{% endfor %}")
    image = tiny_processor.tokenizer.convert_tokens_to_ids("<image>")
    for answers_alone in (False, True):
        options = {"assistant_only_loss": True, "chat_template": template} if answers_alone else {}
        batch = DataCollatorForVisionLanguageModeling(tiny_processor, **options)(loaded)
        trained = [
            tiny_processor.tokenizer.decode(labels[labels != -100]).replace("<image>" * 4, "*")
            for labels in batch["labels"]
        ]
        answers = ["First the sky.|*|Then the stars.|*|", "A red square.|"]
        asked = ["[user]*|Make it night.|[assistant]", "[user]*|What is this?|[assistant]"]
        assert trained == (answers if answers_alone else [a + b for a, b in zip(asked, answers, strict=True)])
        shown = batch["labels"][0] == image
        assert shown.sum() == (8 if answers_alone else 12)  # of three pictures, two in the answer
        assert ((batch["input_ids"] == image) >= (batch["labels"] == image)).all()


def test_trl_rows_with_a_literal_tag_are_whole_but_warned_of(tmp_path):
    _, report = run(tmp_path, LITERAL, TEXT, profile="trl")
    assert report.warned == {"literal_tag": 1}
    assert [row for shard in import_rows("messages", tmp_path) for row in shard()] == [LITERAL, TEXT]


@pytest.mark.filterwarnings("ignore")  # trl's and transformers' own
def test_trl_stops_at_a_literal_tag_in_a_text(tiny_processor, tmp_path):
    import datasets
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    for name, options in (("keep", {}), ("drop", {"literal_tags": "drop"})):
        convert_rows("messages", tmp_path / name, UNDERSTAND, LITERAL, profile="trl", **options)
    collate = DataCollatorForVisionLanguageModeling(tiny_processor)
    kept, dropped = (
        datasets.load_dataset("parquet", data_files=str(tmp_path / name / "train-00000.parquet"), split="train")
        for name in ("keep", "drop")
    )
    with pytest.raises((ValueError, StopIteration, IndexError, RuntimeError)):
        collate(list(kept))
    assert collate(list(dropped))["input_ids"].shape[0] == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("template", "shown"), [("qwen3_vl", 1), ("llava_next", 1), ("qwen2_5_vl", 3)])
def test_chat_templates_of_some_models_drop_images_in_answers(template, shown):
    trl = pytest.importorskip("trl", reason="its folder of chat templates: pip install trl")
    from transformers.utils.chat_template_utils import render_jinja_template

    path = Path(trl.__file__).parent / "chat_templates" / f"{template}.jinja"
    messages = [
        message._asdict() | {"content": [part._asdict() for part in message.content]} for message in EDIT.messages
    ]
    (text,), _ = render_jinja_template([messages], chat_template=path.read_text())
    assert max(text.count(token) for token in ("<|image_pad|>", "<image>")) == shown  # of three


@pytest.mark.parametrize(("literal_tags", "left", "counter"), [("keep", 3, "warned"), ("drop", 1, "rows_dropped")])
def test_trl_rows_that_stop_a_processor_are_left_out_when_told(literal_tags, left, counter, tmp_path):
    _, report = run(tmp_path, LITERAL, SPECIAL, TEXT, profile="trl", literal_tags=literal_tags)
    assert report.rows_out == left
    assert getattr(report, counter) == {"literal_tag": 1, "special_token": 1}


def test_trl_folder_loads_by_its_name(tmp_path):
    import datasets

    convert_rows("messages", tmp_path / "out", TEXT, EDIT, profile="trl")
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows["id"] == [TEXT.id, EDIT.id]
    assert isinstance(rows.features["images"].feature, datasets.Image)


def test_trl_parquet_has_parts_of_exactly_type_and_text_and_lists_that_are_never_null(tmp_path):
    import pyarrow.parquet as pq

    run(tmp_path, TEXT, EDIT, profile="trl")
    table = pq.read_table(tmp_path / "train-00000.parquet").to_pylist()
    assert table[0]["images"] == []
    assert {tuple(part) for row in table for message in row["messages"] for part in message["content"]} == {
        ("type", "text")
    }
    assert table[1]["messages"][0]["content"][0] == {
        "type": "image",
        "text": "",
    }  # "" and not null, which templates print as None
