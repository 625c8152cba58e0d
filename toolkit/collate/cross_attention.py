"""Mllama (Llama 3.2 Vision): pictures reach the text by cross-attention, so a batch says of every token which tiles of
which pictures it sees.

A token before the first picture sees none, and transformers lets it look at all there are, padding too: what a row
teaches would depend on its batch. So rows of a batch have one number of pictures, or `cross_attended` computes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from toolkit.collate.common import Sample
from toolkit.errors import UsageError

MASK = "cross_attention_mask"


def with_mask(sample: Sample, image_id: int) -> Sample:
    """The mask made anew for a row whose pictures stand where they are seen: int64 (1, L, pictures, tiles).

    Source: transformers 5.24, models/mllama/processing_mllama.py, MllamaProcessor.__call__
    """
    from transformers.models.mllama import processing_mllama

    ids, tiles = sample.columns["input_ids"], sample.tensors["aspect_ratio_mask"]
    mask: Any = processing_mllama.convert_sparse_cross_attention_mask_to_dense(
        [processing_mllama.get_cross_attention_token_mask(ids, image_id)],
        num_tiles=tiles.sum(-1).tolist(),
        max_num_tiles=tiles.shape[-1],
        length=len(ids),
    )
    return replace(sample, tensors={**sample.tensors, MASK: torch.from_numpy(mask)})


def check_alike(samples: Sequence[Sample]) -> None:
    """
    Raises:
        UsageError: rows of a batch have unlike numbers of pictures.
    """
    counts = {sample.tensors[MASK].shape[2] if MASK in sample.tensors else 0 for sample in samples}
    if len(counts) > 1:
        raise UsageError(
            f"rows of a batch have {', '.join(map(str, sorted(counts)))} images, and Mllama would let one row look at "
            "the padding of another; train LossModel(model, understanding_losses(collate)), use batches of one with "
            "gradient accumulation, or where= rows of one number"
        )


def blank_picture(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What stands in the place of a picture in a row without any, made of the tensors of a picture.

    Source: transformers 5.24, models/mllama/image_processing_mllama.py: the aspect ratio of no picture is 0
    """
    return {name: torch.zeros_like(value) for name, value in tensors.items() if name != MASK}


def filled(sample: Sample, blank: Mapping[str, Tensor]) -> Sample:
    """A sample that has a picture, if a blank one that none of its tokens sees."""
    if MASK in sample.tensors:
        return sample
    mask = torch.zeros(1, sample.num_tokens, 1, blank["aspect_ratio_mask"].shape[-1], dtype=torch.int64)
    return replace(sample, tensors={**blank, MASK: mask})


def cross_attended(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Hidden states as MllamaModel makes them of each row alone, whatever rows stand beside it.

    Tokens that see no picture look at all pictures of their own row, and at no padding; in rows without pictures the
    layers of cross-attention add nothing, for they attend to zeros and have no biases.

    Source: transformers 5.24, models/mllama/modeling_mllama.py, MllamaModel.forward

    Args:
        model: MllamaModel.
        batch: rows, each with a picture, if a blank one.

    Returns:
        float (B, L, hidden size).
    """
    seen = batch[MASK].bool()  # (B, L, pictures, tiles)
    own = seen.any(dim=3).any(dim=1)  # (B, pictures)
    blind = ~seen.flatten(2).any(dim=2)  # (B, L)
    has_pictures = own.any(dim=1)
    tiles_mask = batch["aspect_ratio_mask"].clone()
    tiles_mask[..., 0] = 1  # of padding too, which has something to attend to then
    encoded = model.vision_model(
        pixel_values=batch["pixel_values"], aspect_ratio_ids=batch["aspect_ratio_ids"], aspect_ratio_mask=tiles_mask
    ).last_hidden_state
    states = model.multi_modal_projector(encoded)
    states = states.reshape(len(seen), -1, states.shape[-1]) * has_pictures[:, None, None]
    visible = seen | (blind[:, :, None] & (own | ~has_pictures[:, None])[:, None])[..., None]
    hidden = torch.zeros_like(visible, dtype=states.dtype).masked_fill(~visible, torch.finfo(states.dtype).min)
    hidden = hidden.repeat_interleave(model.vision_model.num_patches, dim=3).flatten(2)[:, None]
    found: Tensor = model.language_model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        cross_attention_states=states,
        cross_attention_mask=hidden,
        full_text_row_masked_out_mask=(~blind)[:, None, :, None].to(states.dtype),
        use_cache=False,
    ).last_hidden_state
    return found
