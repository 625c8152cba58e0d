"""Mllama (Llama 3.2 Vision): pictures reach the text by cross-attention, so a batch says of every token which tiles of
which pictures it sees.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

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
        UsageError: rows of a batch have unlike numbers of pictures. The model of transformers lets a token that sees no
            picture look at all there are, padding too, so what a row teaches would depend on its batch.
    """
    counts = {sample.tensors[MASK].shape[2] if MASK in sample.tensors else 0 for sample in samples}
    if len(counts) > 1:
        raise UsageError(
            f"rows of a batch have {', '.join(map(str, sorted(counts)))} images, and Mllama would let one row look at "
            "the padding of another; use batches of one with gradient accumulation, or where= rows of one number"
        )
