"""Tiny random models of every family with their processors: made in memory, nothing downloaded, seconds on a CPU.

Sizes are tiny, everything else is what transformers builds for the real ones, so code that trains these trains those.
The demo, the examples and the tests share them. Text is one token per byte; a picture is 16 codes' worth of colour:
enough to see a loss fall, not to draw.
"""

from types import SimpleNamespace
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors


def make_tokenizer(control_tokens: list[str], *, bos: bool, named: dict[str, str], **special: Any) -> Any:
    """Byte-level tokenizer without merges, so text is one id per byte. `named` become attributes (image_token,
    boi_token, ...).
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(control_tokens)
    if bos:
        first = special["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=named, **special)


LAYERS: Any = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VQ: Any = {"base_channels": 32, "channel_multiplier": [1, 1, 1, 1], "num_res_blocks": 1}


def _text(tokenizer: Any) -> dict[str, Any]:
    """Settings of the text part of a model that draws."""
    named = ("pad_token_id", "bos_token_id", "eos_token_id")
    return {
        "vocab_size": len(tokenizer),
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        **LAYERS,
        **{name: getattr(tokenizer, name) for name in named},
    }


def tiny_chameleon() -> SimpleNamespace:
    """16 x 16 pictures of 4 ids each; 16 codes."""
    torch.manual_seed(0)
    codes = [f"IMGIMG{letter}Z" for letter in "ABCDEFGHIJ"] + [f"IMGIMGB{letter}Z" for letter in "ABCDEF"]
    tokenizer = make_tokenizer(
        ["<s>", "</s>", "<pad>", "<reserved08706>", "<image>", "<racm3:break>", "<eoss>", *codes],
        bos=True,
        named={"image_token": "<image>", "boi_token": "<racm3:break>", "eoi_token": "<eoss>"},
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        sep_token="<reserved08706>",
    )
    config = transformers.ChameleonConfig(
        **_text(tokenizer),
        vocabulary_map=tokenizer.get_vocab(),
        vq_config={"embed_dim": 8, "num_embeddings": 16, "latent_channels": 8, "resolution": 16, **VQ},
    )
    image_processor = transformers.ChameleonImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    processor = transformers.ChameleonProcessor(image_processor, tokenizer, image_seq_length=4)
    return SimpleNamespace(
        model=_spread(transformers.ChameleonForConditionalGeneration(config), "model.vqmodel"),
        processor=processor,
        tokenizer=tokenizer,
    )


EMU3_TOKENS = (
    *("<|extra_203|>", "<|extra_204|>", "<|endoftext|>", "<image>", "<|image start|>", "<|image end|>"),
    *("<|image token|>", "<|extra_200|>", "<|extra_201|>"),
)


def tiny_emu3() -> SimpleNamespace:
    """Pictures of 16 x 16 to 24 x 32 pixels, 8 pixels an id; 16 codes."""
    torch.manual_seed(0)
    codes = [f"<|visual token {number:06d}|>" for number in range(16)]
    tokenizer = make_tokenizer(
        [*EMU3_TOKENS, *codes],
        bos=False,
        named={
            "image_token": "<image>",
            "boi_token": "<|image start|>",
            "eoi_token": "<|image end|>",
            "image_wrapper_token": "<|image token|>",
            "eof_token": "<|extra_201|>",
        },
        bos_token="<|extra_203|>",
        eos_token="<|extra_204|>",
        pad_token="<|endoftext|>",
    )
    vq = {"codebook_size": 16, "temporal_downsample_factor": 1, "attn_resolutions": [3], "hidden_size": 32, **VQ}
    config = transformers.Emu3Config(text_config=_text(tokenizer), vq_config=vq, vocabulary_map=tokenizer.get_vocab())
    image_processor = transformers.Emu3ImageProcessor(min_pixels=16 * 16, max_pixels=24 * 32, spatial_factor=8)
    processor = transformers.Emu3Processor(image_processor, tokenizer, chat_template=EMU3_TEMPLATE)
    return SimpleNamespace(
        model=_spread(transformers.Emu3ForConditionalGeneration(config), "model.vqmodel"),
        processor=processor,
        tokenizer=tokenizer,
    )


# Writes what the template of the published processor does: the pictures of a turn before its text.
EMU3_TEMPLATE = """\
{%- macro texts(message) -%}
{%- for part in message.content if part.type == 'text' -%}{{ part.text ~ ' ' }}{%- endfor -%}
{%- endmacro -%}
{%- for message in messages -%}
{{ '' if message.role == 'system' else message.role | upper ~ ': ' }}
{{- '<image>' * (message.content | selectattr('type', 'eq', 'image') | list | length) }}
{%- if message.role == 'assistant' -%}{% generation %}{{ texts(message) }}{% endgeneration %}
{%- else -%}{{ texts(message) }}{%- endif -%}
{%- endfor -%}
{{ 'ASSISTANT:' if add_generation_prompt }}"""


def tiny_janus() -> SimpleNamespace:
    """16 x 16 pictures of 4 placeholders or 4 ids each; 16 codes."""
    torch.manual_seed(0)
    placeholders = ("<image_placeholder>", "<begin_of_image>", "<end_of_image>")
    tokenizer = make_tokenizer(
        ["<s>", "</s>", "<pad>", *placeholders, "<|User|>", "<|Assistant|>"],
        bos=True,
        named=dict(zip(("image_token", "boi_token", "eoi_token"), placeholders, strict=True)),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    config = transformers.JanusConfig(
        text_config=transformers.LlamaConfig(**_text(tokenizer)),
        vision_config=transformers.JanusVisionConfig(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            image_size=16,
            patch_size=8,
            projection_dim=32,
            num_image_tokens=4,
        ),
        vq_config={
            **{"embed_dim": 8, "num_embeddings": 16, "latent_channels": 32, "num_patches": 2, "projection_dim": 32},
            **{"num_hidden_layers": 2, "image_token_embed_dim": 32, **VQ},
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image_placeholder>"),
        tie_word_embeddings=False,
    )
    # Without torchvision, JanusImageProcessor is the same one after a warning.
    has_pil = hasattr(transformers, "JanusImageProcessorPil")
    image_class = transformers.JanusImageProcessorPil if has_pil else transformers.JanusImageProcessor
    image_processor = image_class(size={"height": 16, "width": 16}, min_size=4)
    processor = transformers.JanusProcessor(image_processor, tokenizer, num_image_tokens=4)
    return SimpleNamespace(
        model=_spread(transformers.JanusForConditionalGeneration(config), "model.vqmodel"),
        processor=processor,
        tokenizer=tokenizer,
    )


# Writes what the template of llava-hf/llava-1.5-7b-hf does, but answers in reading order: a prompt's pictures before
# its text.
LLAVA_TEMPLATE = """\
{%- for message in messages -%}
{{ '' if message.role == 'system' else message.role | upper ~ ': ' }}
{%- for part in (message.content if message.role == 'assistant' else message.content | sort(attribute='type')) -%}
{{ '<image>\\n' if part.type == 'image' else part.text ~ ' ' }}
{%- endfor -%}
{%- endfor -%}
{{ 'ASSISTANT:' if add_generation_prompt }}"""


def tiny_llava(chat_template: str = LLAVA_TEMPLATE) -> SimpleNamespace:
    """16 x 16 pictures of 4 placeholders each."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(
        ["<s>", "</s>", "<pad>", "<image>"],
        bos=True,
        named={"image_token": "<image>"},
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(vocab_size=len(tokenizer), num_key_value_heads=2, **LAYERS),
        vision_config=transformers.CLIPVisionConfig(image_size=16, patch_size=8, **LAYERS),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    image_processor = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = transformers.LlavaProcessor(
        image_processor,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    )
    return SimpleNamespace(
        model=transformers.LlavaForConditionalGeneration(config), processor=processor, tokenizer=tokenizer
    )


def _spread(model: Any, vq: str) -> Any:
    """Makes a random VQ encoder tell pictures apart: at initialisation most pictures fall on one code."""
    module = model.get_submodule(vq)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "quantize" in name:
                parameter.copy_(torch.randn_like(parameter))
            elif parameter.ndim > 1:
                parameter.normal_(std=1.4 / parameter[0].numel() ** 0.5)
    return model
