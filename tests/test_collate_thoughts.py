"""Rationales as thoughts, in the templates of models that think before they answer."""

import pytest

from tests.collate_tiny import decode, make_row, supervised
from tests.packed import pack_demo
from toolkit.cli.app import main
from toolkit.collate import get_collator
from toolkit.demo.tiny_models import LAYERS, make_tokenizer, tiny_llava
from toolkit.errors import RowError, UsageError
from toolkit.streaming.dataset import StreamingDataset

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
transformers = pytest.importorskip("transformers", reason="the processor is transformers'; pip install transformers")

# Does what the template of Qwen3-VL-Thinking does with thoughts: taken out of the content by their tags, written in the
# answer to the last question (an empty one where there is none), dropped from earlier ones; a prompt opens one.
QWEN3_THINKING = """\
{%- macro content_of(message) -%}
{%- for part in message.content -%}{{ '<image>' if part.type == 'image' else part.text }}{%- endfor -%}
{%- endmacro -%}
{%- set last = namespace(question=0) -%}
{%- for message in messages if message.role == 'user' -%}{%- set last.question = messages.index(message) -%}
{%- endfor -%}
{%- for message in messages -%}
{%- set content, thought = content_of(message), '' -%}
{%- if message.role == 'assistant' and '</think>' in content -%}
{%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') -%}
{%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{{ '<|im_start|>' ~ message.role ~ '\\n' }}
{%- if message.role == 'assistant' and loop.index0 > last.question -%}
{{ '<think>\\n' ~ thought.strip('\\n') ~ '\\n</think>\\n\\n' ~ content.lstrip('\\n') }}
{%- else -%}{{ content }}{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{{ '<|im_start|>assistant\\n<think>\\n' if add_generation_prompt }}"""
# Does what that of GLM does: an answer without a thought has a closing tag alone.
GLM = """\
{%- for message in messages -%}
{%- set content, thought = message.content[0].text, '' -%}
{%- if '</think>' in content -%}
{%- set thought = content.split('</think>')[0].split('<think>')[-1].strip() -%}
{%- set content = content.split('</think>')[-1].strip() -%}
{%- endif -%}
{{ '<|' ~ message.role ~ '|>' }}
{%- if message.role == 'user' -%}{{ content }}
{%- else -%}{{ '<think>' ~ thought ~ '</think>' if thought and loop.last else '</think>' }}{{ content }}{%- endif -%}
{%- endfor -%}
{{ '<|assistant|><think>' if add_generation_prompt }}"""


@pytest.fixture(scope="module")
def tiny():
    """LLaVA with the tokens of Qwen3: those of a thought are not special ones."""
    tiny = tiny_llava()
    tokenizer = make_tokenizer(
        ["<|im_start|>", "<|im_end|>", "<image>"],
        bos=False,
        named={"image_token": "<image>"},
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
    )
    tokenizer.add_tokens(["<think>", "</think>"])
    text = transformers.LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, **LAYERS)
    config = transformers.LlavaConfig(
        text_config=text,
        vision_config=tiny.model.config.vision_config,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    processor = transformers.LlavaProcessor(
        tiny.processor.image_processor,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=QWEN3_THINKING,
    )
    return transformers.LlavaForConditionalGeneration(config), processor


def texts(tiny, row, template=QWEN3_THINKING, **options):
    """All of a row, and what the model has to write."""
    collate = get_collator("understanding", processor=tiny[1], chat_template=template, **{"thoughts": True, **options})
    batch = collate([row])
    return decode(tiny[1].tokenizer, batch["input_ids"][0]), decode(tiny[1].tokenizer, supervised(batch))


def thinking(row, rationale, answer):
    return {**row, "rationale": rationale, "answer": answer}


def test_a_rationale_is_the_thought_and_the_prompt_opens_it(tiny):
    row = thinking(make_row("a", "{red}Hot?", "<R>It glows.</R> <A>Yes.</A>"), "It glows.", "Yes.")
    whole, written = texts(tiny, row)
    assert whole.startswith("<|im_start|>user\n<image>")
    assert written == "It glows.\n</think>\n\nYes.<|im_end|>"
    assert whole.endswith(f"<|im_start|>assistant\n<think>\n{written}\n")


def test_without_the_option_or_a_rationale_the_thought_is_as_the_template_has_it(tiny):
    empty = "\n</think>\n\nHot. So yes.<|im_end|>"
    assert texts(tiny, thinking(make_row("a", "Hot?", "Hot. So yes."), "", "Hot. So yes."))[1] == empty
    row = thinking(make_row("a", "Hot?", "Hot. So yes."), "Hot.", "So yes.")
    assert texts(tiny, row, thoughts=False)[1] == empty


def test_several_turns_have_one_thought_in_the_last_and_every_answer_is_written(tiny):
    row = make_row("a", "Hot?", "Yes.", "And ice?", "It is frozen water.\n\nNo.")
    whole, written = texts(tiny, thinking(row, "It is frozen water.", "Yes.\n\nNo."))
    assert "assistant\nYes.<|im_end|>\n<|im_start|>user\nAnd ice?" in whole
    assert written == "Yes.<|im_end|>It is frozen water.\n</think>\n\nNo.<|im_end|>"


def test_images_of_a_rationale_stand_in_the_thought(tiny):
    row = thinking(make_row("a", "{blue}Hot?", "I look.{red}It glows.\n\nYes."), "I look.\nIt glows.", "Yes.")
    whole, written = texts(tiny, row)
    assert whole.count("<image>") == 8
    assert written == "I look.It glows.\n</think>\n\nYes.<|im_end|>"
    assert whole.index("I look.<image>") < whole.index("It glows.") < whole.index("</think>")


def test_templates_with_a_closing_tag_alone_work_too(tiny):
    row = make_row("a", "Hot?", "Yes.", "And ice?", "Frozen.\n\nNo.")
    plain = thinking(row, "", "")
    assert texts(tiny, plain, GLM)[1] == "Yes.Frozen.\n\nNo.<|im_end|>"  # the tokenizer's own end
    assert texts(tiny, thinking(row, "Frozen.", "No."), GLM)[1] == "Yes.Frozen.</think>No.<|im_end|>"


def test_what_cannot_be_told_apart_or_was_not_read_is_an_error(tiny):
    row = make_row("a", "Hot?", "Yes.", "And ice?", "No.{red}")
    with pytest.raises(RowError, match="does not end with its answer") as caught:
        texts(tiny, thinking(row, "Ice is cold.", "No."))
    assert caught.value.kind == "rationale_not_told_apart"
    bare = {name: value for name, value in row.items() if name != "rationale"}
    with pytest.raises(UsageError, match=r"columns= lacks \['rationale'\]"):
        texts(tiny, bare)


def test_a_thought_that_the_text_of_a_row_holds_is_one(tiny):
    row = thinking(make_row("a", "Hot?", "<think>\nIt glows.\n</think>\n\nYes."), "", "")
    assert texts(tiny, row)[1] == "It glows.\n</think>\n\nYes.<|im_end|>"


def test_a_tag_in_a_users_answer_is_never_lost_in_silence(tiny):
    row = thinking(make_row("a", "Which tag?", "Write </think> at the end."), "", "")
    with pytest.raises(RowError, match="lost or moved by the chat template"):
        texts(tiny, row)


def test_lengths_of_rows_with_thoughts_are_kept_apart(tiny):
    plain, thoughts = (get_collator("understanding", processor=tiny[1], thoughts=each) for each in (False, True))
    assert plain.revision != thoughts.revision


def test_the_command_measures_rows_with_their_thoughts(tiny, tmp_path):
    packed = pack_demo(tmp_path / "packed", ["llava_cot"])
    tiny[1].save_pretrained(tmp_path / "model")
    options = ["--collator", "understanding", "--model", str(tmp_path / "model"), "--thoughts"]
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["lengths", str(packed), str(tmp_path / "lengths"), *options])
    collate = get_collator("understanding", processor=tiny[1], thoughts=True)
    rows = list(StreamingDataset(packed, decode=None, lengths=tmp_path / "lengths"))
    assert [row["num_tokens"] for row in rows] == [collate([row])["input_ids"].shape[1] for row in rows]
    assert "</think>" in decode(tiny[1].tokenizer, supervised(collate(rows[:1])))


def test_a_model_that_thinks_takes_a_step(tiny):
    collate = get_collator("understanding", processor=tiny[1], thoughts=True)
    row = thinking(make_row("a", "{red}Hot?", "It glows.\n\nYes."), "It glows.", "Yes.")
    loss = tiny[0](**collate([row])).loss
    loss.backward()
    assert loss.isfinite()
    assert tiny[0].lm_head.weight.grad.any()
