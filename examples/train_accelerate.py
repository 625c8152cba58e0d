"""Train Janus in a loop of your own over Accelerate: its precision, its processes, its checkpoints.

python examples/train_accelerate.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_accelerate.py --resume    # resume where it was stopped or killed
accelerate launch --num_processes 8 examples/train_accelerate.py --model deepseek-community/Janus-Pro-1B \
    --data org/packed --accumulate 2 --learning-rate 1e-5 --steps 1000
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from finish import finish
from loop import Updates, checkpoints, mean
from start import adapted, begin, options, packed_data, stored_tokens
from torch.utils.data import DataLoader
from transformers import JanusForConditionalGeneration, JanusProcessor

from toolkit.demo.tiny_models import tiny_janus
from unifiedvisual import LossModel, StreamingDataset, get_collator, get_tokenizer, janus_losses, tokens_of_update


class Progress:
    """What Accelerate does not know by itself, in a checkpoint: where the dataset stands, and the losses so far."""

    def __init__(self, dataset: StreamingDataset) -> None:
        self.dataset, self.taken = dataset, 0  # updates taken in this epoch, since it began or since a state was loaded
        self.losses: list[float] = []

    def state_dict(self) -> dict:
        return {"dataset": self.dataset.state_dict(batches=self.taken), "losses": self.losses}

    def load_state_dict(self, state: dict) -> None:
        self.dataset.load_state_dict(state["dataset"])
        self.losses = state["losses"]


def train(model, collate, data: str, args: argparse.Namespace) -> None:
    accelerator = Accelerator(
        mixed_precision="bf16" if args.precision == "mixed" else "no", cpu=not torch.cuda.is_available()
    )
    rows = args.batch_size * args.accumulate
    dataset = StreamingDataset(data, args.config, batch_size=rows, decode=None)  # shares itself out over the processes
    loader = DataLoader(
        dataset,
        batch_size=rows,
        num_workers=args.workers,
        collate_fn=Updates(collate, args.batch_size),
        generator=torch.Generator(),
    )
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=args.learning_rate)
    model, optimizer, loader = accelerator.prepare(model.float().train(), optimizer, loader)
    progress = Progress(dataset)
    accelerator.register_for_checkpointing(progress)
    if args.resume and (found := list(checkpoints(args.out))):
        accelerator.load_state(str(found[-1]))
        loader.set_epoch(dataset.epoch)  # it counts epochs too, and tells the dataset
        accelerator.print(f"resumed at step {len(progress.losses)}, epoch {dataset.epoch}")
    while len(progress.losses) < args.steps:
        for update in loader:
            progress.losses.append(step(accelerator, model, optimizer, update, args))
            progress.taken += 1
            if len(progress.losses) % args.save_every == 0 or len(progress.losses) == args.steps:
                save(accelerator, args.out, len(progress.losses))
            if len(progress.losses) == args.steps:
                break
        else:
            loader.set_epoch(dataset.epoch + 1)
            progress.taken = 0
    part = max(1, args.steps // 10)
    first, last = mean(progress.losses[:part]), mean(progress.losses[-part:])
    accelerator.print(f"loss: {first:.3f} -> {last:.3f} (means of the first and the last {part} of {args.steps} steps)")


def step(accelerator: Accelerator, model, optimizer, update: list[dict], args: argparse.Namespace) -> float:
    tokens = tokens_of_update(update, device=accelerator.device)
    total = torch.zeros((), device=accelerator.device)
    optimizer.zero_grad()
    for number, batch in enumerate(update, 1):
        with accelerator.no_sync(model) if number < len(update) else nullcontext():
            loss = model(**batch, num_items_in_batch=tokens)["loss"]
            accelerator.backward(loss)
        total += loss.detach()
    accelerator.clip_grad_norm_(model.parameters(), args.clip)
    optimizer.step()
    return accelerator.reduce(total, reduction="mean").item()


def save(accelerator: Accelerator, out: Path, step: int) -> None:
    """A folder that appears whole or not at all."""
    folder = out / f"checkpoint-{step:06d}"
    accelerator.save_state(str(folder.with_suffix(".part")))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        folder.with_suffix(".part").rename(folder)
    accelerator.wait_for_everyone()


def main() -> None:
    args = options(__doc__).parse_args()
    begin(args)
    if args.model:
        processor = JanusProcessor.from_pretrained(args.model)
        model = JanusForConditionalGeneration.from_pretrained(args.model)
    else:
        processor, model = (tiny := tiny_janus()).processor, tiny.model
    data = packed_data(args)
    tokenizer = get_tokenizer(model, processor)
    tokens = stored_tokens(args, data, tokenizer)
    collate = get_collator("janus", processor=processor, image_tokens=tokens, max_length=4096, on_bad_row="skip")
    model = adapted(model, args)
    train(LossModel(model, janus_losses), collate, data, args)
    finish(model, processor, collate, tokenizer, data, args)


if __name__ == "__main__":
    main()
