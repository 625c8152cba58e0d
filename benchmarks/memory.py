"""GPU memory that examples/loop.py needs, computed: models are built on the meta device, which holds no numbers.

    python benchmarks/memory.py --models Janus-Pro-1B
    python benchmarks/memory.py --check         # against the peak of an update of a small Chameleon on a CPU

Per GPU, in GiB (2^30 bytes), for one row of `--tokens` tokens at once, with --precision mixed and --checkpointing:

    weights      4 bytes each; of frozen ones 2, as checkpoints have them
    gradients    4 bytes of what is trained; AdamW 8 more
    in bfloat16  2 bytes of each weight that is computed with: all of them under autocast, of two layers with FSDP2
    activations  the input of each layer, 4 bytes (autocast adds in float32), and all that one layer makes, recomputed
                 in the backward pass, 2 bytes
    logits       of all tokens, as if all were supervised: 14 bytes each (bfloat16, float32, log-softmax, gradient)

All are there at once from the second batch of an accumulated update on. FSDP2 divides the first two lines by the GPUs.
Not counted: CUDA's own (about 1 GiB), fragmentation, buffers of NCCL. Sizes of the published models, from their
config.json.
"""

import argparse
import itertools
from typing import Any

import torch
import transformers
from transformers import (
    ChameleonConfig,
    ChameleonForConditionalGeneration,
    CLIPVisionConfig,
    Emu3Config,
    Emu3ForConditionalGeneration,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from unifiedvisual import LossModel, vocabulary_losses

GIB = 2**30
RANK = 16  # of adapters


def chameleon() -> Any:
    codes = {f"IMGIMG{''.join(chr(65 + int(digit)) for digit in str(number))}Z": number for number in range(8192)}
    return ChameleonForConditionalGeneration(ChameleonConfig(vocabulary_map={"<image>": 8711, **codes}))


def emu3() -> Any:
    codes = {f"<|visual token {number:06d}|>": 151854 + number for number in range(32768)}
    vocabulary = {"<image>": 151851, "<|extra_200|>": 151846, **codes}
    return Emu3ForConditionalGeneration(Emu3Config(vocabulary_map=vocabulary))


def janus(*, hidden: int, layers: int, heads: int, inner: int) -> Any:
    text = LlamaConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        intermediate_size=inner,
        vocab_size=102400,
    )
    vision = JanusVisionConfig(projection_dim=hidden, depth=2)
    vq = {"projection_dim": hidden, "image_token_embed_dim": hidden, "num_patches": 24}
    config = JanusConfig(text_config=text, vision_config=vision, vq_config=vq, image_token_id=100581)
    return JanusForConditionalGeneration(config)


def llava() -> Any:
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    return LlavaForConditionalGeneration(LlavaConfig(text_config=LlamaConfig(vocab_size=32064), vision_config=vision))


MODELS = {
    "Chameleon-7B, Anole-7B": chameleon,
    "Emu3-8B": emu3,
    "Janus-Pro-1B": lambda: janus(hidden=2048, layers=24, heads=16, inner=5632),
    "Janus-Pro-7B": lambda: janus(hidden=4096, layers=30, heads=32, inner=11008),
    "LLaVA-1.5-7B": llava,
}
SETTINGS = {  # name -> (GPUs, adapters)
    "all, 1 GPU": (1, False),
    "all, FSDP2 over 8": (8, False),
    f"LoRA {RANK}, 1 GPU": (1, True),
}


def adapters(model: Any) -> int:
    """Numbers of adapters around every linear layer of the language model, as examples/start.py puts them."""
    linear = [
        module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and ".layers." in name and not {"vqmodel", "vision"} & set(_rooms(name))
    ]
    return sum(RANK * (each.in_features + each.out_features) for each in linear)


def _rooms(name: str) -> list[str]:
    return [part.partition("_")[0] for part in name.split(".")]


def memory(model: Any, *, gpus: int, with_adapters: bool, tokens: int) -> float:
    """Bytes on each GPU."""
    text = model.config.get_text_config()
    frozen = sum(each.numel() for name, each in model.named_parameters() if "vqmodel" in name)
    weights = sum(each.numel() for each in model.parameters()) - frozen
    layer = (weights - 2 * text.vocab_size * text.hidden_size) / text.num_hidden_layers
    trained, kept = (adapters(model), weights + frozen) if with_adapters else (weights, frozen)
    held = trained * (4 + 4 + 8) / gpus + kept * (2 if gpus == 1 else 4) / gpus
    computed_with = 0 if with_adapters else 2 * (weights if gpus == 1 else 2 * layer)
    of_a_layer = tokens * (8 * text.hidden_size + 3 * text.intermediate_size) * 2
    activations = text.num_hidden_layers * tokens * text.hidden_size * 4 + of_a_layer
    total: float = held + computed_with + activations + tokens * text.vocab_size * 14
    return total


def small_chameleon() -> Any:
    codes = {f"IMGIMG{chr(65 + number)}Z": number for number in range(8)}
    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 688, "vocab_size": 4096}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4}
    vq = {"base_channels": 32, "embed_dim": 32, "num_embeddings": 8, "latent_channels": 32, "resolution": 64}
    config = ChameleonConfig(vocabulary_map={"<image>": 8, **codes}, vq_config=vq, **sizes, **heads)
    return ChameleonForConditionalGeneration(config)


def measured(model: Any, *, tokens: int) -> float:
    """Bytes that are held at the peak of an update, weights and optimizer included, by torch's profiler on a CPU.

    The update is that of examples/loop.py with --precision mixed, --checkpointing and --accumulate 2.
    """
    model.model.vqmodel.requires_grad_(False).bfloat16()
    model.gradient_checkpointing_enable()
    trained = [each for each in model.parameters() if each.requires_grad]
    made, optimizer = LossModel(model.train(), vocabulary_losses), torch.optim.AdamW(trained)
    ids = torch.randint(model.config.get_text_config().vocab_size, (1, tokens))

    def update() -> None:
        optimizer.zero_grad()
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                found = made(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids)
            found["loss"].backward()
        optimizer.step()

    update()  # makes the state of AdamW
    optimizer.zero_grad()
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=cpu, profile_memory=True) as profile:
        update()
    events: Any = profile.profiler.kineto_results.events()
    changes = sorted((each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]")
    peak = max(itertools.accumulate(nbytes for _, nbytes in changes))
    held = sum(each.numel() * each.element_size() for each in model.parameters())
    return float(held + sum(each.numel() for each in trained) * 8 + peak)


def check(tokens: int) -> str:
    found = measured(small_chameleon(), tokens=tokens)
    computed = memory(small_chameleon(), gpus=1, with_adapters=False, tokens=tokens)
    measures = f"measured {found / 2**20:.0f} MiB, computed {computed / 2**20:.0f}"
    return f"{tokens} tokens: {measures}, {computed / found:.2f} times as much"


def table(names: list[str], *, tokens: int) -> str:
    lines = ["| model | weights, billion | " + " | ".join(SETTINGS) + " |", "|---" * (2 + len(SETTINGS)) + "|"]
    for name in names:
        with torch.device("meta"):
            model = MODELS[name]()
        cells = [
            f"{memory(model, gpus=gpus, with_adapters=lora, tokens=tokens) / GIB:.0f}"
            for gpus, lora in SETTINGS.values()
        ]
        count = sum(each.numel() for each in model.parameters()) / 1e9
        lines.append(f"| {name} | {count:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--check", action="store_true", help="compare with a measured update of a small model")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    if args.check:
        print(*map(check, (256, 512, 2048, 4096)), sep="\n")
    else:
        print(table(args.models, tokens=args.tokens))
