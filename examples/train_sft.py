"""Train a model that writes text only with SFTTrainer of TRL: rows as they stream, our collator.

python examples/train_sft.py  # a tiny random LLaVA on a small dataset: under a minute on a CPU
python examples/train_sft.py --model llava-hf/llava-1.5-7b-hf --data org/packed --learning-rate 1e-5 --steps 1000
"""

import torch
from loop import options, packed_data
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl import SFTConfig, SFTTrainer

from toolkit.demo.tiny_models import tiny_llava
from unifiedvisual import get_collator, load_dataset


def main() -> None:
    args = options(__doc__, config="understanding").parse_args()
    if args.model:
        processor, model = (
            AutoProcessor.from_pretrained(args.model),
            AutoModelForImageTextToText.from_pretrained(args.model),
        )
    else:
        torch.set_num_threads(1)
        processor, model = (tiny := tiny_llava()).processor, tiny.model

    # SFTTrainer takes datasets of Hugging Face alone, so load_dataset and not StreamingDataset. Rows keep the form
    # `messages` + `images`: prompt and completion apart cannot have a picture in the completion there.
    rows = load_dataset(packed_data(args), args.config, split="train", streaming=True).shuffle(seed=0, buffer_size=100)
    # TRL's own collator leaves the placeholders of pictures among the labels, and prompts too unless told otherwise.
    # Ours masks both, and keeps a literal "<image>" in a user's text from becoming a picture.
    collate = get_collator("understanding", processor=processor, max_length=4096, on_bad_row="skip")
    arguments = SFTConfig(
        output_dir=str(args.out),
        max_steps=args.steps,  # a stream has no length
        per_device_train_batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        lr_scheduler_type="constant",
        max_length=None,  # never cut inside a picture: the collator leaves long rows out whole, and counts them
        remove_unused_columns=False,
        save_strategy="no",
        logging_steps=1,
        bf16=torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=model, args=arguments, train_dataset=rows, data_collator=collate, processing_class=processor
    )
    trainer.train()
    trainer.save_model(args.out / "model")
    processor.save_pretrained(args.out / "model")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    part = max(1, len(losses) // 10)
    print(
        f"loss: {sum(losses[:part]) / part:.3f} -> {sum(losses[-part:]) / part:.3f} (means of the first and the last "
        f"{part} of {len(losses)} steps)"
    )
    print(f"rows left out: {dict(collate.skipped)}")


if __name__ == "__main__":
    main()
