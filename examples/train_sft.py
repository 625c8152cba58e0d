"""Train a model that writes text only with SFTTrainer of TRL: our stream, our collator.

python examples/train_sft.py             # a tiny random LLaVA on a small dataset: under a minute on a CPU
python examples/train_sft.py --resume    # resume where it was stopped or killed
torchrun --nproc-per-node 8 examples/train_sft.py --model llava-hf/llava-1.5-7b-hf --data org/packed --lora 16 \
    --checkpointing --batch-size 1 --accumulate 8 --learning-rate 1e-4 --steps 1000
"""

import argparse

import torch
from start import adapted, begin, last_checkpoint, options, packed_data, ranks
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig, SFTTrainer

from toolkit.demo.tiny_models import tiny_llava
from unifiedvisual import StreamingDataset, get_collator, load_dataset


def arguments(args: argparse.Namespace) -> SFTConfig:
    return SFTConfig(
        output_dir=str(args.out),
        max_steps=args.steps,  # a stream has no length
        per_device_train_batch_size=args.batch_size,
        gradient_accumulation_steps=args.accumulate,
        gradient_checkpointing=args.checkpointing,
        max_grad_norm=args.clip,
        weight_decay=args.weight_decay,
        learning_rate=args.learning_rate,
        warmup_steps=args.warmup,
        lr_scheduler_type="constant_with_warmup",
        max_length=None,  # never cut inside a picture: the collator leaves long rows out whole, and counts them
        remove_unused_columns=False,
        ddp_find_unused_parameters=True,  # a batch without pictures leaves the vision tower unused
        save_steps=args.save_every,
        logging_steps=1,
        bf16=args.precision == "mixed",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )


def main() -> None:
    args = options(__doc__, config="understanding").parse_args()
    begin(args)
    if args.model:
        processor = AutoProcessor.from_pretrained(args.model)
        model = AutoModelForImageTextToText.from_pretrained(args.model, dtype=torch.float32)
    else:
        processor, model = (tiny := tiny_llava()).processor, tiny.model
    last = last_checkpoint(args.out) if args.resume else None
    if last and not args.lora:
        # A checkpoint has the names of published weights, which Trainer does not find again: it warns and goes on from
        # the weights that are there, so they are loaded here.
        model = type(model).from_pretrained(last, dtype=torch.float32)
    # TRL's own collator leaves the placeholders of pictures among the labels, and prompts too unless told otherwise.
    # Ours masks both, and keeps a literal "<image>" in a user's text from becoming a picture.
    collate = get_collator("understanding", processor=processor, max_length=4096, on_bad_row="skip")
    # Rows keep the form `messages` + `images`: prompt and completion apart cannot have a picture in the completion.
    data = packed_data(args)
    trainer = SFTTrainer(
        model=adapted(model, args),
        args=arguments(args),
        train_dataset=load_dataset(data, args.config, split="train", streaming=True),
        data_collator=collate,
        processing_class=processor,
    )
    # SFTTrainer only looks at datasets of Hugging Face, but trains on any: on this one it resumes exactly.
    trainer.train_dataset = StreamingDataset(data, args.config, decode=None, batch_size=args.batch_size)
    # SFTTrainer takes the mean over the tokens of an update itself, also where a model says that it cannot (Qwen3-VL).
    trainer.model_accepts_loss_kwargs = True
    trainer.train(resume_from_checkpoint=last)
    trainer.save_model(args.out / "model")
    if ranks()[0] == 0:
        processor.save_pretrained(args.out / "model")
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        part = max(1, len(losses) // 10)
        first, last = sum(losses[:part]) / part, sum(losses[-part:]) / part
        print(f"loss: {first:.3f} -> {last:.3f} (means of the first and the last {part} of {len(losses)} steps)")
        print(f"rows left out: {dict(collate.skipped)}")


if __name__ == "__main__":
    main()
