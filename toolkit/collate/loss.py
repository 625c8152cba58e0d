"""Losses that the stock models cannot give, and one module that makes them safe to distribute.

    collator -> batch -> LossModel(model, janus_loss)(**batch)["loss"]

Emu3 and the understanding models need none of this: `model(**batch).loss`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from toolkit.collate.common import IGNORE_INDEX

Loss = Callable[[Any, Mapping[str, Tensor]], Tensor]


class LossModel(torch.nn.Module):
    """A model whose forward is a loss, so that Trainer, DDP and FSDP see one forward call and find every parameter it used.

    Wrap first, distribute second: `DistributedDataParallel(LossModel(model, janus_loss), find_unused_parameters=True)`; batches
    without pictures leave towers unused. Save with `wrapped.model.save_pretrained(...)`.

    Returns:
        loss: float (), mean over supervised tokens.
    """

    accepts_loss_kwargs = False  # transformers' Trainer then divides by the accumulation steps itself

    def __init__(self, model: torch.nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        return {"loss": self._loss(self.model, batch)}


def chameleon_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Next-token cross entropy over text and pictures alike, float (), mean over supervised tokens.

    The stock forward sets every image logit to the smallest number: loss inf, no gradient for those rows of the head. Here logits
    are computed for supervised positions only, (S, V), from the hidden states.

    Args:
        model: ChameleonForConditionalGeneration.
        batch: of ChameleonCollator.
    """
    hidden = model.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, :-1]
    labels = batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    return cross_entropy(model.lm_head(hidden[supervised]).float(), labels[supervised])


def janus_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Next-token cross entropy, text by the text head, picture ids by the generation head; float (), mean over all supervised tokens.

    Source: arXiv 2410.13848, section 3.3: one sum over target tokens, no weights between tasks.

    Args:
        model: JanusForConditionalGeneration.
        batch: of JanusCollator.
    """
    ids, mask = batch["gen_image_ids"], batch["gen_image_mask"]
    drawn = model.prepare_embeddings_for_image_generation(ids)
    text = model.get_input_embeddings()(batch["input_ids"])
    embeds = text.masked_scatter(mask.unsqueeze(-1), drawn.to(text.dtype))
    outputs = model.model(inputs_embeds=embeds, attention_mask=batch["attention_mask"], pixel_values=batch.get("pixel_values"))
    hidden, labels = outputs.last_hidden_state[:, :-1], batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    text_loss = cross_entropy(model.lm_head(hidden[supervised]).float(), labels[supervised], reduction="sum")
    image_loss = cross_entropy(model.model.generation_head(hidden[mask[:, 1:]]).float(), ids.flatten(), reduction="sum")
    return (text_loss + image_loss) / (supervised.sum() + ids.numel())
