"""The Trainer of transformers over a LossModel and a StreamingDataset.

The plain Trainer trains the same. This one tells losses of text and pictures apart, takes the mean of an evaluation
over tokens and not over batches, reads nothing twice when it resumes, and takes batches by tokens.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback

from toolkit.streaming.accelerate import processes
from toolkit.streaming.cursor import SKIPPED
from toolkit.streaming.dataset import StreamingDataset

KINDS = ("text", "image")


class UnifiedTrainer(Trainer):
    """Arguments as those of Trainer; rows go to the collator whole, so `remove_unused_columns` is off.

    Logs `text_loss` and `image_loss` beside `loss`, means over the tokens of all ranks since the last log; evaluation
    gives `eval_loss`, `eval_text_loss` and `eval_image_loss`, means over all tokens, without the weights of the
    LossModel. A kind without tokens is left out. A dataset with `max_tokens` makes its own batches.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.args.remove_unused_columns = False
        parts = self.args.gradient_accumulation_steps * self.args.world_size
        if parts > 1 and not self.model_accepts_loss_kwargs:
            name = type(self.model).__name__
            warnings.warn(
                f"the loss of {name} does not take num_items_in_batch, so each of the {parts} batches of an update "
                "would weigh the same, whatever its tokens; train LossModel(model, losses), see "
                "understanding_losses",
                stacklevel=2,
            )
        self.data_collator: Any = _PassSkipped(self.data_collator)
        self.add_callback(_SkipUnread())
        self._train_batch_size: int | None
        self._sums: dict[bool, Tensor] = {}  # while training or not -> (2 kinds, loss and tokens)

    def get_train_dataloader(self) -> Any:
        if not (isinstance(self.train_dataset, StreamingDataset) and self.train_dataset.makes_batches):
            return super().get_train_dataloader()
        rows = self._train_batch_size
        self._train_batch_size = None  # of the loader: items are batches
        try:
            return super().get_train_dataloader()
        finally:
            self._train_batch_size = rows

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if "text_tokens" in outputs:
            self._note(outputs)
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:
            logs = {**logs, **self._means(is_training=True, prefix="")}
        super().log(logs, *args, **kwargs)

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        self._sums.pop(False, None)
        with torch.random.fork_rng():  # its loader takes random numbers: training has the same without an evaluation
            output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        output.metrics.update(self._means(is_training=False, prefix=f"{metric_key_prefix}_"))
        return output

    def _note(self, outputs: Mapping[str, Tensor]) -> None:
        tokens = torch.cat([outputs[f"{kind}_tokens"] for kind in KINDS]).double()
        losses = torch.cat([outputs[f"{kind}_loss"] for kind in KINDS]).double().nan_to_num() * tokens
        found = torch.stack([losses, tokens], dim=1)
        is_training = self.model.training
        self._sums[is_training] = self._sums[is_training] + found if is_training in self._sums else found

    def _means(self, *, is_training: bool, prefix: str) -> dict[str, float]:
        """Over all ranks since the last call; every rank has to call it."""
        sums = self._sums.pop(is_training, None)
        if sums is None:
            return {}
        both = self.accelerator.reduce(sums, reduction="sum").tolist()
        means = {
            f"{prefix}{kind}_loss": loss / tokens for kind, (loss, tokens) in zip(KINDS, both, strict=True) if tokens
        }
        loss, tokens = (sum(column) for column in zip(*both, strict=True))
        return means if is_training else {**means, f"{prefix}loss": loss / tokens}


class _PassSkipped:
    """A collator that makes nothing of batches which Trainer only counts."""

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, rows: Any) -> Any:
        return {} if rows is SKIPPED or SKIPPED in rows[:1] else self.collate(rows)


class _SkipUnread(TrainerCallback):
    """Tells the dataset which batches of its epoch Trainer takes from the loader only to count them."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._resumes = state.global_step > 0 and not args.ignore_data_skip

    def on_epoch_begin(self, args: Any, state: Any, control: Any, train_dataloader: Any = None, **_: Any) -> None:
        dataset = train_dataloader.dataset
        if self._resumes and isinstance(dataset, StreamingDataset) and (processes() == 1 or not dataset.reads_all):
            accumulation = args.gradient_accumulation_steps
            updates = max(-(-len(train_dataloader) // accumulation), 1)
            epoch, update = divmod(state.global_step, updates)
            dataset.skip_batches(update * accumulation, epoch=epoch)
        self._resumes = False
