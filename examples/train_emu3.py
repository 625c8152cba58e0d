"""Train Emu3 to answer with text and pictures, then stop and go on exactly.

python examples/train_emu3.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_emu3.py --steps 40  # stop in the middle ...
python examples/train_emu3.py --resume    # ... and go on: the losses are those of the undisturbed run
python examples/train_emu3.py --model BAAI/Emu3-Chat-hf --data org/packed --image-size 512 --learning-rate 1e-5 \
    --steps 1000
"""

from loop import options, packed_data, stored_tokens, train
from transformers import Emu3ForConditionalGeneration, Emu3Processor

from toolkit.demo.tiny_models import tiny_emu3
from unifiedvisual import LossModel, get_collator, get_tokenizer, vocabulary_losses


def main() -> None:
    parser = options(__doc__)
    parser.add_argument(
        "--image-size",
        type=int,
        default=512,
        help="with --model: pictures have at most this many pixels squared, an id for every 8 x 8",
    )
    args = parser.parse_args()
    if args.model:
        processor = Emu3Processor.from_pretrained(args.model)
        processor.image_processor.max_pixels = args.image_size**2
        processor.image_processor.min_pixels = min(processor.image_processor.min_pixels, args.image_size**2)
        model = Emu3ForConditionalGeneration.from_pretrained(args.model)
    else:
        tiny = tiny_emu3()
        processor, model = tiny.processor, tiny.model
    data = packed_data(args)

    # The VQ part has batch norms: in train mode its ids change and its statistics drift for good. Ids are computed
    # here, in eval mode, once; the loop's model.train() cannot touch them any more.
    tokens = stored_tokens(args, data, get_tokenizer(model, processor))
    # A picture is as many ids as its size asks for, with the size written before it as text that the model has to
    # choose.
    collate = get_collator("emu3", processor=processor, image_tokens=tokens, max_length=8192, on_bad_row="skip")
    # `model(**batch).loss` is the same number; LossModel tells text and pictures apart.
    train(LossModel(model, vocabulary_losses), collate, data, args)
    model.save_pretrained(args.out / "model")
    processor.save_pretrained(args.out / "model")


if __name__ == "__main__":
    main()
