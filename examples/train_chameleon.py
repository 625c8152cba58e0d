"""Train Chameleon or Anole to answer with text and pictures.

python examples/train_chameleon.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_chameleon.py --steps 40  # stop in the middle, or kill it ...
python examples/train_chameleon.py --resume    # ... and resume: the losses are those of the undisturbed run
torchrun --nproc-per-node 8 examples/train_chameleon.py --model leloy/Anole-7b-v0.1-hf --data org/packed --fsdp \
    --checkpointing --batch-size 1 --accumulate 8 --learning-rate 1e-5 --warmup 100 --steps 1000 \
    --decoder leloy/Anole-7b-v0.1-hf
"""

from finish import finish
from loop import train
from start import adapted, begin, options, packed_data, stored_tokens
from transformers import ChameleonForConditionalGeneration, ChameleonProcessor

from toolkit.demo.tiny_models import tiny_chameleon
from unifiedvisual import LossModel, get_collator, get_tokenizer, vocabulary_losses


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--decoder", help="vqgan.ckpt, or a checkpoint that holds one: turns ids of samples to pictures"
    )
    parser.add_argument("--z-loss", type=float, default=1e-5, help="keeps the logits of text and pictures in bounds")
    args = parser.parse_args()
    begin(args)
    if args.model:
        processor = ChameleonProcessor.from_pretrained(args.model)
        model = ChameleonForConditionalGeneration.from_pretrained(args.model)
    else:
        tiny = tiny_chameleon()
        processor, model = tiny.processor, tiny.model
    data = packed_data(args)

    # Pictures become ids of the text vocabulary, so one head writes text and pictures. The tokenizer freezes the VQ
    # part of the model.
    tokenizer = get_tokenizer(model, processor, decoder=args.decoder)
    tokens = stored_tokens(args, data, tokenizer)
    # Labels cover the answer: its text, its pictures with what frames them, and the end. Prompts and padding are
    # masked.
    collate = get_collator("chameleon", processor=processor, image_tokens=tokens, max_length=4096, on_bad_row="skip")
    model = adapted(model, args)
    # Not `model(**batch).loss`: the stock forward forbids its own picture ids, so that loss is infinite on pictures.
    train(LossModel(model, vocabulary_losses, z_loss=args.z_loss), collate, data, args)
    finish(model, processor, collate, tokenizer, data, args)


if __name__ == "__main__":
    main()
