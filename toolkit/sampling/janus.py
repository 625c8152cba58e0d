"""Janus: picture ids are codes with a head and embeddings of their own, behind placeholders of the text vocabulary."""

from collections.abc import Generator, Mapping
from typing import Any

import torch
from torch import Tensor

from toolkit.collate.janus import JanusCollator
from toolkit.collate.loss import janus_inputs
from toolkit.sampling.grammar import Ask, Sampler, fixed, image_run


class JanusSampler(Sampler):
    """A picture: boi, `num_image_tokens` codes, eoi."""

    def __init__(self, model: Any, collator: JanusCollator) -> None:
        super().__init__(model, collator, boi=collator.boi)
        self.num_ids, self.eoi = collator.num_ids, collator.eoi
        self.least_tokens = self.num_ids + 2
        num_codes = model.model.generation_embeddings.num_embeddings
        self.image_ids = torch.arange(num_codes, device=self.text_only.device)

    def inputs(self, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        return janus_inputs(self.model, batch)

    def image_scores(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self.model.model.generation_head(hidden)
        return scores

    def embed_images(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self.model.prepare_embeddings_for_image_generation(ids)
        return embeddings

    def picture(self, room: int) -> Generator[Ask, int, list[int]]:
        ids = yield from image_run(self.num_ids)
        yield fixed(self.eoi)
        return ids
