"""The VQ decoder of Chameleon: latents -> pixels.

transformers leaves it out of ChameleonVQVAE, though Chameleon and Anole publish it. Its layers are those of Janus'
decoder but for the attention at the lowest resolution, so that class runs it.
Source: facebookresearch/chameleon, chameleon/inference/vqgan.py, Decoder; GAIR-NLP/anole uses the same weights
"""

import json
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from toolkit.errors import SourceError

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def empty_decoder(vqmodel: Any) -> nn.Module:
    """A decoder with random weights that fits a ChameleonVQVAE: float (B, latent_channels, h, w) -> (B, 3, H, W)."""
    from transformers.models.janus.configuration_janus import JanusVQVAEConfig
    from transformers.models.janus.modeling_janus import JanusVQVAEDecoder

    config = vqmodel.config
    names = ("latent_channels", "base_channels", "channel_multiplier", "num_res_blocks", "dropout")
    decoder: nn.Module = JanusVQVAEDecoder(JanusVQVAEConfig(**{name: getattr(config, name) for name in names}))
    attended = config.attn_resolutions or ()
    side = config.resolution // 2 ** (len(config.channel_multiplier) - 1)
    if side not in attended:
        decoder.up[0].attn = nn.ModuleList()  # type: ignore[union-attr,index]
    return decoder.eval().requires_grad_(False)


def load_decoder(source: str | Path, vqmodel: Any) -> nn.Module:
    """The decoder in a file or a checkpoint, of the device and type of `vqmodel`.

    Raises:
        SourceError: nothing there, it holds no decoder, or one of another model.
    """
    weights = _weights(str(source))
    if not weights:
        raise SourceError(f"{source}: holds no VQ decoder; expected vqgan.ckpt of the Chameleon or Anole release")
    decoder = empty_decoder(vqmodel)
    try:
        decoder.load_state_dict(_ordered(weights, len(vqmodel.config.channel_multiplier)))
    except RuntimeError as error:
        raise SourceError(
            f"{source}: holds the VQ decoder of another model: {str(error).splitlines()[-1].strip()}"
        ) from error
    weight = next(vqmodel.parameters())
    return decoder.to(weight.device, weight.dtype)


def _ordered(weights: dict[str, Tensor], num_levels: int) -> dict[str, Tensor]:
    """Levels from the lowest resolution to the highest; Chameleon's own file counts the other way.

    The highest level is the one that has nothing to scale up.
    """
    if not any(name.startswith(f"up.{num_levels - 1}.upsample.") for name in weights):
        return weights
    ordered = {}
    for name, value in weights.items():
        if found := re.fullmatch(r"up\.(\d+)\.(.*)", name):
            name = f"up.{num_levels - 1 - int(found[1])}.{found[2]}"
        ordered[name] = value
    return ordered


def _weights(source: str) -> dict[str, Tensor]:
    """Weights of the decoder by their names inside it; none where there is no decoder."""
    path = Path(source)
    try:
        if path.is_file():
            return _from_file(path)
        shards = _shards(source)
        return {name: value for shard in shards for name, value in _from_file(Path(shard)).items()}
    except (OSError, HFValidationError, SafetensorError, UnpicklingError, RuntimeError, ValueError) as error:
        raise SourceError(
            f"{source}: cannot be read as a VQ decoder: {str(error).splitlines()[0]}; expected vqgan.ckpt of Chameleon "
            "or Anole, or a folder or Hub model with safetensors"
        ) from error


def _shards(source: str) -> list[str]:
    """The files of a checkpoint that hold a decoder, fetched where it is on the Hub."""

    def file(name: str) -> str:
        return str(Path(source) / name) if Path(source).is_dir() else hf_hub_download(source, name)

    try:
        index = json.loads(Path(file(INDEX)).read_text(encoding="utf-8"))["weight_map"]
    except (FileNotFoundError, EntryNotFoundError):
        return [file(SINGLE)]
    return [file(name) for name in sorted({shard for name, shard in index.items() if _inner(name)})]


def _from_file(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            return {inner: file.get_tensor(name) for name in file.keys() if (inner := _inner(name))}  # noqa: SIM118
    saved = torch.load(path, map_location="cpu", weights_only=True)
    return {inner: value for name, value in saved.get("state_dict", saved).items() if (inner := _inner(name))}


def _inner(name: str) -> str:
    """Name inside the decoder, "" for other weights."""
    return name.partition("decoder.")[2] if name.startswith("decoder.") or "vqmodel.decoder." in name else ""
