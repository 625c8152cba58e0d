"""Tiny random models, made and saved at run time: they prove loading, the wire, dtypes and determinism; what they say means nothing."""

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="these tests make tiny models of transformers; pip install transformers")

import torch
import transformers

from tests.collate_tiny import make_tokenizer, tiny_llava

# ChatML without the trimmings.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def save_text(folder: Path) -> Path:
    """A chat model of one token a byte."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(["<s>", "</s>"], bos=True, named={}, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = CHAT_TEMPLATE
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2
    )
    return _save(folder, transformers.Qwen2ForCausalLM(config), tokenizer)


def save_llava(folder: Path) -> Path:
    """A chat model that is shown pictures: 4 tokens each."""
    made = tiny_llava()
    return _save(folder, made.model, made.processor)


def _save(folder: Path, *parts: object) -> Path:
    for part in parts:
        part.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder
