"""Train Janus to answer with text and pictures.

python examples/train_janus.py             # a tiny random model on a small dataset: under a minute on a CPU
python examples/train_janus.py --steps 40  # stop in the middle, or kill it ...
python examples/train_janus.py --resume    # ... and resume: the losses are those of the undisturbed run
torchrun --nproc-per-node 8 examples/train_janus.py --model deepseek-community/Janus-Pro-1B --data org/packed \
    --checkpointing --batch-size 4 --accumulate 2 --learning-rate 1e-5 --warmup 100 --steps 1000
"""

from finish import finish
from loop import train
from start import adapted, begin, options, packed_data, stored_tokens
from transformers import JanusForConditionalGeneration, JanusProcessor

from toolkit.demo.tiny_models import tiny_janus
from unifiedvisual import LossModel, get_collator, get_tokenizer, janus_losses


def main() -> None:
    args = options(__doc__).parse_args()
    begin(args)
    if args.model:
        processor = JanusProcessor.from_pretrained(args.model)
        model = JanusForConditionalGeneration.from_pretrained(args.model)
    else:
        tiny = tiny_janus()
        processor, model = tiny.processor, tiny.model
    data = packed_data(args)

    # Pictures in prompts are seen as pixels; only pictures in answers become ids, of a codebook beside the text
    # vocabulary.
    tokenizer = get_tokenizer(model, processor)
    tokens = stored_tokens(args, data, tokenizer)
    collate = get_collator("janus", processor=processor, image_tokens=tokens, max_length=4096, on_bad_row="skip")
    model = adapted(model, args)
    # Text goes through the text head, picture ids through the generation head; the stock forward trains only the first.
    train(LossModel(model, janus_losses), collate, data, args)
    finish(model, processor, collate, tokenizer, data, args)


if __name__ == "__main__":
    main()
