"""Train Emu3 to answer with text and pictures.

python examples/train_emu3.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_emu3.py --steps 40  # stop in the middle, or kill it ...
python examples/train_emu3.py --resume    # ... and resume: the losses are those of the undisturbed run
torchrun --nproc-per-node 8 examples/train_emu3.py --model BAAI/Emu3-Chat-hf --data org/packed --image-size 512 \
    --fsdp --checkpointing --batch-size 1 --accumulate 8 --learning-rate 1e-5 --warmup 100 --steps 1000
"""

from finish import finish
from loop import train
from start import adapted, begin, options, packed_data, stored_tokens
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
    begin(args)
    if args.model:
        processor = Emu3Processor.from_pretrained(args.model)
        model = Emu3ForConditionalGeneration.from_pretrained(args.model)
    else:
        tiny = tiny_emu3()
        processor, model = tiny.processor, tiny.model
    data = packed_data(args)

    # The VQ part has batch norms: in train mode its ids change and its statistics drift for good. Ids are computed
    # here, in eval mode, once; the loop's model.train() cannot touch them any more.
    tokenizer = get_tokenizer(model, processor, image_size=args.image_size if args.model else None)
    tokens = stored_tokens(args, data, tokenizer)
    # A picture is as many ids as its size asks for, with the size written before it as text that the model has to
    # choose.
    collate = get_collator("emu3", processor=processor, image_tokens=tokens, max_length=8192, on_bad_row="skip")
    model = adapted(model, args)
    # `model(**batch).loss` is the same number; LossModel tells text and pictures apart.
    train(LossModel(model, vocabulary_losses), collate, data, args)
    finish(model, processor, collate, tokenizer, data, args)


if __name__ == "__main__":
    main()
