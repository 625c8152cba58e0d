"""Train Chameleon with Lightning: a StatefulDataLoader, whose state goes into Lightning's checkpoints.

python examples/train_lightning.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_lightning.py --resume    # resume where it was stopped or killed
torchrun --nproc-per-node 8 examples/train_lightning.py --model leloy/Anole-7b-v0.1-hf --data org/packed \
    --checkpointing --lora 16 --learning-rate 1e-4 --accumulate 4 --steps 1000
"""

import argparse
import os
import warnings

import pytorch_lightning as lightning
import torch
from finish import finish
from loop import Updates
from pytorch_lightning.callbacks import ModelCheckpoint
from start import adapted, begin, options, packed_data, stored_tokens
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import ChameleonForConditionalGeneration, ChameleonProcessor

from toolkit.demo.tiny_models import tiny_chameleon
from unifiedvisual import LossModel, StreamingDataset, get_collator, get_tokenizer, tokens_of_update, vocabulary_losses


class Training(lightning.LightningModule):
    def __init__(self, model: LossModel, args: argparse.Namespace) -> None:
        super().__init__()
        self.model, self.args = model, args
        self.automatic_optimization = False  # Lightning would take the mean of the means of accumulated batches

    def configure_optimizers(self):
        trained = [each for each in self.model.parameters() if each.requires_grad]
        return torch.optim.AdamW(trained, lr=self.args.learning_rate, weight_decay=self.args.weight_decay)

    def on_train_epoch_start(self) -> None:
        self.trainer.train_dataloader.dataset.set_epoch(self.current_epoch)  # which Lightning does not tell it

    def training_step(self, update, _):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        tokens = tokens_of_update(update, device=self.device)
        total = torch.zeros((), device=self.device)
        for batch in update:
            loss = self.model(**batch, num_items_in_batch=tokens)["loss"]
            self.manual_backward(loss)
            total += loss.detach()
        self.clip_gradients(optimizer, gradient_clip_val=self.args.clip)
        optimizer.step()
        self.log("loss", total, prog_bar=True, sync_dist=True)


class Losses(lightning.Callback):
    """Of every step, in the checkpoints too."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, *_) -> None:
        self.losses.append(trainer.callback_metrics["loss"].item())

    def state_dict(self) -> dict:
        return {"losses": self.losses}

    def load_state_dict(self, state: dict) -> None:
        self.losses = state["losses"]


def train(model: LossModel, collate, data: str, args: argparse.Namespace) -> list[float]:
    rows = args.batch_size * args.accumulate
    # Ranks share the rows out by themselves, as soon as Lightning has started them.
    dataset = StreamingDataset(data, args.config, batch_size=rows, decode=None)
    loader = StatefulDataLoader(
        dataset, batch_size=rows, num_workers=args.workers, collate_fn=Updates(collate, args.batch_size)
    )
    losses = Losses()
    # It is to hold the state after the update, as the dataset's is.
    warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")
    saving = ModelCheckpoint(
        args.out / "lightning", save_last=True, every_n_train_steps=args.save_every, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        accelerator="auto" if torch.cuda.is_available() else "cpu",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        strategy="ddp" if "RANK" in os.environ else "auto",
        precision="bf16-mixed" if args.precision == "mixed" else "32-true",
        max_steps=args.steps,
        max_epochs=-1,
        callbacks=[losses, saving],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    if args.checkpointing:
        model.gradient_checkpointing_enable()
    last = args.out / "lightning" / "last.ckpt"
    trainer.fit(
        Training(model.float().train(), args), loader, ckpt_path=last if args.resume and last.exists() else None
    )
    return losses.losses


def main() -> None:
    args = options(__doc__).parse_args()
    begin(args)
    if args.model:
        processor = ChameleonProcessor.from_pretrained(args.model)
        model = ChameleonForConditionalGeneration.from_pretrained(args.model)
    else:
        processor, model = (tiny := tiny_chameleon()).processor, tiny.model
    data = packed_data(args)
    tokenizer = get_tokenizer(model, processor)
    tokens = stored_tokens(args, data, tokenizer)
    collate = get_collator("chameleon", processor=processor, image_tokens=tokens, max_length=4096, on_bad_row="skip")
    model = adapted(model, args)
    losses = train(LossModel(model, vocabulary_losses), collate, data, args)
    print(f"loss: {losses[0]:.3f} -> {losses[-1]:.3f} ({len(losses)} steps)")
    finish(model, processor, collate, tokenizer, data, args)


if __name__ == "__main__":
    main()
