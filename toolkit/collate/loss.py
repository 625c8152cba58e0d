"""Losses of text and of pictures, apart and together, and one module that makes them safe to distribute.

    collator -> batch -> LossModel(model, janus_losses)(**batch)["loss"]

The stock models cannot give them for Chameleon and Janus. Emu3's own `model(**batch).loss` is the same number as here,
not told apart; so it is with models that only understand, see understanding_loss.py.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from toolkit.collate.common import IGNORE_INDEX, POSITIONS
from toolkit.errors import UsageError


class TokenLosses(NamedTuple):
    """Next-token cross entropy of every supervised token of a batch.

    Attributes:
        text: float (T,), tokens of text and those that frame pictures.
        image: float (I,), ids of pictures.
        log_z: float (T + I,), log of the softmax's denominator at each, where one vocabulary holds both; else None.
    """

    text: Tensor
    image: Tensor
    log_z: Tensor | None = None

    @property
    def mean(self) -> Tensor:
        """float (), over both kinds of tokens alike."""
        return torch.cat([self.text, self.image]).mean()


Losses = Callable[[Any, Mapping[str, Tensor]], TokenLosses]


class LossModel(torch.nn.Module):
    """A model whose forward is a loss, so that Trainer, Accelerate, DDP and FSDP see one forward call.

    Adapters first, then this, then distribution: `DistributedDataParallel(LossModel(get_peft_model(model, config),
    janus_losses))`. Everything else (`config`, `generate`, `save_pretrained`, `gradient_checkpointing_enable`, ...) is
    that of the model inside. A `state_dict` holds tied weights once, and of a PEFT model what is trained.

    Args:
        model: of transformers or PEFT.
        losses: `vocabulary_losses`, `janus_losses` or `understanding_losses(collate)`.
        text_weight, image_weight: factors of the losses of tokens of each kind.
        z_loss: factor of log Z squared per token, which keeps logits of a vocabulary of text and pictures from
            drifting; Chameleon was trained with 1e-5. Source: arXiv 2405.09818, section 2.3.2.

    Returns:
        loss: float (): the weighted sum over supervised tokens, divided by `num_items_in_batch`, or by their number in
            this batch; 0 where there are none. Trainer passes the tokens of all micro-batches and ranks of an update; a
            loop of one's own gets them from `tokens_of_update`.
        text_loss, image_loss: float (1,), the means over tokens of each kind, unweighted, without gradient; nan where a
            batch has none.
        text_tokens, image_tokens: int64 (1,), of how many.

    Raises:
        UsageError: `z_loss` with a model that has a head for each kind.
    """

    accepts_loss_kwargs = True  # Trainer passes num_items_in_batch

    def __init__(
        self,
        model: torch.nn.Module,
        losses: Losses,
        *,
        text_weight: float = 1.0,
        image_weight: float = 1.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__()
        self.model, self._losses = model, losses
        self._text_weight, self._image_weight, self._z_loss = text_weight, image_weight, z_loss
        self.register_state_dict_post_hook(_leave_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_miss_nothing_left_out)  # type: ignore[no-untyped-call]

    # Trainer looks for an argument `labels` to know that evaluation has a loss.
    def forward(
        self, labels: Tensor, num_items_in_batch: Tensor | float | None = None, **batch: Tensor
    ) -> dict[str, Tensor]:
        losses = self._losses(self.model, {**batch, "labels": labels})
        total = self._text_weight * losses.text.sum() + self._image_weight * losses.image.sum()
        if self._z_loss:
            if losses.log_z is None:
                raise UsageError("z_loss is for models with one vocabulary of text and pictures; leave it out")
            total = total + self._z_loss * losses.log_z.square().sum()
        if num_items_in_batch is None:
            num_items_in_batch = losses.text.numel() + losses.image.numel()
        found = {"loss": total / (num_items_in_batch + (num_items_in_batch == 0))}
        for name, values in (("text", losses.text.detach()), ("image", losses.image.detach())):
            found[f"{name}_loss"] = values.mean().reshape(1)
            found[f"{name}_tokens"] = torch.tensor([values.numel()], device=values.device)
        return found

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":  # not made yet, as when unpickling
                raise
            return getattr(self.model, name)


def tokens_of_update(batches: Iterable[Mapping[str, Tensor]], *, device: Any = None) -> float:
    """The `num_items_in_batch` of an update, for a loop of one's own.

    Supervised tokens of all micro-batches, summed over the ranks of torch.distributed, divided by the number of ranks:
    DDP and FSDP take the mean over ranks, and sums over micro-batches are left to `backward`.

    Args:
        batches: the micro-batches of this rank.
        device: where ranks talk to one another; default: that of the batches.
    """
    counts = [(batch["labels"] != IGNORE_INDEX).sum() for batch in batches]
    tokens = torch.stack(counts).sum().to(device)
    num_ranks = 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(tokens)
        num_ranks = torch.distributed.get_world_size()
    return tokens.item() / num_ranks  # a number: FSDP would cast a tensor to the precision it computes in


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
    model = unwrapped(model)
    hidden = model.model(input_ids=batch["input_ids"], **attention(batch)).last_hidden_state[:, :-1]
    labels = batch["labels"][:, 1:]
    supervised = labels != IGNORE_INDEX
    logits = model.lm_head(hidden[supervised]).float()
    losses = cross_entropy(logits, labels[supervised], reduction="none")
    is_image = torch.isin(
        labels[supervised], torch.tensor(model.model.vocabulary_mapping.image_tokens, device=labels.device)
    )
    return TokenLosses(losses[~is_image], losses[is_image], logits.logsumexp(-1))


def janus_losses(model: Any, batch: Mapping[str, Tensor]) -> TokenLosses:
    """Text by the text head, picture ids by the generation head. Their mean weighs all tokens alike.

    A batch without prompt pictures shows the vision tower a black one, whose part in the loss is nothing: so each rank
    of a distributed run has gradients of the same parameters.

    Source: arXiv 2410.13848, section 3.3: one sum over target tokens, no weights between tasks.

    Args:
        model: JanusForConditionalGeneration.
        batch: of JanusCollator.
    """
    model = unwrapped(model)
    ids, mask = batch["gen_image_ids"], batch["gen_image_mask"]
    black = None
    if batch.get("pixel_values") is None and every_part_counts():
        black = _black_picture(model)  # before the language model, as pictures are: FSDP gathers in this order
    hidden = model.model(**janus_inputs(model, batch)).last_hidden_state[:, :-1]
    labels = batch["labels"][:, 1:]
    is_text = (labels != IGNORE_INDEX) & ~mask[:, 1:]
    text = cross_entropy(model.lm_head(hidden[is_text]).float(), labels[is_text], reduction="none")
    scores = model.model.generation_head(hidden[mask[:, 1:]]).float()
    image = cross_entropy(scores, ids.flatten(), reduction="none")
    if black is not None:
        image = image + 0 * black
    return TokenLosses(text, image)


def janus_inputs(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `model.model` takes: answer pictures of a batch embedded as codes, prompt pictures as pixels."""
    drawn = model.prepare_embeddings_for_image_generation(batch["gen_image_ids"])
    text = model.get_input_embeddings()(batch["input_ids"])
    return {
        "inputs_embeds": text.masked_scatter(batch["gen_image_mask"].unsqueeze(-1), drawn.to(text.dtype)),
        **attention(batch),
        "pixel_values": batch.get("pixel_values"),
    }


def every_part_counts() -> bool:
    """Whether a batch without pictures has to run the vision tower: for gradients, or because ranks that have pictures
    gather its weights (FSDP) and wait for those that have none.
    """
    ranks = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.is_grad_enabled() or ranks


def _black_picture(model: Any) -> Tensor:
    """float (), of no meaning, with a gradient of the whole vision tower."""
    side = model.config.vision_config.image_size
    weight = next(model.model.vision_model.parameters())
    pixels = torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)
    total: Tensor = model.model.get_image_features(pixels, return_dict=True).pooler_output.float().mean()
    return total


def _left_out(module: torch.nn.Module) -> set[str]:
    """Names that a state has under another name, tied weights, or, with adapters, that nothing has changed."""
    named = list(module.named_parameters(remove_duplicate=False))
    first = {id(parameter): name for name, parameter in reversed(named)}
    tied = {name for name, parameter in named if first[id(parameter)] != name}
    if not (isinstance(module, LossModel) and hasattr(module.model, "peft_config")):
        return tied
    frozen = {name for name, parameter in named if not parameter.requires_grad}
    return tied | frozen | {name for name, _ in module.named_buffers()}


def _leave_out(module: torch.nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in _left_out(module):
        state.pop(prefix + name, None)


def _miss_nothing_left_out(module: torch.nn.Module, keys: Any) -> None:
    # Names of a state are those of the outermost module: without its prefix they end with ours.
    left_out = _left_out(module)
    keys.missing_keys[:] = [
        name
        for name in keys.missing_keys
        if name not in left_out and not any(name.endswith(f".{each}") for each in left_out)
    ]
