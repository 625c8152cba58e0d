"""What the training examples end with: the model in the form of transformers, and answers to a few prompts."""

import argparse
from itertools import islice

import torch.distributed as dist
from start import ranks
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from toolkit.demo.patches import PatchDecoder
from unifiedvisual import StreamingDataset, get_tokenizer, sample_answers


def finish(model, processor, collate, tokenizer, data: str, args: argparse.Namespace) -> None:
    """Saves --out/model, which loads again with from_pretrained, and writes --out/samples."""
    if collate.skipped:
        print(f"rows left out by rank {ranks()[0]}: {dict(collate.skipped)}")
    weights = None
    if is_sharded(model):
        weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    if ranks()[0] == 0:
        model.save_pretrained(args.out / "model", state_dict=weights)
        processor.save_pretrained(args.out / "model")
        if weights is not None and args.lora:
            print("no samples: a sharded model with adapters is merged first")
        elif weights is not None:  # a sharded model needs all ranks for each token
            model = type(model).from_pretrained(args.out / "model")
            tokenizer = get_tokenizer(model, processor, decoder=getattr(args, "decoder", None))
            show(model, collate, tokenizer, data, args)
        else:
            show(model, collate, tokenizer, data, args)
    if dist.is_initialized():
        dist.barrier()


def is_sharded(model) -> bool:
    return hasattr(next(model.parameters()), "full_tensor")


def show(model, collate, tokenizer, data: str, args: argparse.Namespace) -> None:
    """Each prompt beside the picture that the model draws for it, so that one sees what training did."""
    folder = args.out / "samples"
    folder.mkdir(exist_ok=True)
    rows = StreamingDataset(data, args.config, shuffle=False, decode=None, rank=0, world_size=1)
    rows = list(islice((row for row in rows if "output" in row["image_roles"]), args.samples))
    decoder = None
    if not args.model and rows:
        images = [image for row in rows for image in row["images"]]
        decoder = PatchDecoder(tokenizer, images, end_of_line=getattr(collate, "end_of_line", None))
    decoder = decoder or (tokenizer if tokenizer.can_decode else None)
    settings = {"max_images": 1, "image_first": True, "image_decoder": decoder}
    tokens = args.sample_tokens or (4096 if args.model else 64)
    for row, answer in zip(rows, sample_answers(model, collate, rows, max_new_tokens=tokens, **settings), strict=True):
        (folder / f"{row['id']}.txt").write_text(f"{row['instruction']}\n\n{answer.text}\n", encoding="utf-8")
        for image in answer.images or ():
            image.save(folder / f"{row['id']}.png")
        print(f"sample: {folder / row['id']}.txt, {len(answer.images or ())} pictures of {len(answer.image_ids)} drawn")
