"""Which tokens a row becomes and which of them are answer, on tokenizers with one id per byte."""

import pytest

from tests.collate_tiny import decode, make_row
from toolkit.collate.template import ChatEncoder
from toolkit.demo.tiny_models import LLAVA_TEMPLATE, tiny_llava
from toolkit.errors import ImageTokenMismatch, RowError, UsageError

# Qwen2.5-VL's way of telling parts apart: any part with an "image" key is a picture.
QWEN_LIKE = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' or 'image' in c "
    "%}<image>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}</s>\n{% endfor %}{% if add_generation_prompt "
    "%}<s>assistant\n{% endif %}"
)
# Qwen3-VL's: assistant turns print the text of every part and no picture.
QWEN3_LIKE = (
    "{% for m in messages %}<s>{{ m.role }}\n{% for c in m.content %}{% if m.role == 'user' and c.type == 'image' "
    "%}<image>"
    "{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}</s>\n{% endfor %}{% if add_generation_prompt "
    "%}<s>assistant\n{% endif %}"
)
# LLaVA-NeXT's: an assistant turn is its first part.
FIRST_PART = (
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {% for c in m.content %}{% if c.type == 'image' "
    "%}<image>\n{% else %}{{ c.text }}{% endif %}"
    "{% endfor %} [/INST]{% else %} {{ m.content[0].text }}</s> {% endif %}{% endfor %}"
)
FIRST_LINE = (
    "{% for m in messages %}{{ m.role }}:{% for c in m.content %}{{ c.text.splitlines()[0] }}{% endfor %}</s>"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
ENDING = "</s>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
IMAGES_FIRST = (
    "{% for m in messages %}{{ m.role }}:{% for c in m.content if c.type == 'image' %}<image>{% endfor %}"
    "{% for c in m.content if c.type == 'text' %}{{ c.text }}{% endfor %}" + ENDING
)
REWRITING = (
    "{% for m in messages %}{{ m.role }}:{% if not loop.last %}(short){% endif %}{% for c in m.content %}{{ c.text "
    "}}{% endfor %}" + ENDING
)
LAST_ONLY = (
    "{% for m in messages %}{% if m.role == 'user' or loop.last %}{{ m.role }}:{% for c in m.content %}{{ c.text "
    "}}{% endfor %}{% endif %}" + ENDING
)
TRIMMING = "{% for m in messages %}{{ m.role }}:{% for c in m.content %}{{ c.text | trim }}{% endfor %}" + ENDING


@pytest.fixture(scope="module")
def llava():
    return tiny_llava()


def encoder(llava, chat_template=LLAVA_TEMPLATE):
    return ChatEncoder(llava.processor, image_token="<image>", chat_template=chat_template)


def texts(llava, row, chat_template=LLAVA_TEMPLATE):
    """All of a row, and the part of it that is answer."""
    encoded = encoder(llava, chat_template).encode(row)
    answer = [token_id for token_id, is_answer in zip(encoded.ids, encoded.is_answer, strict=True) if is_answer]
    return decode(llava.tokenizer, encoded.ids), decode(llava.tokenizer, answer)


def test_a_template_that_does_not_close_a_turn_gets_eos(llava):
    assert texts(llava, make_row("a", "Hi", "Yes")) == ("<s>USER: Hi ASSISTANT: Yes </s>", " Yes </s>")


def test_a_template_that_closes_a_turn_gets_no_second_eos_and_its_last_line_break_is_not_answer(llava):
    assert texts(llava, make_row("a", "Hi", "Yes"), QWEN_LIKE) == (
        "<s>user\nHi</s>\n<s>assistant\nYes</s>\n",
        "Yes</s>",
    )


def test_every_answer_of_several_turns_is_answer_and_no_prompt_is(llava):
    row = make_row("a", "system:Be kind.", "One?", "1", "Two?", "2 {red}")
    whole, answer = texts(llava, row, QWEN_LIKE)
    assert whole == (
        "<s>system\nBe kind.</s>\n<s>user\nOne?</s>\n<s>assistant\n1</s>\n"
        "<s>user\nTwo?</s>\n<s>assistant\n2 <image></s>\n"
    )
    assert answer == "1</s>2 <image></s>"


def test_ids_are_those_of_the_processor(llava):
    row = make_row("a", "{red}Wie hei\u00dft \u706b {blue}?", "Feuer \U0001f525!", "ok?", "ja")
    conversation = [
        {
            "role": m["role"],
            "content": [{"type": p["type"]} | ({"text": p["text"]} if p["text"] else {}) for p in m["content"]],
        }
        for m in row["messages"]
    ]
    rendered = llava.processor.apply_chat_template(conversation, tokenize=False)
    ids = encoder(llava).encode(row).ids
    assert ids[:-1] == llava.tokenizer(rendered)["input_ids"]
    assert ids[-1] == llava.tokenizer.eos_token_id


def test_keys_that_arrow_adds_to_parts_do_not_reach_the_template(llava):
    row = make_row("a", "{red}Hi", "Yes {blue} no")
    with_nulls = {
        **row,
        "messages": [
            {**m, "content": [{**p, "image": None, "text": p["text"] or None} for p in m["content"]]}
            for m in row["messages"]
        ],
    }
    assert texts(llava, with_nulls, QWEN_LIKE) == texts(llava, row, QWEN_LIKE)
    assert texts(llava, row, QWEN_LIKE)[0] == "<s>user\n<image>Hi</s>\n<s>assistant\nYes <image> no</s>\n"


@pytest.mark.parametrize("images", [[], None])
def test_rows_without_pictures_may_hold_an_empty_list_or_nothing(llava, images):
    assert texts(llava, {**make_row("a", "Hi", "Yes"), "images": images})[1] == " Yes </s>"


@pytest.mark.parametrize("literal", ["<image>", "</s>", "<image><image>", "<pad>x<image>"])
def test_literal_control_tokens_in_text_stay_text(llava, literal):
    row = make_row("a", "{red}What is a " + literal + " tag?", "A " + literal + " is text")
    encoded = encoder(llava).encode(row)
    assert (
        decode(llava.tokenizer, encoded.ids)
        == f"<s>USER: <image>\nWhat is a {literal} tag? ASSISTANT: A {literal} is text </s>"
    )
    control = {token_id: encoded.ids.count(token_id) for token_id in llava.tokenizer.all_special_ids}
    assert control == dict(
        zip(llava.tokenizer.convert_tokens_to_ids(["<s>", "</s>", "<pad>", "<image>"]), [1, 1, 0, 1], strict=True)
    )
    answer = [token_id for token_id, is_answer in zip(encoded.ids, encoded.is_answer, strict=True) if is_answer]
    assert decode(llava.tokenizer, answer) == f" A {literal} is text </s>"


def test_literal_control_tokens_get_the_ids_that_transformers_gives_when_it_sanitizes(llava):
    import transformers

    if (
        not hasattr(transformers.ProcessorMixin, "apply_chat_template")
        or "sanitize_control_tokens" not in transformers.ProcessorMixin.apply_chat_template.__annotations__
    ):
        pytest.skip("this transformers has no sanitize_control_tokens to compare with; it came with 5.2x")
    row = make_row("a", "A <image> or </s> tag?", "Yes <image>")
    conversation = [
        {"role": m["role"], "content": [{"type": "text", "text": p["text"]} for p in m["content"]]}
        for m in row["messages"]
    ]
    # its rule wants bos in the template
    template = "<s>" + LLAVA_TEMPLATE
    theirs = llava.processor.apply_chat_template(
        conversation, chat_template=template, tokenize=True, return_dict=True, sanitize_control_tokens=True
    )
    ids = theirs["input_ids"]
    assert encoder(llava, template).encode(row).ids[:-1] == (ids[0] if isinstance(ids[0], list) else ids)


def test_without_neutralising_a_literal_would_be_a_placeholder(llava):
    # the trap itself: the processor counts it and refuses, or with two such rows takes one row's picture for the
    # other's
    with pytest.raises(ValueError, match="Found 1 <image> tokens in the text but no images were passed"):
        llava.processor(text=["What is an <image> tag?"])


def test_templates_that_trim_text_still_work(llava):
    assert texts(llava, make_row("a", " Hi ", " Yes <image> \n"), TRIMMING)[1] == "Yes <image></s>"


def test_a_row_whose_parts_and_images_differ_is_named_with_both_counts(llava):
    row = make_row("ie-7", "{red}{blue}Hi", "Yes")
    with pytest.raises(ImageTokenMismatch, match="row 'ie-7': 2 image parts and 1 images"):
        encoder(llava).encode({**row, "images": row["images"][:1]})


def test_two_wrong_rows_cannot_cancel(llava):
    rows = [make_row("a", "{red}{blue}Hi", "Yes"), make_row("b", "{green}Hi", "Yes")]
    pictures = [[object()], [object(), object()]]
    # transformers counts over the whole batch and finds 3 = 3
    swapped = [{**row, "images": images} for row, images in zip(rows, pictures, strict=True)]
    for row in swapped:
        with pytest.raises(ImageTokenMismatch, match="image parts and"):
            encoder(llava).encode(row)


@pytest.mark.parametrize(
    ("template", "keeps"), [(LLAVA_TEMPLATE, True), (QWEN_LIKE, True), (QWEN3_LIKE, False), (FIRST_PART, False)]
)
def test_keeps_answer_images_tells_templates_apart(llava, template, keeps):
    assert encoder(llava, template).keeps_answer_images() is keeps


@pytest.mark.parametrize("template", [QWEN3_LIKE, FIRST_PART])
def test_a_template_that_drops_answer_pictures_is_found_out_by_row(llava, template):
    with pytest.raises(ImageTokenMismatch, match="row 'a': 2 image parts, but the chat template rendered 1 '<image>'"):
        encoder(llava, template).encode(make_row("a", "{red}Hi", "Yes {blue}"))


def test_a_template_that_drops_answer_text_is_found_out(llava):
    with pytest.raises(RowError, match=r"part 0 \(text\) of an answer is lost or moved"):
        encoder(llava, FIRST_LINE).encode(make_row("a", "Hi", "Yes\nand no"))


def test_a_template_that_moves_answer_pictures_is_found_out(llava):
    with pytest.raises(RowError, match=r"part 1 \(image\) of an answer is lost or moved") as caught:
        encoder(llava, IMAGES_FIRST).encode(make_row("a", "Hi", "Look: {red}"))
    assert caught.value.kind == "template_moves_parts"


def test_an_answer_that_is_written_otherwise_once_turns_follow_is_found_there(llava):
    row = make_row("a", "Hi", "Yes", "Sure?", "No")
    assert texts(llava, row, REWRITING) == (
        "<s>user:(short)Hi</s>assistant:(short)Yes</s>user:(short)Sure?</s>assistant:No</s>",
        "Yes</s>No</s>",
    )


def test_a_template_that_drops_earlier_answers_is_found_out(llava):
    with pytest.raises(RowError, match="message 1 cannot be found") as caught:
        encoder(llava, LAST_ONLY).encode(make_row("a", "Hi", "Yes", "Sure?", "No"))
    assert caught.value.kind == "template_rewrites_turns"


def test_a_token_the_tokenizer_does_not_have_is_refused(llava):
    with pytest.raises(UsageError, match="no token '<picture>'"):
        ChatEncoder(llava.processor, image_token="<picture>")


def merging_tokenizer():
    """Byte-level BPE that takes the blank into the word but not into its offsets, as GPT-2 does."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    merges = [
        ("\u0120", "Y"),
        ("\u0120Y", "e"),
        ("\u0120Ye", "s"),
        ("i", "m"),
        ("im", "a"),
        ("ima", "g"),
        ("imag", "e"),
    ]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*letters, *("".join(merge) for merge in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<image>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def sentencepiece_tokenizer():
    """A blank before the text and "_" for blanks, as Llama has it."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = [chr(code) for code in range(33, 127)] + ["\u2581", "\n"]
    merges = [("\u2581", "Y"), ("\u2581Y", "e"), ("\u2581Ye", "s")]
    vocabulary = {token: number for number, token in enumerate([*letters, *("".join(merge) for merge in merges)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_special_tokens(["<s>", "</s>", "<image>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("make", [merging_tokenizer, sentencepiece_tokenizer])
def test_a_blank_that_belongs_to_the_first_word_of_an_answer_is_answer(llava, make):
    tokenizer = make()
    encoder = ChatEncoder(_Processor(tokenizer), image_token="<image>", chat_template=LLAVA_TEMPLATE)
    encoded = encoder.encode(make_row("a", "Hi", "Yes"))
    assert encoded.ids == [*tokenizer("USER: Hi ASSISTANT: Yes ")["input_ids"], tokenizer.eos_token_id]
    answer = [token_id for token_id, is_answer in zip(encoded.ids, encoded.is_answer, strict=True) if is_answer]
    blank = "\u0120" if make is merging_tokenizer else "\u2581"
    assert tokenizer.convert_ids_to_tokens(answer) == [f"{blank}Yes", blank, "</s>"]


@pytest.mark.parametrize("make", [merging_tokenizer, sentencepiece_tokenizer])
def test_a_literal_adds_no_blank_and_is_split_as_any_text(llava, make):
    tokenizer = make()
    encoder = ChatEncoder(_Processor(tokenizer), image_token="<image>", chat_template=LLAVA_TEMPLATE)
    encoded = encoder.encode(make_row("a", "{red}an<image>tag", "Yes<image>"))
    assert encoded.ids.count(encoder.image_id) == 1
    pieces = (
        "".join(tokenizer.convert_ids_to_tokens(encoded.ids))
        .replace("\u0120", " ")
        .replace("\u2581", " ")
        .replace("\u010a", "\n")
    )
    assert pieces.lstrip() == "USER: <image>\nan<image>tag ASSISTANT: Yes<image> </s>"
    if make is merging_tokenizer:
        assert tokenizer.convert_ids_to_tokens(encoded.ids)[-5:-2] == ["<", "image", ">"]


def test_a_literal_that_is_no_special_token_is_taken_apart_by_letters(llava):
    tokenizer = merging_tokenizer()
    tokenizer.add_tokens(["<picture>"])
    encoder = ChatEncoder(
        _Processor(tokenizer), image_token="<picture>", chat_template=LLAVA_TEMPLATE.replace("<image>", "<picture>")
    )
    encoded = encoder.encode(make_row("a", "{red}a <picture>?", "Yes"))
    assert encoded.ids.count(encoder.image_id) == 1
    assert (
        tokenizer.decode(encoded.ids, clean_up_tokenization_spaces=False)
        == "USER: <picture>\na <picture>? ASSISTANT: Yes </s>"
    )


class _Processor:
    """A tokenizer with the one method of a processor that the encoder calls."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def apply_chat_template(self, conversation, **options):
        return self.tokenizer.apply_chat_template(conversation, **options)
