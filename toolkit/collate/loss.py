"""Losses of text and of pictures, apart and together, and one module that makes them safe to distribute.

    collator -> batch -> LossModel(model, janus_losses)(**batch)["loss"]

The stock models cannot give them for Chameleon and Janus. Emu3's own `model(**batch).loss` is the same number as here,
not told apart; the understanding models need nothing but their own.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from toolkit.collate.common import IGNORE_INDEX, POSITIONS


class TokenLosses(NamedTuple):
    """Next-token cross entropy of every supervised token of a batch.

    Attributes:
        text: float (T,), tokens of text and those that frame pictures.
        image: float (I,), ids of pictures.
    """

    text: Tensor
    image: Tensor

    @property
    def mean(self) -> Tensor:
        """float (), over both kinds of tokens alike."""
        return torch.cat(self).mean()


Losses = Callable[[Any, Mapping[str, Tensor]], TokenLosses]


class LossModel(torch.nn.Module):
    """A model whose forward is a loss, so that Trainer, DDP and FSDP see one forward call and find every parameter it
    used.

    Wrap first, distribute second: `DistributedDataParallel(LossModel(model, janus_losses),
        find_unused_parameters=True)`; batches without pictures leave towers unused. Save with
        `wrapped.model.save_pretrained(...)`.

    Returns:
        loss: float (), mean over supervised tokens.
        text_loss, image_loss: float (), the means over tokens of each kind, without gradient; nan where a batch has
            none.
    """

    accepts_loss_kwargs = False  # transformers' Trainer then divides by the accumulation steps itself

    def __init__(self, model: torch.nn.Module, losses: Losses) -> None:
        super().__init__()
        self.model, self._losses = model, losses

    def forward(self, **batch: Tensor) -> dict[str, Tensor]:
        losses = self._losses(self.model, batch)
        return {
            "loss": losses.mean,
            "text_loss": losses.text.detach().mean(),
            "image_loss": losses.image.detach().mean(),
        }


def unwrapped(model: Any) -> Any:
    """The model of transformers inside a LossModel, DistributedDataParallel or a PEFT model, whose adapters stay."""
    while True:
        if isinstance(model, LossModel):
            model = model.model
        elif hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def attention(batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a model is told of who attends to whom; packed rows have positions, and no cache, in place of a mask."""
    if POSITIONS in batch:
        return {POSITIONS: batch[POSITIONS], "use_cache": False}
    return {"attention_mask": batch["attention_mask"]}


def vocabulary_losses(model: Any, batch: Mapping[str, Tensor]) -> TokenLosses:
    """For models whose picture ids are part of the text vocabulary: Chameleon, Anole and Emu3.

    The stock forward of Chameleon sets every image logit to the smallest number: loss inf, no gradient for those rows
        of the head. Here logits are computed for supervised positions only, (S, V), from the hidden states.

    Args:
        model: ChameleonForConditionalGeneration or Emu3ForConditionalGeneration.
        batch: of ChameleonCollator or Emu3Collator.
    """
    hidden = model.model(input_ids=batch["input_ids"], **attention(batch)).last_hidden_state[:, :-1]
    labels = batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    losses = cross_entropy(model.lm_head(hidden[supervised]).float(), labels[supervised], reduction="none")
    is_image = torch.isin(
        labels[supervised], torch.tensor(model.model.vocabulary_mapping.image_tokens, device=labels.device)
    )
    return TokenLosses(losses[~is_image], losses[is_image])


def janus_losses(model: Any, batch: Mapping[str, Tensor]) -> TokenLosses:
    """Text by the text head, picture ids by the generation head. Their mean weighs all tokens alike.

    Source: arXiv 2410.13848, section 3.3: one sum over target tokens, no weights between tasks.

    Args:
        model: JanusForConditionalGeneration.
        batch: of JanusCollator.
    """
    ids, mask = batch["gen_image_ids"], batch["gen_image_mask"]
    outputs = model.model(**janus_inputs(model, batch))
    hidden, labels = outputs.last_hidden_state[:, :-1], batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    return TokenLosses(
        cross_entropy(model.lm_head(hidden[supervised]).float(), labels[supervised], reduction="none"),
        cross_entropy(model.model.generation_head(hidden[mask[:, 1:]]).float(), ids.flatten(), reduction="none"),
    )


def janus_inputs(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `model.model` takes: answer pictures of a batch embedded as codes, prompt pictures as pixels."""
    drawn = model.prepare_embeddings_for_image_generation(batch["gen_image_ids"])
    text = model.get_input_embeddings()(batch["input_ids"])
    return {
        "inputs_embeds": text.masked_scatter(batch["gen_image_mask"].unsqueeze(-1), drawn.to(text.dtype)),
        **attention(batch),
        "pixel_values": batch.get("pixel_values"),
    }
