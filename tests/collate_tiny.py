"""Tiny random models, processors and rows for the collator tests: made in memory, nothing downloaded."""

import io
from types import SimpleNamespace

import pytest
from PIL import Image

from toolkit.schema import EncodedImage, Message, Part, Row, quadrant_of

pytest.importorskip("torch", reason="collators make torch tensors; pip install torch")
pytest.importorskip("transformers", reason="the collator tests run transformers' own models and processors; pip install transformers")

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

COLOURS = {"red": (220, 30, 20), "green": (20, 200, 40), "blue": (10, 40, 230), "white": (250, 250, 250), "black": (5, 5, 5)}


def picture(colour: str, size: tuple[int, int] = (16, 16)) -> Image.Image:
    """A plain picture with a darker corner, so that neither colour nor place is lost on an encoder."""
    image = Image.new("RGB", size, COLOURS[colour])
    image.paste(tuple(c // 3 for c in COLOURS[colour]), (0, 0, size[0] // 2, size[1] // 2))
    return image


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def make_row(row_id: str, *turns: str, sizes: dict[str, tuple[int, int]] | None = None) -> dict:
    """Turns alternate user and assistant (system first if it begins with "system:"); `{red}` stands for a picture."""
    messages, images = [], []
    system = [turn for turn in turns if turn.startswith("system:")]
    roles = ["system"] * len(system) + ["user", "assistant"] * len(turns)
    for role, turn in zip(roles, turns, strict=False):
        parts = []
        for number, piece in enumerate(turn.removeprefix("system:").replace("}", "{").split("{")):
            if number % 2:
                parts.append(Part("image"))
                images.append(EncodedImage(png(picture(piece, (sizes or {}).get(piece, (16, 16)))), f"{piece}.png"))
            elif piece:
                parts.append(Part("text", piece))
        messages.append(Message(role, tuple(parts)))
    sides = [message.role for message in messages for part in message.content if part.type == "image"]
    row = Row(
        id=row_id,
        task="image_editing",
        quadrant=quadrant_of(messages),
        messages=tuple(messages),
        images=tuple(images),
        image_roles=tuple("output" if side == "assistant" else "input" for side in sides),
        image_captions=("",) * len(images),
    )
    return row.to_dict()


QUADRANT_ROWS = [
    make_row("tt", "Is ice cold?", "Yes, it is."),
    make_row("mt", "{red}What colour?", "Red."),
    make_row("tm", "Draw grass.", "Here:{green}"),
    make_row("mm", "{blue}Make it white.", "First {black} then {white} done."),
]


def make_tokenizer(control_tokens: list[str], *, bos: bool, named: dict[str, str], **special: str):
    """Byte-level tokenizer without merges, so text is one id per byte. `named` become attributes (image_token, boi_token, ...)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(control_tokens)
    if bos:
        first = special["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=named, **special)


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
    vocabulary = tokenizer.get_vocab()
    config = transformers.ChameleonConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=vocabulary["<pad>"],
        bos_token_id=vocabulary["<s>"],
        eos_token_id=vocabulary["</s>"],
        vocabulary_map=vocabulary,
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "latent_channels": 8,
            "resolution": 16,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
        },
    )
    image_processor = transformers.ChameleonImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = transformers.ChameleonProcessor(image_processor, tokenizer, image_seq_length=4)
    return SimpleNamespace(model=_spread(transformers.ChameleonForConditionalGeneration(config), "model.vqmodel"), processor=processor, tokenizer=tokenizer)


def tiny_emu3() -> SimpleNamespace:
    """Pictures of 16 x 16 to 24 x 32 pixels, 8 pixels an id; 16 codes."""
    torch.manual_seed(0)
    codes = [f"<|visual token {number:06d}|>" for number in range(16)]
    tokenizer = make_tokenizer(
        [
            "<|extra_203|>",
            "<|extra_204|>",
            "<|endoftext|>",
            "<image>",
            "<|image start|>",
            "<|image end|>",
            "<|image token|>",
            "<|extra_200|>",
            "<|extra_201|>",
            *codes,
        ],
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
    vocabulary = tokenizer.get_vocab()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "pad_token_id": vocabulary["<|endoftext|>"],
        "bos_token_id": vocabulary["<|extra_203|>"],
        "eos_token_id": vocabulary["<|extra_204|>"],
    }
    vq = {
        "codebook_size": 16,
        "temporal_downsample_factor": 1,
        "base_channels": 32,
        "channel_multiplier": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "attn_resolutions": [3],
        "hidden_size": 32,
    }
    config = transformers.Emu3Config(text_config=text, vq_config=vq, vocabulary_map=vocabulary)
    image_processor = transformers.Emu3ImageProcessor(min_pixels=16 * 16, max_pixels=24 * 32, spatial_factor=8)
    processor = transformers.Emu3Processor(image_processor, tokenizer, chat_template=EMU3_PUBLISHED_TEMPLATE)
    return SimpleNamespace(model=_spread(transformers.Emu3ForConditionalGeneration(config), "model.vqmodel"), processor=processor, tokenizer=tokenizer)


# Source: huggingface/transformers, src/transformers/models/emu3/convert_emu3_weights_to_hf.py
EMU3_PUBLISHED_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}{# Render all images first #}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}{# Render all text next #}"
    "{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}"
    "{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}{{ content['text'] + ' '}}{% endgeneration %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tiny_janus() -> SimpleNamespace:
    """16 x 16 pictures of 4 placeholders or 4 ids each; 16 codes."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(
        ["<s>", "</s>", "<pad>", "<image_placeholder>", "<begin_of_image>", "<end_of_image>", "<|User|>", "<|Assistant|>"],
        bos=True,
        named={"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"},
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )
    vocabulary = tokenizer.get_vocab()
    config = transformers.JanusConfig(
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            pad_token_id=vocabulary["<pad>"],
            bos_token_id=vocabulary["<s>"],
            eos_token_id=vocabulary["</s>"],
        ),
        vision_config=transformers.JanusVisionConfig(
            hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8, projection_dim=32, num_image_tokens=4
        ),
        vq_config={
            "embed_dim": 8,
            "num_embeddings": 16,
            "latent_channels": 32,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "num_patches": 2,
            "projection_dim": 32,
            "num_hidden_layers": 2,
            "image_token_embed_dim": 32,
        },
        image_token_id=vocabulary["<image_placeholder>"],
        tie_word_embeddings=False,
    )
    image_processor = transformers.JanusImageProcessor(size={"height": 16, "width": 16}, min_size=4)
    processor = transformers.JanusProcessor(image_processor, tokenizer, num_image_tokens=4)
    return SimpleNamespace(model=_spread(transformers.JanusForConditionalGeneration(config), "model.vqmodel"), processor=processor, tokenizer=tokenizer)


# The template of llava-hf/llava-1.5-7b-hf, answers in reading order.
LLAVA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% if message['role'] == 'assistant' %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ part['text'] + ' ' }}{% endif %}{% endfor %}"
    "{% else %}{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tiny_llava(chat_template: str = LLAVA_TEMPLATE) -> SimpleNamespace:
    """16 x 16 pictures of 4 placeholders each."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(
        ["<s>", "</s>", "<pad>", "<image>"], bos=True, named={"image_token": "<image>"}, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2
        ),
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    image_processor = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = transformers.LlavaProcessor(
        image_processor, tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=chat_template
    )
    return SimpleNamespace(model=transformers.LlavaForConditionalGeneration(config), processor=processor, tokenizer=tokenizer)


def _spread(model: torch.nn.Module, vq: str) -> torch.nn.Module:
    """Makes a random VQ encoder tell pictures apart: at initialisation most pictures fall on one code."""
    module = model.get_submodule(vq)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "quantize" in name:
                parameter.copy_(torch.randn_like(parameter))
            elif parameter.ndim > 1:
                parameter.normal_(std=1.4 / parameter[0].numel() ** 0.5)
    return model


def sharpen(head: torch.nn.Module) -> None:
    """Makes the logits of a random head differ enough for a wrong position or a wrong target to show in the loss."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(30)


def decode(tokenizer, ids) -> str:
    """Text of ids, control tokens by name."""
    return tokenizer.decode([int(token_id) for token_id in ids], skip_special_tokens=False, clean_up_tokenization_spaces=False)


def supervised(batch, row: int = 0) -> list[int]:
    """Ids a row is trained on, checked to be the very ids of its input at the same places."""
    keep = batch["labels"][row] != -100
    assert torch.equal(batch["labels"][row][keep], batch["input_ids"][row][keep])
    return batch["labels"][row][keep].tolist()


def assert_same_alone_and_together(collate, rows) -> None:
    """Each row of a batch, padding taken off, is what it is on its own."""
    together = collate(rows)
    for number, row in enumerate(rows):
        alone = collate([row])
        length = alone["input_ids"].shape[1]
        assert together["attention_mask"][number].tolist() == [1] * length + [0] * (together["input_ids"].shape[1] - length)
        for name, value in alone.items():
            if value.shape[:2] == (1, length):
                assert torch.equal(together[name][number, :length], value[0]), name
                assert (together[name][number, length:] == (-100 if name == "labels" else 0)).all() or name == "input_ids"


def train(step, parameters, *, num_steps: int, learning_rate: float = 3e-3) -> list[float]:
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    losses = []
    for _ in range(num_steps):
        optimizer.zero_grad()
        loss = step()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
