"""Tiny random models that read pictures and write text, one of each family that the documentation names."""

from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.demo.tiny_models import LAYERS, make_tokenizer

torch = pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
transformers = pytest.importorskip("transformers", reason="the models are transformers'; pip install transformers")

TEXT: dict[str, Any] = {**LAYERS, "num_key_value_heads": 2}
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{{ 'PICTURE' if c.type == 'image' else "
    "c.text }}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def without_video(processor_class: Any, image_processor, tokenizer, **options):
    """The processor without its video part, which needs torchvision."""

    class ImagesOnly(processor_class):
        @classmethod
        def get_attributes(cls):
            return ["image_processor", "tokenizer"]

        def __init__(self, image_processor=None, tokenizer=None, chat_template=None, **settings):
            for name, value in settings.items():
                setattr(self, name, value)
            transformers.ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    ImagesOnly.__name__ = processor_class.__name__
    return ImagesOnly(image_processor, tokenizer, **options)


def _chatml(*tokens, **named):
    """Tokenizer and the ids of its tokens."""
    tokens = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *tokens)
    tokenizer = make_tokenizer(
        [*tokens], bos=False, named=named, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token="<|endoftext|>"
    )
    return tokenizer, dict(zip(tokens, tokenizer.convert_tokens_to_ids([*tokens]), strict=True))


def tiny_qwen(version: str) -> SimpleNamespace:
    """Qwen2_5_VL or Qwen3VL: grids of patches, positions of three kinds that the model makes itself."""
    frame = ("<|vision_start|>", "<|image_pad|>", "<|vision_end|>")
    tokenizer, ids = _chatml(*frame, "<|video_pad|>", image_token="<|image_pad|>")
    image_processor = transformers.Qwen2VLImageProcessor(
        patch_size=4, merge_size=2, temporal_patch_size=2, min_pixels=64, max_pixels=1024
    )
    named = {"image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"]}
    framed = {"vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"]}
    processor = without_video(
        getattr(transformers, f"{version}Processor"),
        image_processor,
        tokenizer,
        chat_template=CHATML.replace("PICTURE", "".join(frame)),
        image_token="<|image_pad|>",
        video_token="<|video_pad|>",
        **named,
        **framed,
    )
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    vision: dict[str, Any] = {"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 4}
    vision |= {"spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 32}
    vision |= {"fullatt_block_indexes": [0]} if version == "Qwen2_5_VL" else {"deepstack_visual_indexes": [0]}
    config = getattr(transformers, f"{version}Config")(
        text_config={"vocab_size": len(tokenizer), "rope_parameters": rope, "head_dim": 16, **TEXT},
        vision_config=vision,
        **named,
        **framed,
    )
    return _tiny(f"{version}ForConditionalGeneration", config, processor)


def tiny_internvl() -> SimpleNamespace:
    """Tiles, with tokens that frame each picture."""
    names = ("start_image_token", "context_image_token", "end_image_token", "video_token")
    tokens = ("<img>", "<IMG_CONTEXT>", "</img>", "<video>")
    tokenizer, ids = _chatml(*tokens, **dict(zip(names, tokens, strict=True)))
    image_processor = transformers.GotOcr2ImageProcessor(
        size={"height": 16, "width": 16}, min_patches=1, max_patches=2, crop_to_patches=True
    )
    processor = without_video(
        transformers.InternVLProcessor,
        image_processor,
        tokenizer,
        chat_template=CHATML.replace("PICTURE", "<IMG_CONTEXT>\n"),
        image_seq_length=4,
        start_image_token="<img>",
        end_image_token="</img>",
        start_image_token_id=ids["<img>"],
        end_image_token_id=ids["</img>"],
        image_token="<IMG_CONTEXT>",
        image_token_id=ids["<IMG_CONTEXT>"],
        video_token="<video>",
        multimodal_pattern="(?P<image><IMG_CONTEXT>)|(?P<video><video>)",
    )
    config = transformers.InternVLConfig(
        text_config=transformers.Qwen2Config(vocab_size=len(tokenizer), **TEXT),
        vision_config=transformers.InternVLVisionConfig(image_size=[16, 16], patch_size=[4, 4], **LAYERS),
        image_token_id=ids["<IMG_CONTEXT>"],
        image_seq_length=4,
    )
    return _tiny("InternVLForConditionalGeneration", config, processor)


def tiny_idefics3() -> SimpleNamespace:
    """A picture in pieces with a name each, and whole; batches of pictures by row."""
    places = [f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)]
    frame = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
    tokenizer, ids = _chatml(*frame, *places, image_token="<image>")
    image_processor = transformers.Idefics3ImageProcessor(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 16}
    )
    processor = transformers.Idefics3Processor(
        image_processor, tokenizer, image_seq_len=4, chat_template=CHATML.replace("PICTURE", "<image>")
    )
    config = transformers.Idefics3Config(
        text_config=transformers.LlamaConfig(vocab_size=len(tokenizer), **TEXT),
        vision_config=transformers.models.idefics3.configuration_idefics3.Idefics3VisionConfig(
            image_size=16, patch_size=4, **LAYERS
        ),
        image_token_id=ids["<image>"],
        scale_factor=2,
    )
    return _tiny("Idefics3ForConditionalGeneration", config, processor)


def tiny_gemma3() -> SimpleNamespace:
    """Attention both ways over a picture, by token types."""
    tokenizer, ids = _chatml(
        *("<start_of_image>", "<end_of_image>", "<image_soft_token>"),
        boi_token="<start_of_image>",
        eoi_token="<end_of_image>",
        image_token="<image_soft_token>",
    )
    image_processor = transformers.Gemma3ImageProcessor(size={"height": 16, "width": 16})
    processor = transformers.Gemma3Processor(
        image_processor, tokenizer, image_seq_length=4, chat_template=CHATML.replace("PICTURE", "<start_of_image>")
    )
    config = transformers.Gemma3Config(
        text_config=transformers.Gemma3TextConfig(vocab_size=len(tokenizer), head_dim=16, **TEXT),
        vision_config=transformers.SiglipVisionConfig(image_size=16, patch_size=4, **LAYERS),
        mm_tokens_per_image=4,
        image_token_index=ids["<image_soft_token>"],
        boi_token_index=ids["<start_of_image>"],
        eoi_token_index=ids["<end_of_image>"],
    )
    tiny = _tiny("Gemma3ForConditionalGeneration", config, processor)
    torch.nn.init.normal_(tiny.model.model.multi_modal_projector.mm_input_projection_weight)  # begins as zeros
    return tiny


def tiny_mllama() -> SimpleNamespace:
    """Pictures by cross-attention, in up to four tiles."""
    tokenizer, ids = _chatml("<|image|>", "<|python_tag|>", image_token="<|image|>")
    image_processor = transformers.MllamaImageProcessor(size={"height": 16, "width": 16}, max_image_tiles=4)
    processor = transformers.MllamaProcessor(
        image_processor, tokenizer, chat_template=CHATML.replace("PICTURE", "<|image|>")
    )
    text = {"vocab_size": len(tokenizer) - 1, "cross_attention_layers": [1], "pad_token_id": ids["<|endoftext|>"]}
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    vision: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "attention_heads": 2, "num_hidden_layers": 1}
    vision |= {"num_global_layers": 1, "vision_output_dim": 64, "image_size": 16, "patch_size": 4}
    vision |= {"intermediate_layers_indices": [0], "max_num_tiles": 4}
    config = transformers.MllamaConfig(
        text_config={**text, "rope_parameters": rope, **TEXT}, vision_config=vision, image_token_index=ids["<|image|>"]
    )
    tiny = _tiny("MllamaForConditionalGeneration", config, processor)
    with torch.no_grad():  # or pictures would have no part in the logits
        for name, value in tiny.model.named_parameters():
            if "cross_attn" in name and "gate" in name:
                value.fill_(1.0)
    return tiny


def _tiny(name: str, config: Any, processor: Any) -> SimpleNamespace:
    torch.manual_seed(0)
    return SimpleNamespace(model=getattr(transformers, name)(config), processor=processor)


MAKERS = {
    "Qwen2.5-VL": lambda: tiny_qwen("Qwen2_5_VL"),
    "Qwen3-VL": lambda: tiny_qwen("Qwen3VL"),
    "InternVL": tiny_internvl,
    "Idefics3": tiny_idefics3,
    "Gemma3": tiny_gemma3,
    "Mllama": tiny_mllama,
}
