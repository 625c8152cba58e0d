"""Train Emu3 with the Trainer of transformers: accumulation, evaluation on rows held out, checkpoints.

python examples/train_trainer.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_trainer.py --steps 40  # stop in the middle, or kill it ...
python examples/train_trainer.py --resume    # ... and resume: the losses are those of the undisturbed run
torchrun --nproc-per-node 8 examples/train_trainer.py --model BAAI/Emu3-Chat-hf --data org/packed --batch-size 1 \
    --accumulate 8 --checkpointing --learning-rate 1e-5 --steps 1000 --deepspeed examples/deepspeed_zero3.json
"""

import argparse

import torch
from finish import show
from start import adapted, begin, last_checkpoint, options, packed_data, ranks, stored_tokens
from transformers import Emu3ForConditionalGeneration, Emu3Processor, TrainingArguments

from toolkit.demo.tiny_models import tiny_emu3
from unifiedvisual import LossModel, StreamingDataset, UnifiedTrainer, get_collator, get_tokenizer, vocabulary_losses


def arguments(args: argparse.Namespace) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(args.out),
        max_steps=args.steps,  # Trainer sets the epoch of the dataset, so each epoch has an order of its own
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=args.batch_size,
        gradient_accumulation_steps=args.accumulate,
        gradient_checkpointing=args.checkpointing,
        max_grad_norm=args.clip,
        weight_decay=args.weight_decay,
        learning_rate=args.learning_rate,
        warmup_steps=args.warmup,
        lr_scheduler_type="constant_with_warmup",  # another one has to know the whole run's steps from the beginning
        bf16=args.precision == "mixed",
        dataloader_num_workers=args.workers,
        save_steps=args.save_every,
        eval_strategy="steps" if args.holdout else "no",
        eval_steps=args.save_every,
        logging_steps=1,
        ddp_find_unused_parameters=False,  # a LossModel uses all of them
        dataloader_pin_memory=torch.cuda.is_available(),
        deepspeed=args.deepspeed,
        use_cpu=not torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--deepspeed", help="configuration of DeepSpeed, which has to be installed")
    parser.add_argument("--holdout", type=float, default=0.1, help="share of rows that are evaluated and never trained")
    args = parser.parse_args()
    begin(args)
    settings = arguments(args)  # before the model is loaded: DeepSpeed then loads it in parts
    if args.model:
        processor = Emu3Processor.from_pretrained(args.model)
        model = Emu3ForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    else:
        processor, model = (tiny := tiny_emu3()).processor, tiny.model
    data = packed_data(args)
    tokenizer = get_tokenizer(model, processor)
    tokens = stored_tokens(args, data, tokenizer)
    collate = get_collator("emu3", processor=processor, image_tokens=tokens, max_length=4096, on_bad_row="skip")
    rows = {"decode": None, "batch_size": args.batch_size, "holdout": args.holdout}
    held_out = {**rows, "split": "holdout", "shuffle": False}
    model = adapted(model, args)
    # Wrapped, though the loss of Emu3 is right as it is: a checkpoint of the bare model has the names of its published
    # weights, which Trainer does not find again when it resumes; it warns, and goes on from random weights.
    trainer = UnifiedTrainer(
        model=LossModel(model, vocabulary_losses),
        args=settings,
        train_dataset=StreamingDataset(data, args.config, **rows),
        eval_dataset=StreamingDataset(data, args.config, **held_out) if args.holdout else None,
        data_collator=collate,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(args.out) if args.resume else None)
    if ranks()[0] == 0:
        model.save_pretrained(args.out / "model")
        processor.save_pretrained(args.out / "model")
        report(trainer.state.log_history)
        print(f"rows left out: {dict(collate.skipped)}")
        show(model, collate, tokenizer, data, args)


def report(log: list[dict[str, float]]) -> None:
    """Of all steps, also those before the run was resumed."""
    for name in ("text_loss", "image_loss", "eval_text_loss", "eval_image_loss"):
        losses = [entry[name] for entry in log if name in entry]
        part = max(1, len(losses) // 10)
        if losses:
            print(
                f"{name}: {sum(losses[:part]) / part:.3f} -> {sum(losses[-part:]) / part:.3f} ({len(losses)} of them)"
            )


if __name__ == "__main__":
    main()
