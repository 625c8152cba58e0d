"""Train Chameleon or Anole to answer with text and pictures, then stop and go on exactly.

python examples/train_chameleon.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_chameleon.py --steps 40  # stop in the middle ...
python examples/train_chameleon.py --resume    # ... and go on: the losses are those of the undisturbed run
python examples/train_chameleon.py --model leloy/Anole-7b-v0.1-hf --data org/packed --learning-rate 1e-5 --steps 1000
"""

from loop import options, packed_data, stored_tokens, train
from transformers import ChameleonForConditionalGeneration, ChameleonProcessor

from toolkit.demo.tiny_models import tiny_chameleon
from unifiedvisual import LossModel, get_collator, get_tokenizer, vocabulary_losses


def main() -> None:
    args = options(__doc__).parse_args()
    if args.model:
        processor = ChameleonProcessor.from_pretrained(args.model)
        model = ChameleonForConditionalGeneration.from_pretrained(args.model)
    else:
        tiny = tiny_chameleon()
        processor, model = tiny.processor, tiny.model
    data = packed_data(args)

    # Pictures become ids of the text vocabulary, so one head writes text and pictures. The tokenizer freezes the VQ
    # part of the model.
    tokens = stored_tokens(args, data, get_tokenizer(model, processor))
    # Labels cover the answer: its text, its pictures with what frames them, and the end. Prompts and padding are
    # masked.
    collate = get_collator("chameleon", processor=processor, image_tokens=tokens, max_length=4096, on_bad_row="skip")
    # Not `model(**batch).loss`: the stock forward forbids its own picture ids, so that loss is infinite on pictures.
    train(LossModel(model, vocabulary_losses), collate, data, args)
    model.save_pretrained(args.out / "model")  # loads again with from_pretrained
    processor.save_pretrained(args.out / "model")


if __name__ == "__main__":
    main()
