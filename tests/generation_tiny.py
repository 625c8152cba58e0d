"""Tiny random models, made and saved at run time: they prove loading, the wire, dtypes and determinism; what they say
means nothing.
"""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers", reason="these tests make tiny models of transformers; pip install transformers")

import torch
import transformers
from tokenizers import processors

from toolkit.demo.tiny_models import make_tokenizer, tiny_llava

torch.set_num_threads(1)  # tiny models gain nothing from more

# ChatML without the trimmings.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{% if message['content'] is string %}{{ message['content'] "
    "}}{% else %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}{% endif %}{% endfor "
    "%}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def save_text(folder: Path) -> Path:
    """A chat model of one token a byte."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(["<s>", "</s>"], bos=True, named={}, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = CHAT_TEMPLATE
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
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


def save_diffusion(folder: Path) -> Path:
    """A Stable Diffusion that draws 64 x 64 pixels: text encoder, VAE and UNet of a few channels, random."""
    diffusers = pytest.importorskip("diffusers", reason="draws with diffusers; pip install diffusers")
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=2,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=diffusers.AutoencoderKL(
            block_out_channels=(8,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=4,
        ),
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=_clip_tokenizer(),
        unet=diffusers.UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            norm_num_groups=4,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
        ),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _save(folder, pipeline)


def save_clip(folder: Path, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **sizes,
        "vocab_size": 300,
        "max_position_embeddings": 77,
        "bos_token_id": 256,
        "eos_token_id": 257,
        "pad_token_id": 257,
    }
    model = transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 8}, projection_dim=16
        )
    )
    processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _save(folder, model, _clip_tokenizer(), processor)


def save_siglip(folder: Path) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **sizes,
        "vocab_size": 300,
        "max_position_embeddings": 64,
        "bos_token_id": 256,
        "eos_token_id": 257,
        "pad_token_id": 257,
    }
    model = transformers.SiglipModel(
        transformers.SiglipConfig(text_config=text, vision_config={**sizes, "image_size": 32, "patch_size": 8})
    )
    return _save(
        folder, model, _clip_tokenizer(), transformers.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    )


def save_picture_classifier(folder: Path, *, unsafe: float) -> Path:
    """Labels "fine" and "nsfw"; `unsafe` is what the second has ahead, before the softmax."""
    torch.manual_seed(0)
    labels = {0: "fine", 1: "nsfw"}
    config = transformers.ViTConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        id2label=labels,
    )
    return _save(
        folder,
        _lean(transformers.ViTForImageClassification(config), unsafe),
        transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}),
    )


def save_text_classifier(folder: Path, *, unsafe: float) -> Path:
    """Labels "fine" and "toxic"."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BertConfig(
        **sizes, vocab_size=300, max_position_embeddings=80, pad_token_id=257, id2label={0: "fine", 1: "toxic"}
    )
    return _save(folder, _lean(transformers.BertForSequenceClassification(config), unsafe), _clip_tokenizer())


def _lean(model: Any, unsafe: float) -> torch.nn.Module:
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([0.0, unsafe]))
    return model


def _clip_tokenizer() -> "transformers.CLIPTokenizer":
    """One token a byte, between <|startoftext|> and <|endoftext|>, as CLIP has them."""
    tokenizer = make_tokenizer(
        ["<|startoftext|>", "<|endoftext|>"],
        bos=True,
        named={},
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        model_max_length=77,
    )
    ends = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<|startoftext|>", "<|endoftext|>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<|startoftext|> $A <|endoftext|>", special_tokens=ends
    )
    return tokenizer
