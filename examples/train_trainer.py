"""Train Emu3 with the Trainer of transformers over a streaming dataset, then stop and go on exactly, without reading
anything twice.

python examples/train_trainer.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_trainer.py --steps 40  # stop in the middle ...
python examples/train_trainer.py --resume    # ... and go on: the losses are those of the undisturbed run
"""

from pathlib import Path

import torch
from loop import options, packed_data, stored_tokens
from transformers import Emu3ForConditionalGeneration, Emu3Processor, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from toolkit.demo.tiny_models import tiny_emu3
from unifiedvisual import LossModel, StreamingDataset, get_collator, get_tokenizer, vocabulary_losses


class DatasetState(TrainerCallback):
    """Puts into every checkpoint where the dataset stands.

    Without it, Trainer resumes by reading and collating again every batch of the epoch that it has had, which is right
    but takes as long as the data took. (With gradient accumulation a resumed epoch has to end with a whole group of
    batches; else leave it to Trainer.)
    """

    def __init__(self, dataset: StreamingDataset, checkpoint: str | None) -> None:
        self.dataset, self.batches, self.random = dataset, 0, None
        if checkpoint:
            saved = torch.load(Path(checkpoint) / "dataset.pt", weights_only=True)
            self.random = saved["random"]
            dataset.load_state_dict(saved["dataset"])

    def on_epoch_begin(self, args, state, control, **_) -> None:
        self.batches = 0  # in this epoch, since it began or since a state was loaded

    def on_step_begin(self, args, state, control, **_) -> None:
        if (
            self.random is not None
        ):  # Trainer has restored these too, but the loader took one to start; dropout is to go on as it would have
            torch.set_rng_state(self.random)
            self.random = None

    def on_substep_end(self, args, state, control, **_) -> None:
        self.batches += 1

    on_step_end = on_substep_end

    def on_save(self, args, state, control, **_) -> None:
        saved = {"dataset": self.dataset.state_dict(batches=self.batches), "random": torch.get_rng_state()}
        torch.save(saved, Path(args.output_dir) / f"checkpoint-{state.global_step}" / "dataset.pt")


def main() -> None:
    args = options(__doc__).parse_args()
    if args.model:
        processor, model = (
            Emu3Processor.from_pretrained(args.model),
            Emu3ForConditionalGeneration.from_pretrained(args.model),
        )
    else:
        torch.set_num_threads(1)
        processor, model = (tiny := tiny_emu3()).processor, tiny.model
    data = packed_data(args)
    tokens = stored_tokens(args, data, get_tokenizer(model, processor))

    # Trainer hands batches out to processes itself, also when there is one: so rank and world size are given, not asked
    # for.
    dataset = StreamingDataset(data, args.config, batch_size=args.batch_size, decode=None, rank=0, world_size=1)
    checkpoint = get_last_checkpoint(args.out) if args.resume else None
    state = DatasetState(dataset, checkpoint)
    arguments = TrainingArguments(
        output_dir=str(args.out),
        max_steps=args.steps,  # Trainer sets the epoch of the dataset, so each epoch has an order of its own
        per_device_train_batch_size=args.batch_size,
        dataloader_num_workers=args.workers,
        learning_rate=args.learning_rate,
        lr_scheduler_type="constant",  # another one has to know the whole run's steps from the beginning
        save_strategy="steps",
        save_steps=50,  # and at the end
        logging_steps=1,
        remove_unused_columns=False,  # rows go to the collator whole
        ignore_data_skip=True,  # the dataset goes on by itself
        accelerator_config={"dispatch_batches": False},
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
        disable_tqdm=True,
    )
    collate = get_collator("emu3", processor=processor, image_tokens=tokens)
    # Wrapped, though the loss of Emu3 is right as it is: a checkpoint of the bare model has the names of its published
    # weights, which Trainer (transformers 5.23) does not find again when it resumes; it warns, and goes on from random
    # weights.
    wrapped = LossModel(model, vocabulary_losses)
    trainer = Trainer(model=wrapped, args=arguments, train_dataset=dataset, data_collator=collate, callbacks=[state])
    trainer.train(resume_from_checkpoint=checkpoint)
    model.save_pretrained(args.out / "model")
    processor.save_pretrained(args.out / "model")
    losses = [
        entry["loss"] for entry in trainer.state.log_history if "loss" in entry
    ]  # of all steps, also those before the stop
    part = max(1, len(losses) // 10)
    print(
        f"loss: {sum(losses[:part]) / part:.3f} -> {sum(losses[-part:]) / part:.3f} (means of the first and the last "
        f"{part} of {len(losses)} steps)"
    )


if __name__ == "__main__":
    main()
